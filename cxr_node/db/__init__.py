"""Database engine, transactions, tables, states and migrations."""
