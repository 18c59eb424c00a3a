"""Supervisor and role processes."""
