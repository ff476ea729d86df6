"""Which table Alembic keeps a database's revision in: it says so, and it is remembered."""

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from undrop import durable
from undrop.values import VERSION_TABLE

if TYPE_CHECKING:
    from pathlib import Path

DJANGOS = "django_migrations"
"""Where Django keeps which migrations have run (``MigrationRecorder``)."""
NAME = "version_tables.json"
"""In ``backups/``: by database as records name it, where it is not Alembic's own name."""


def remembered(backups: "Path", source: str) -> str:
    """Its name, as Alembic's context last said it; ``alembic_version`` where nobody did."""
    return _known(backups).get(source, VERSION_TABLE)


def remember(backups: "Path", source: str, table: str) -> None:
    """Write down what Alembic's context says. Raises OSError."""
    known = _known(backups)
    if known.get(source, VERSION_TABLE) == table or not backups.is_dir():
        return
    work = backups / f".{os.getpid()}.partial"
    with durable.scratch(work):
        work.write_text(json.dumps({**known, source: table}))
        durable.move(work, backups / NAME)


def _known(backups: "Path") -> dict[str, str]:
    with suppress(OSError, ValueError, RecursionError):  # people edit files
        tables = json.loads((backups / NAME).read_bytes())
        if isinstance(tables, dict) and all(isinstance(name, str) for name in tables.values()):
            return tables
    return {}
