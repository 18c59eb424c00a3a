"""What a reader measures on a chest film with a ruler, from its brightness and the structures a model outlined."""
