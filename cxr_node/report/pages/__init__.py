"""Printed page of a study: what stands on it, its layout, and the PDF file."""
