"""Pure measurements on films and masks."""
