"""Drift, constancy and agreement of models: pure statistics."""
