"""What ``undrop init`` asks about a project whose database is SQLite."""

import sqlite3
from contextlib import closing
from pathlib import Path

from undrop.engines.diversion import duplicate
from undrop.engines.sqlite import address
from undrop.errors import DamagedError
from undrop.sqlitefile import header


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


def only(root: Path) -> str:
    """The URL of the one database that lies in a project; empty when there are none or several."""
    databases = []
    for path in [*root.glob("*"), *root.glob("instance/*"), *root.glob("data/*")]:
        if path.suffix in {".db", ".sqlite", ".sqlite3"} and path.is_file():
            try:
                header.read(path)
            except (DamagedError, OSError):
                continue
            databases.append(path.relative_to(root))
    return f"sqlite:///{databases[0]}" if len(databases) == 1 else ""


def copied(live: Path | None, folder: str) -> str:
    """The file of a copy in ``folder``, of an empty database where there is none; empty in memory.

    Raises OSError.
    """
    if live is None:
        return ""
    copy = f"{folder}/{live.name}"
    try:
        if live.exists():
            duplicate(str(live), copy)
        else:
            with closing(sqlite3.connect(copy)) as connection:
                connection.executescript("CREATE TABLE t (v); DROP TABLE t")
    except sqlite3.Error as error:
        raise OSError(f"{live} could not be copied: {error}") from error
    return copy
