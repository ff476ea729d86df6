"""Load a dump into an open transaction: pg_restore's SQL through our own connection.

pg_restore itself would connect, and commit, by itself; emptying a database and filling it again
has to be one transaction.
"""

import re
from typing import TYPE_CHECKING, Any

from undrop.postgres import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

COPY = re.compile(rb"COPY .* FROM stdin;\n")
CHUNK = 1 << 20  # bytes
END = b"\\.\n"
OURS = re.compile(r"^(?:SET transaction_timeout = 0;|COMMENT ON EXTENSION .*;)\n", re.MULTILINE)
"""Not every server knows the one, not every user may say the other."""


def load(
    connection: "psycopg.Connection[Any]",
    dump: "Path",
    tick: "Callable[[int], None]" = lambda _done: None,
    *,
    bare: bool = False,
) -> None:
    """Run everything in ``dump``; nothing is committed. ``tick`` is told bytes of rows.

    ``bare`` leaves out owners, grants and publications, which not every user may give in a scratch
    database. Raises psycopg.Error, DamagedError.
    """
    less = ("--no-owner", "--no-privileges", "--no-publications") if bare else ()
    _definitions(connection, dump, "pre-data", *less)
    with programs.script(dump, "--section=data", *less) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        _rows(connection, process.stdout, tick)
    _definitions(connection, dump, "post-data", *less)


def _definitions(
    connection: "psycopg.Connection[Any]", dump: "Path", section: str, *options: str
) -> None:
    with programs.script(dump, f"--section={section}", *options) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        text = process.stdout.read().decode("utf-8", "surrogateescape")
    text = OURS.sub("", programs.NOISE.sub("", text))
    # A schema that an extension lives in has stayed.
    text = re.sub(r"^CREATE SCHEMA (?=\S.*;$)", "CREATE SCHEMA IF NOT EXISTS ", text, flags=re.M)
    connection.execute(text.encode("utf-8", "surrogateescape"))


def _rows(
    connection: "psycopg.Connection[Any]",
    script: Any,  # noqa: ANN401 - a buffered reader
    tick: "Callable[[int], None]",
) -> None:
    """Run a script of COPY with its rows, setval, and large objects' bytes."""
    done = 0
    statements: list[bytes] = []
    while line := script.readline():
        if COPY.fullmatch(line):
            _run(connection, statements)
            with connection.cursor().copy(line.strip().rstrip(b";")) as copy:
                for part in _until_end(script):
                    copy.write(part)
                    done += len(part)
                    tick(done)
        elif line.strip() not in {b"BEGIN;", b"COMMIT;"} and not line.startswith((b"\\", b"--")):
            statements.append(line)
            if len(statements) > 1000:
                _run(connection, statements)
    _run(connection, statements)


def _run(connection: "psycopg.Connection[Any]", statements: list[bytes]) -> None:
    if text := b"".join(statements).strip().replace(b"SET transaction_timeout = 0;", b""):
        connection.execute(text)
    statements.clear()


def _until_end(script: Any) -> "Iterator[bytes]":  # noqa: ANN401 - a buffered reader
    """The rows of one COPY, in large pieces, without the line that ends them."""
    lines: list[bytes] = []
    size = 0
    for line in script:
        if line == END:
            break
        lines.append(line)
        size += len(line)
        if size > CHUNK:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)
