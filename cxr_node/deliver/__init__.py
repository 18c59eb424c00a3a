"""DICOM goes out."""
