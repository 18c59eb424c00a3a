"""Architectures of published models, for importing their weights. What the node runs is exported from them."""
