"""One file a result kind: its types, its promises and how it is composed."""
