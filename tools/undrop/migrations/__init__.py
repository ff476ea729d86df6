"""Alembic, on a database that it is handed, in a process of its own."""
