"""A state of a database, read with SQL: a SQLite file, or what stands for another engine's."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from undrop.sqlitefile import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.compare.structure import Structure
    from undrop.sqlitefile.connect import Connection


class Readable(NamedTuple):
    """It is ``main`` of its connection."""

    path: "Path"
    """To be attached elsewhere, where nobody writes to it: a backup's is such a file."""
    connection: "Connection"
    known: "Structure | None" = None
    """What it is made of, where the file stands for another engine's database."""


def of(path: "Path", connection: "Connection", known: "Structure | None" = None) -> Readable:
    """What a connection has open, which may be in use; a text that is none is read all the same."""
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return Readable(path, connection, known)


@contextmanager
def opened(path: "Path", known: "Structure | None" = None) -> "Iterator[Readable]":
    """A file that nobody writes. Raises DamagedError, UndropError, for the block as well."""
    with connect.explained(path, "reading"):
        connection = connect.connect(path, "immutable")
        try:
            connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
            yield of(path, connection, known)
        finally:
            connection.close()
