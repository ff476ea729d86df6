"""What every reader of a SQLite file needs."""
