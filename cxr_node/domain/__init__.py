"""The values that flow through the node, the names of things, and the errors. Imports no other room."""
