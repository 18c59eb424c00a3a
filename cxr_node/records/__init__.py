"""What is stored: films, readings, results, commitments, capabilities, bundles."""
