"""The page: what the node is doing, to look at, and the same as JSON, metrics and health."""
