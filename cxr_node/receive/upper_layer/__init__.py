"""Extensions of pynetdicom's DICOM Upper Layer (PS3.8)."""
