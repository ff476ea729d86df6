"""Litestream: what copies a SQLite database off this machine."""
