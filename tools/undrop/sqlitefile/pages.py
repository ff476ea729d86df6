"""Whether two database files are the same page by page."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEP = 1 << 20  # bytes; every page size divides it
LOCK_BYTE = 1 << 30  # its page is never written (sqlite.org/fileformat2.html, 1.4)
COUNTERS = (slice(18, 20), slice(24, 28), slice(40, 44), slice(92, 100))
"""Journal mode, change counter, schema cookie and who wrote last: not content (1.3)."""


def same(
    fd: int, other: "Path", page_size: int, progress: "Callable[[str, int, int], None]"
) -> bool:
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
