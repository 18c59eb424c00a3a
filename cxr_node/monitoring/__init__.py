"""Drift detection, constancy check and agreement of models: pure statistics."""
