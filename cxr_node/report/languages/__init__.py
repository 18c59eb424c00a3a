"""Languages of results: one file a language."""
