"""The work remembered: tables, the state machine, claims with a lease."""
