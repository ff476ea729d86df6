"""Which project's folder a record or a line of the log speaks of.

A path does not tell: another project may stand there now, and a synced or copied ``backups/``
tells of another machine's database.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.settings import Settings

Home = list[int]
"""Device and inode of the project's folder, inode of ``backups/``; empty where nobody wrote it."""


def here(settings: "Settings") -> Home:
    """The home of what is done in this project now."""
    device, root = _numbers(settings.root)
    return [device, root, _numbers(settings.backups)[1]]


def is_same(home: Home, here: Home) -> bool:
    """Whether it is this project's folder.

    A device may get another number when the machine starts anew: both folders tell then.
    """
    if len(home) != len(here):
        return False
    return home[1] == here[1] and (home[0] == here[0] or home[2] == here[2] != 0)


def _numbers(folder: "Path") -> tuple[int, int]:
    try:
        stat = folder.stat()
    except OSError:
        return 0, 0
    return stat.st_dev, stat.st_ino
