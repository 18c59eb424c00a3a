"""Result kinds: one file a kind, with its types, their promises and how it is composed."""
