"""Composition of a study's results: headers of its films, routes, and the objects themselves."""
