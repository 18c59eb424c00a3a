"""Bundles (a card and an exported network) and the reader that runs them."""
