"""Python interface: films read in a program or a notebook, without a node and without a database."""
