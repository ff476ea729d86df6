"""SQLite: what is asked of a database, answered for its files."""
