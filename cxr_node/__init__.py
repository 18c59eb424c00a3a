"""cxr-node: a DICOM node that reads chest radiographs and answers with Structured Reports."""
