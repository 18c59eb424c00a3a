"""Archives that are asked for prior films: by C-FIND with C-GET or C-MOVE, or by DICOMweb."""
