"""Every engine of SQLAlchemy's goes to another file than the one that it would open.

The standard library and SQLAlchemy only: the project's own Python, which may have no undrop, loads
it from here, as it does the fence.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import Pool

MARK = "undrop diversion"


class Diversion:
    """Which file an engine gets, from now on; to be made before one connects.

    ``paths`` are the files that SQLite would open for a name (``Fence.paths``); ``where`` says for
    each which one it is to be, and gives back the same where it is that one.
    """

    def __init__(self, paths: Callable[[object], list[str]], where: Callable[[str], str]) -> None:
        self._paths, self._where = paths, where
        self._turns = 0
        event.listen(Engine, "do_connect", self._follow)
        event.listen(Pool, "checkout", self._check)

    def turn(self, where: Callable[[str], str]) -> None:
        """Go by ``where`` from now on; what a pool holds from before is not used again."""
        self._where = where
        self._turns += 1

    def _follow(self, dialect: Any, record: Any, arguments: list[Any], named: Any) -> None:  # noqa: ANN401
        if record is not None:
            record.info[MARK] = self._turns
        if dialect.name != "sqlite" or not arguments:
            return
        for path in self._paths(arguments[0]):
            if (file := self._where(path)) != path:
                arguments[0] = Path(file).as_uri() if named.get("uri") else file
                return

    def _check(self, _connection: object, record: Any, _fairy: object) -> None:  # noqa: ANN401
        """Have a pool connect anew (docs.sqlalchemy.org, "Custom / Legacy Pessimistic Ping")."""
        if record.info.get(MARK, self._turns) != self._turns:
            raise DisconnectionError


def only_read_on_servers() -> None:
    """Have SQLAlchemy's engines write nothing on a server, of which there is no copy."""

    @event.listens_for(Engine, "engine_connect")
    def _only_read(connection: Any, *_: object) -> None:  # noqa: ANN401
        if connection.dialect.name == "postgresql":
            cursor = connection.connection.cursor()
            cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            cursor.close()
            connection.connection.commit()


class Scratch:
    """A copy of each database that is asked for, in a folder that goes again."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._copies: dict[str, str] = {}

    def copy(self, path: str) -> str:
        """The copy of the database in ``path``; a file that is not there yet where it is none."""
        if path in self._copies.values():
            return path
        if path not in self._copies:
            name = f"{len(self._copies)}-{os.path.basename(path)}"  # noqa: PTH119 - any text
            self._copies[path] = copy = os.path.join(self._folder, name)  # noqa: PTH118
            if Path(path).is_file():
                duplicate(path, copy)
        return self._copies[path]


def duplicate(path: str, copy: str) -> None:
    """One snapshot of the database in ``path`` as a new file. Raises sqlite3.Error."""
    # The last one to close a -wal writes it into the file, unless it only reads; who only reads
    # leaves an empty one where there was none.
    mode = "ro" if _has_content(f"{path}-wal") and not _has_content(f"{path}-journal") else "rw"
    with (
        closing(sqlite3.connect(f"{Path(path).as_uri()}?mode={mode}", uri=True)) as source,
        closing(sqlite3.connect(copy)) as made,
    ):
        source.backup(made)


def _has_content(path: str) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) > 0  # noqa: PTH113, PTH202 - any text
