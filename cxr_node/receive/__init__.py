"""An Application Entity that receives films: C-ECHO and C-STORE."""
