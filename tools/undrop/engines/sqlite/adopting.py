"""What ``undrop init`` asks about a project whose database is SQLite."""

import re
import sqlite3
import stat
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path

from undrop import folders
from undrop.engines.sqlite import address
from undrop.sqlitefile import header

NOBODYS = re.compile(r"^\.coverage|\.undrop-work")
"""Files whose content nobody would miss: a tool makes them anew, or we were killed over them."""
REPLICA = "-litestream"
"""The end of the folder in which Litestream keeps what it knows of a database."""


def probes(mark: str) -> list[str]:
    """URLs that no project has, one for each driver, with ``mark`` in them."""
    return [f"{driver}:////nowhere/{mark}.db" for driver in ("sqlite", "sqlite+aiosqlite")]


def settled(url: str, home: Path, root: Path) -> str:
    """The same URL with its file relative to ``root`` where it is inside. Raises UsageError."""
    file = address.database_path(url, home)
    if file is None or "?" in url:
        return url
    name = file.relative_to(root) if file.is_relative_to(root) else file
    return f"{url.partition(':')[0]}:///{name}"


def seen(root: Path, apart: Collection[Path]) -> dict[Path, str]:
    """Files of SQLite's in a project, hidden folders included, and the URL of each.

    Told by how they begin; those in ``apart`` are not opened, whatever name leads to them: closing
    any descriptor of a file drops the locks that this process has on it
    (sqlite.org/howtocorrupt.html, 2.2).
    """
    known = {identity for path in apart if (identity := _identity(path))}
    databases = {}
    for folder, files in folders.below(root, hidden=True, apart=apart):
        if folder.name.endswith(REPLICA):
            continue
        for file in files:
            path = folder / file.name
            identity = None if NOBODYS.search(file.name) else _identity(path)
            if identity and identity not in known and _begins_so(path):
                known.add(identity)
                databases[path] = f"sqlite:///{path.relative_to(root)}"
    return databases


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what may be a database: whole pages of 512 bytes at least."""
    with suppress(OSError):
        facts = path.stat()
        if stat.S_ISREG(facts.st_mode) and facts.st_size and facts.st_size % 512 == 0:
            return facts.st_dev, facts.st_ino
    return None


def _begins_so(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(header.MAGIC)) == header.MAGIC
    return False


def copied(live: Path | None, folder: str) -> tuple[str, str]:
    """File and URL of a copy in ``folder``, of an empty database where there is none to copy.

    Raises OSError.
    """
    if live is None:
        return "", ""
    from undrop.engines.diversion import duplicate  # SQLAlchemy's loading is seen in ``status``

    copy = f"{folder}/{live.name}"
    try:
        if live.exists():
            duplicate(str(live), copy)
        else:
            with closing(sqlite3.connect(copy)) as connection:
                connection.executescript("CREATE TABLE t (v); DROP TABLE t")
    except sqlite3.Error as error:
        raise OSError(f"{live} could not be copied: {error}") from error
    return copy, f"sqlite:///{copy}"
