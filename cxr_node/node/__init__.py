"""The composition root: settings in, wired parts out. The only room that knows every kind of every seam."""
