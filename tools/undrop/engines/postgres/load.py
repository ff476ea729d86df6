"""Load a dump into an open transaction: pg_restore's SQL through our own connection.

pg_restore itself would connect, and commit, by itself; emptying a database and filling it again
has to be one transaction.
"""

from typing import TYPE_CHECKING, Any

import psycopg

from undrop.engines.postgres import content, programs, script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNK = 1 << 20  # bytes
END = b"\\.\n"
BARE = ("--no-owner", "--no-privileges", "--no-publications", "--no-tablespaces")
"""What not every user may give in a scratch database, nor every server has."""


EMPTY_PATH = b"SELECT pg_catalog.set_config('search_path', '', false);"
"""What each section of a dump begins with."""
UNRESOLVED = tuple(map(psycopg.errors.lookup, sorted(content.UNRESOLVED)))


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

        A function that names what it needs without a schema finds nothing under the empty
        search_path of a dump (app-pgdump.html, Notes): then it is run once more under that of the
        database. Raises psycopg.Error, DamagedError.
        """
        try:
            with connection.transaction():  # a savepoint
                self._run(connection, tick, b"''")
        except UNRESOLVED:
            path = "SELECT pg_catalog.quote_literal(reset_val) FROM pg_catalog.pg_settings WHERE "
            [[own]] = connection.execute(f"{path} name = 'search_path'").fetchall()
            with connection.transaction():
                self._run(connection, tick, own.encode())

    def _run(
        self, connection: "psycopg.Connection[Any]", tick: "Callable[[int], None]", path: bytes
    ) -> None:
        """Under that search_path, a literal in SQL."""
        under = EMPTY_PATH.replace(b"''", path)
        connection.execute("SET row_security = on")
        _execute(connection, self._before.text.replace(EMPTY_PATH, under))
        with programs.script(self._dump, "--section=data", *self._less) as process:
            _rows(connection, process.stdout, tick, under)
        after = script.Section(self._dump, "post-data", *self._less)
        _execute(connection, after.text.replace(EMPTY_PATH, under))
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
    under: bytes,
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
        waiting.append(statement.replace(EMPTY_PATH, under))
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
