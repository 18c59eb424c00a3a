"""Simulated peers: a modality and a PACS."""
