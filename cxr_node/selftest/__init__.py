"""The fault suite: a scratch node, faults on purpose, and a count of what was lost or doubled."""
