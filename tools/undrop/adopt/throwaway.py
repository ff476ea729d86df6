"""A throw-away copy of a project's folder, in which a command may write what it likes."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from undrop.engines import registry
from undrop.folders import ENVIRONMENT, git_root

LINKED = {"node_modules", ".venv", "venv"}
"""Folders that are large, and that a migration only reads."""
LEFT_OUT = {".git", ".hg", ".svn", "__pycache__"}
LARGEST = 10_000_000  # bytes of a file
MOST = 10_000  # files
LARGEST_IN_ALL = 500_000_000  # bytes


class Room(NamedTuple):
    """How much more is copied."""

    files: int
    bytes: int


def copied(root: Path, folder: Path, backups: Path) -> Path:
    """The copy of ``root`` in ``folder``, without databases, their backups and large files.

    In a repository's folder below its top it is as far below, where packages lie above; of what is
    large, the nearest folders alone. Raises OSError.
    """
    top = git_root(root) or root.resolve()
    copy = folder / top.name / root.resolve().relative_to(top)
    copy.mkdir(parents=True)
    for above in (each for each in root.resolve().parents if each.is_relative_to(top)):
        for name in LINKED:
            there = folder / top.name / above.relative_to(top) / name
            if (above / name).is_dir() and not there.exists():
                there.symlink_to(above / name)
    apart, left, waiting = {*registry.seen(root), backups}, Room(MOST, LARGEST_IN_ALL), [Path()]
    while waiting and left.files and left.bytes > 0:
        inside = waiting.pop(0)
        with suppress(OSError):  # what is closed to us, the command has no use for either
            for child in sorted(os.scandir(root / inside), key=lambda child: child.name):
                if child.name not in LEFT_OUT and root / inside / child.name not in apart:
                    with suppress(OSError):
                        left = _copied(root, copy, inside / child.name, left)
                        made = copy / inside / child.name
                        if child.is_dir(follow_symlinks=False) and not made.is_symlink():
                            waiting.append(inside / child.name)
    return copy


def _copied(root: Path, copy: Path, name: Path, left: Room) -> Room:
    """What room is left with that file, link or folder, which is empty yet, in the copy."""
    there, one = root / name, copy / name
    if there.is_symlink():
        target, top = there.resolve(), root.resolve()
        one.symlink_to(copy / target.relative_to(top) if target.is_relative_to(top) else target)
    elif there.is_dir():
        if there.name in LINKED or (there / ENVIRONMENT).exists():
            one.symlink_to(there)
        else:
            one.mkdir()
    elif there.is_file() and (size := there.stat().st_size) <= min(LARGEST, left.bytes):
        if not left.files:
            return left
        shutil.copy2(there, one)
        return Room(left.files - 1, left.bytes - size)
    return left


def written(root: Path, copy: Path) -> list[str]:
    """Files of the copy that have been written since, by their names; links are not followed."""
    names = []
    for parent, folders, files in os.walk(copy):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        inside = Path(parent).relative_to(copy)
        for name in sorted(files):
            same = False
            with suppress(OSError):
                one, other = (os.lstat(each / inside / name) for each in (root, copy))
                same = (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
                same = same or (copy / inside / name).is_symlink()
            if not same:
                names.append(str(inside / name))
    return names
