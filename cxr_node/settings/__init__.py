"""Every setting, once: its key, type, default, unit and meaning."""
