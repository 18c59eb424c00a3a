"""The `v1_` views: the words and the present SQL of each, one file a view."""
