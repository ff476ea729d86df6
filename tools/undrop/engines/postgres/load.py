"""Load a dump into an open transaction: pg_restore's SQL through our own connection.

pg_restore itself would connect, and commit, by itself; emptying a database and filling it again
has to be one transaction.
"""

from typing import TYPE_CHECKING, Any

import psycopg

from undrop.engines.postgres import programs, script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNK = 1 << 20  # bytes
END = b"\\.\n"
BARE = ("--no-owner", "--no-privileges", "--no-publications", "--no-tablespaces")
"""What not every user may give in a scratch database, nor every server has."""


class Load:
    """A dump, on its way into a database.

    ``less`` are options of pg_restore's that leave something out. What a dump has no words
    for stays as it is in the database that it is loaded into: that one's owner, grants and
    settings, and a schema ``public`` where the dumped database had none. A materialized view is
    filled from its tables as they are now (postgresql.org/docs/current/app-pgdump.html, Notes).
    """

    def __init__(self, dump: "Path", *, less: tuple[str, ...] = ()) -> None:
        self.name = dump.name
        self._dump, self._less = dump, less
        self._before = script.Section(dump, "pre-data", *self._less)
        self.extensions = self._before.extensions
        """Names and schemas, in SQL."""

    def run(
        self,
        connection: "psycopg.Connection[Any]",
        tick: "Callable[[int], None]" = lambda _done: None,
    ) -> None:
        """Run everything in it; nothing is committed. ``tick`` is told bytes of rows.

        Raises psycopg.Error, DamagedError.
        """
        connection.execute("SET row_security = on")
        _execute(connection, self._before.text)
        with programs.script(self._dump, "--section=data", *self._less) as process:
            _rows(connection, process.stdout, tick)
        after = script.Section(self._dump, "post-data", *self._less)
        _execute(connection, after.text)
        if self._less != BARE:
            for comment in (*self._before.comments, *after.comments):
                try:
                    with connection.transaction():  # a savepoint
                        connection.execute(comment)
                except psycopg.errors.InsufficientPrivilege:
                    continue  # the extension is another's, and so is what is said of it


def _execute(connection: "psycopg.Connection[Any]", text: bytes) -> None:
    if text:
        connection.execute(text)


def _rows(
    connection: "psycopg.Connection[Any]",
    lines: Any,  # noqa: ANN401 - a buffered reader
    tick: "Callable[[int], None]",
) -> None:
    """Run a script of COPY with its rows, setval, and large objects' bytes."""
    done = size = 0
    waiting: list[bytes] = []
    for statement in script.data(lines):
        if statement.startswith(b"COPY ") and statement.endswith(b" FROM stdin;\n"):
            _execute(connection, b"".join(waiting))
            waiting, size = [], 0
            with connection.cursor().copy(statement.strip().rstrip(b";")) as copy:
                for part in _until_end(lines):
                    copy.write(part)
                    done += len(part)
                    tick(done)
            continue
        waiting.append(statement)
        size += len(statement)
        if size > CHUNK:
            _execute(connection, b"".join(waiting))
            done += size
            tick(done)
            waiting, size = [], 0
    _execute(connection, b"".join(waiting))


def _until_end(lines: Any) -> "Iterator[bytes]":  # noqa: ANN401 - a buffered reader
    """The rows of one COPY, in large pieces, without the line that ends them."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        if line == END:
            break
        part.append(line)
        size += len(line)
        if size > CHUNK:
            yield b"".join(part)
            part, size = [], 0
    if part:
        yield b"".join(part)
