"""Delivery of results to destinations: C-STORE, folder, routing, circuit breaker, verification."""
