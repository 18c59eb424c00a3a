"""The `v1_` views: columns, meanings and present SQL of each in one TOML file."""
