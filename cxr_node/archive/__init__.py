"""Durable storage of films, results and bundles in a folder or an object store."""
