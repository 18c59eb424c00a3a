"""Job processing: the worker, its handlers, and periodic jobs."""
