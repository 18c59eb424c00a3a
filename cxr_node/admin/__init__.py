"""The people who run it: command line, web page, metrics."""
