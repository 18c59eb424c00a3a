"""What both association requestors and acceptors need of the network: the association requestor and the TLS profile."""
