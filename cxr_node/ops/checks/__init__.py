"""Checks of cxr-node doctor."""
