"""What is done to a database."""
