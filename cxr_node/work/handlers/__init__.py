"""One handler for each stage: what is done with a claimed job."""
