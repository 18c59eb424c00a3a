"""A film looked at and spoken of: all of reading but the network, here or in processes beside it."""
