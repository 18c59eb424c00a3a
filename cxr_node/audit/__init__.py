"""DICOM audit trail: messages, files, syslog (PS3.15 section A.5)."""
