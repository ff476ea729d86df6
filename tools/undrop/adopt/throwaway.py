"""A throw-away copy of a project's folder, in which a command may write what it likes."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from undrop.engines import registry
from undrop.folders import ENVIRONMENT, git_root

LINKED = {"node_modules", ".venv", "venv"}
"""Folders that are large, and that a migration only reads."""
LEFT_OUT = {".git", ".hg", ".svn", "__pycache__"}
LARGEST = 10_000_000  # bytes of a file
MOST = 10_000  # files


def copied(root: Path, folder: Path, backups: Path) -> Path:
    """The copy of ``root`` in ``folder``, without databases, their backups and large files.

    In a repository's folder below its top it is as far below, where packages lie above. Raises
    OSError.
    """
    top = git_root(root) or root.resolve()
    copy = folder / top.name / root.resolve().relative_to(top)
    copy.mkdir(parents=True)
    for above in (each for each in root.resolve().parents if each.is_relative_to(top)):
        for name in LINKED:
            there = folder / top.name / above.relative_to(top) / name
            if (above / name).is_dir() and not there.exists():
                there.symlink_to(above / name)
    apart = {*registry.seen(root), backups}
    left, waiting = MOST, [Path()]
    while waiting:
        inside = waiting.pop()
        for child in sorted(os.scandir(root / inside), key=lambda child: child.name):
            path, there = inside / child.name, copy / inside / child.name
            if child.name in LEFT_OUT or root / path in apart:
                continue
            if child.is_symlink():
                target = (root / path).resolve()
                inner = target.is_relative_to(root.resolve())
                there.symlink_to(copy / target.relative_to(root.resolve()) if inner else target)
            elif child.is_dir():
                if child.name in LINKED or (root / path / ENVIRONMENT).exists():
                    there.symlink_to(root / path)
                    continue
                there.mkdir()
                waiting.append(path)
            elif left and child.is_file() and child.stat().st_size <= LARGEST:
                left -= 1
                shutil.copy2(root / path, there)
    return copy


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
