"""Languages of results: one TOML file each."""
