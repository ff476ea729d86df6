"""``python -m undrop``."""

from undrop.cli import run

run()
