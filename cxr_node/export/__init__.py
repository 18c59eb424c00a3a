"""De-identified export: films by a table of actions, pixels written anew, results composed anew (PS3.15 annex E)."""
