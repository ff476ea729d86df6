"""Which versions work together here, for whoever tells of a fault."""

import shutil
import sqlite3
import subprocess
import sys
from importlib.metadata import version

from undrop import __version__

SERVERS = ("pg_dump", "pg_restore")  # PostgreSQL's, which do its backups


def versions() -> str:
    """Undrop's own, then of what it runs on, a line each."""
    python = ".".join(map(str, sys.version_info[:3]))
    lines = [
        f"undrop {__version__}",
        f"Python {python}, SQLite {sqlite3.sqlite_version}",
        f"Alembic {version('alembic')}, SQLAlchemy {version('sqlalchemy')}",
    ]
    for program in SERVERS:
        path = shutil.which(program)
        said = (
            path
            and subprocess.run(  # noqa: S603 - what undrop itself calls
                [path, "--version"], capture_output=True, text=True, check=False
            ).stdout.strip()
        )
        lines.append(said or f"{program}: not on PATH, which PostgreSQL's backups need")
    return "\n".join(lines)
