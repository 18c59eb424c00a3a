"""Composition root: builds the parts of each role from settings."""
