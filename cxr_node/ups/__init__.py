"""Worklists of Unified Procedure Steps that the node performs (PS3.4 annex CC, IHE AIW-I)."""
