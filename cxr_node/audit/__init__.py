"""Who did what with whose films: DICOM audit messages, kept in files and told to a syslog receiver."""
