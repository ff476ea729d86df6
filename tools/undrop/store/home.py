"""Which project's folder a record or a line of the log speaks of.

A path does not tell: another project may stand there now, and a synced or copied ``backups/``
tells of another machine's database.
"""

import ctypes
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.settings import Settings

Home = list[int]
"""Device and inode of the project's folder, inode of ``backups/``, birth of the first (nanoseconds;
0 where nobody tells, or left out); empty where nobody wrote it."""
BORN = 0x800  # STATX_BTIME
AT = 80  # bytes before ``stx_btime`` in ``struct statx`` (linux/stat.h): seconds, nanoseconds


def here(settings: "Settings") -> Home:
    """The home of what is done in this project now."""
    device, root = _numbers(settings.root)
    return [device, root, _numbers(settings.backups)[1], _born(settings.root)]


def is_same(home: Home, here: Home) -> bool:
    """Whether it is this project's folder.

    A folder that is made where one was removed gets its inode, often enough; not its birth. Where
    a file system knows none, the device tells, which may get another number when the machine
    starts anew: both folders' inodes do then.
    """
    if home == here:
        return True
    if len(home) < len(here) - 1 or home[1] != here[1]:
        return False
    born = home[3] if len(home) == len(here) else 0
    if born and here[3]:
        return born == here[3]
    return home[0] == here[0] or home[2] == here[2] != 0


def _numbers(folder: "Path") -> tuple[int, int]:
    try:
        stat = folder.stat()
    except OSError:
        return 0, 0
    return stat.st_dev, stat.st_ino


def _born(folder: "Path") -> int:
    """When a folder was made, in nanoseconds; 0 where nobody tells. Python has no statx(2)."""
    try:
        stat = folder.stat()
        if born := getattr(stat, "st_birthtime", 0):  # not on Linux
            return int(born * 1e9)
        found = ctypes.create_string_buffer(256)
        ctypes.CDLL(None).statx(-100, os.fsencode(folder), 0, BORN, found)  # from AT_FDCWD
        seconds, nanoseconds = struct.unpack_from("qI", found, AT)
    except (OSError, AttributeError):
        return 0
    return int(seconds) * 10**9 + int(nanoseconds)
