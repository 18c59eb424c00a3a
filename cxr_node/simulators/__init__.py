"""Simulated modality, PACS and Storage Commitment SCU, and a node in one thread."""
