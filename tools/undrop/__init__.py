"""Verified backups of a database before every change, and one line back."""

__version__ = "0.1.0"
