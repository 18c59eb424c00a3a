"""Bytes kept: written aside, flushed to disk, renamed."""
