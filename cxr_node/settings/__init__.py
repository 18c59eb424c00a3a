"""Settings: key, type, default, unit and effect of each."""
