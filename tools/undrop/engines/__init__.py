"""What undrop asks of a database, and who answers."""
