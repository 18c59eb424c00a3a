"""Stored rows: films, readings, results, commitments, capabilities, bundles."""
