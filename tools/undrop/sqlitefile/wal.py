"""Where the pages are that are in a -wal, as its index told a reader.

After SQLite's own description of both files (sqlite.org/walformat.html, 1.2 and 2.1). While a
reader's transaction is open no frame that it needs is overwritten, and no later one is checkpointed
into the database file (2.3 there).
"""

import os
import sys
from typing import NamedTuple

from undrop.errors import UndropError

HEADER, FRAME = 32, 24  # bytes before the first frame, and before each frame's page
HALF = 48  # bytes of the index's header, which is there twice


class Index(NamedTuple):
    """The header of a -shm: which frames a transaction that begins now reads."""

    raw: bytes

    @property
    def whole(self) -> bool:
        """Whether nobody was writing it just then."""
        return len(self.raw) == 2 * HALF and self.raw[:HALF] == self.raw[HALF:]

    @property
    def frames(self) -> int:
        """How many, from the first."""
        return int.from_bytes(self.raw[16:20], sys.byteorder)

    @property
    def salts(self) -> bytes:
        """What tells these frames from those of before the -wal was begun anew."""
        return self.raw[32:40]


def index(shm: int) -> Index:
    """What the -shm that is open at ``shm`` says now. Raises OSError."""
    return Index(os.pread(shm, 2 * HALF, 0))


def places(wal: int, shm: int, seen: Index, page_size: int, *, trusted: bool) -> dict[int, int]:
    """Where in the -wal, open at ``wal``, the newest copy of each page is; the first page is 1.

    ``seen`` is what the index said when the transaction began; what is not there is in the database
    file. An index that is not ``trusted`` (SQLite may not write it, and does without where it is a
    dead program's) must know of all that is in the -wal. Raises UndropError, OSError.
    """
    backfilled = int.from_bytes(os.pread(shm, 4, 2 * HALF), sys.byteorder)
    if backfilled >= seen.frames and trusted:
        return {}  # all of it is in the database file, and the -wal may be begun anew
    found = {}
    for number in range(seen.frames + 1):
        at = HEADER + number * (FRAME + page_size)
        start = os.pread(wal, FRAME, at)
        ours = start[8:16] == seen.salts
        if number < seen.frames and ours:
            found[int.from_bytes(start[:4], "big")] = at + FRAME
        elif number < seen.frames or (ours and not trusted):
            raise UndropError("the -wal is not what its index says", "the same command again")
    return found
