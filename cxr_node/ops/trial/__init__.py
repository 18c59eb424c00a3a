"""Trial of a folder of files: each goes through admission, gate, decoding and reading, and nothing is sent or kept."""
