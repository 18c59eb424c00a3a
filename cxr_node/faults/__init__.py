"""Fault suite: faults injected into a scratch node, and the count of lost and duplicated films."""
