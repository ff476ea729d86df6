"""The first 100 bytes of a SQLite file: what they claim, and whether that can be."""

import os
from pathlib import Path
from sqlite3 import sqlite_version_info
from typing import NamedTuple

from undrop import errors

MAGIC = b"SQLite format 3\0"
ROLLBACK, WAL = b"\x01\x01", b"\x02\x02"  # bytes 18 and 19 (fileformat2.html, 1.3.3)


class Header(NamedTuple):
    """The first 100 bytes of a database file (sqlite.org/fileformat2.html, 1.3), in pages."""

    page_size: int
    pages: int
    wal: bool
    counter: bytes
    """Change counter and the version it is valid for: differs after every rollback-mode commit."""


def parse(raw: bytes, size: int) -> Header:
    """Read a header; raise DamagedError when it cannot belong to a file of ``size`` bytes."""
    if size == 0:
        raise errors.damaged("it is empty (0 bytes)")
    if len(raw) < 100 or raw[:16] != MAGIC:
        raise errors.damaged("it is not a SQLite database")
    page_size = int.from_bytes(raw[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    if page_size < 512 or page_size & (page_size - 1):
        raise errors.damaged(f"its header claims pages of {page_size} bytes")
    pages = int.from_bytes(raw[28:32], "big")
    if raw[24:28] != raw[92:96]:  # written by a SQLite before 3.7.0, which left the count alone
        pages = size // page_size
    # Pages behind the last one were allocated before they are needed (SQLITE_FCNTL_CHUNK_SIZE).
    if size < pages * page_size or size % page_size:
        raise errors.damaged(f"its header claims {pages * page_size:,} bytes and it has {size:,}")
    return Header(page_size, pages, raw[18:20] == WAL, raw[24:28] + raw[92:96])


def read(path: Path) -> Header:
    """Header of a file that this process has not open through SQLite.

    Closing any descriptor of a file drops the process's locks on it
    (sqlite.org/howtocorrupt.html, 2.2); see ``snapshot.Held`` for the live database.
    """
    with path.open("rb") as file:
        return parse(file.read(100), os.fstat(file.fileno()).st_size)


def settle(path: Path) -> None:
    """Give a file that nobody has open the header that a snapshot of its content has.

    The Online Backup API writes its own into the new file: rollback mode, a change counter and a
    schema cookie of 1, and the version of the SQLite that wrote (fileformat2.html, 1.3). So one
    content has one digest, whoever wrote it.
    """
    version = sum(part * 1000**place for place, part in enumerate(sqlite_version_info[::-1]))
    one = (1).to_bytes(4, "big")
    with path.open("r+b") as file:
        for at, raw in (
            (18, ROLLBACK),
            (24, one),
            (40, one),
            (92, one + version.to_bytes(4, "big")),
        ):
            file.seek(at)
            file.write(raw)


def set_journal_mode(path: Path, mode: bytes) -> None:
    """Make a file that nobody has open a ROLLBACK or WAL one, changing no other byte."""
    with path.open("r+b") as file:
        file.seek(18)
        file.write(mode)
