"""STOW-RS entrance: parts of a multipart body, stored as objects of C-STORE are (PS3.18 section 10.5)."""
