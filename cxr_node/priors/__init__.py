"""Archives that are asked for prior films: by C-FIND with C-GET."""
