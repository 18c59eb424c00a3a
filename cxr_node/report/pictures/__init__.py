"""Painted films, overlays, masks, and the grayscale of a presentation state."""
