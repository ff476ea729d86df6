"""Verified backups of a database before every change, and one line back."""

__version__ = "0.2.0"
