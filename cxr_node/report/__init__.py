"""Readings to DICOM objects."""
