"""The fault suite: a scratch node, injected faults, and a count of what was lost or doubled."""
