"""Read-only queries: views, overview, ledger, statistics."""
