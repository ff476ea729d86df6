"""What changed between two states, and what of it is a loss: SQL over two SQLite files."""
