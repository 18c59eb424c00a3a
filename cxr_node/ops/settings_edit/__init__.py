"""Edits of the settings file by a person: rows of tables, checks, differences, replacement and undo."""
