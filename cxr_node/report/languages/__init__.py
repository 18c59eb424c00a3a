"""What the node says, in the languages it says it in."""
