"""The pages of a database file: whether two files have the same, and what a copy's digest is."""

import os
from typing import TYPE_CHECKING

from undrop import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from undrop.values import Progress

STEP = 1 << 20  # bytes; every page size divides it
LOCK_BYTE = 1 << 30  # its page is never written (sqlite.org/fileformat2.html, 1.4)
COUNTERS = (slice(18, 20), slice(24, 28), slice(40, 44), slice(92, 100))
"""Journal mode, change counter, schema cookie and who wrote last: not content (1.3)."""


def same(fd: int, other: "Path", page_size: int, progress: "Progress") -> bool:
    """Whether the file open at ``fd`` and ``other`` have the same pages, read from both now.

    The header's counters and the page that SQLite locks by may differ. Nobody may write either
    meanwhile, or the answer is no. Raises OSError.
    """
    size = os.fstat(fd).st_size
    if other.stat().st_size != size:
        return False
    one, two = bytearray(STEP), bytearray(STEP)
    with other.open("rb", buffering=0) as file:
        for start in range(0, size, STEP):
            count = os.preadv(fd, [one], start)
            if file.readinto(two) != count or count != min(STEP, size - start):
                return False
            if start == 0:
                for part in COUNTERS:
                    two[part] = one[part]
            if start == LOCK_BYTE:
                two[:page_size] = one[:page_size]
            if one != two:  # behind a short last part both have what came before it
                return False
            progress("check", start + count, size)
    return True


def read(
    fd: int, page_size: int, size: int, wal: int, places: "Mapping[int, int]"
) -> "Iterator[memoryview]":
    """The pages of a snapshot in their order, each part of them until the next is asked for.

    They are ``size`` bytes in the file open at ``fd``, but for those that have ``places`` in the
    one open at ``wal`` (``wal.places``). The page that SQLite locks by is zeros. Raises OSError.
    """
    newer = sorted(places.items())
    at, room = 0, memoryview(bytearray(STEP))
    for start in range(0, size, STEP):
        part = room[: min(STEP, size - start)]
        count = os.preadv(fd, [part], start)
        part[count:] = bytes(len(part) - count)  # what was added is in the -wal alone
        while at < len(newer) and (offset := (newer[at][0] - 1) * page_size - start) < len(part):
            os.preadv(wal, [part[offset : offset + page_size]], newer[at][1])
            at += 1
        if start == LOCK_BYTE:
            part[:page_size] = bytes(page_size)
        yield part


def digest_of_copy(parts: "Iterator[memoryview]", header: bytes) -> str:
    """The digest that a backup with these pages has, which ``parts`` are, made with ``header``.

    That is another's first 100 bytes: what of them is not content is what SQLite gives to every
    copy that it makes.
    """

    def copied() -> "Iterator[memoryview]":
        for number, part in enumerate(parts):
            if number == 0:
                for place in COUNTERS:
                    part[place] = header[place]
            yield part

    return digest.of_parts(copied())
