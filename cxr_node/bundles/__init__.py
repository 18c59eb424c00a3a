"""The models that come with the node, one folder each. Holds no code."""
