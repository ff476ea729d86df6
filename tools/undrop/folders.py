"""Which folders of somebody's project are looked into, nearest first; and where its top is."""

import os
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

PASSED_OVER = {
    *("node_modules", "site-packages", "dist-packages", "build", "dist", "backups"),
    *("test", "tests", "testing", "testdata", "test_data", "fixtures"),
    *(".git", ".hg", ".svn", ".tox", ".nox", ".eggs", ".hypothesis"),
}
"""What others put there, what is made from what stands elsewhere, and what tests keep."""
ENVIRONMENT = "pyvenv.cfg"
"""Is in the folder of a Python environment (PEP 405)."""
MOST = 2_000  # folders, which takes some hundredths of a second


def below(
    root: Path, *, hidden: bool = False, apart: Collection[Path] = ()
) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Each folder from ``root`` down with the files in it, links to files among them.

    Folders that are links, that are passed over, or in ``apart``, are not gone into, hidden ones
    only where it is asked for; after ``MOST`` it ends.
    """
    waiting, left = deque([root]), MOST
    while waiting and left:
        folder, left = waiting.popleft(), left - 1
        files, folders = [], []
        with suppress(OSError), os.scandir(folder) as listing:
            for child in listing:
                is_folder = child.is_dir(follow_symlinks=False)
                if not is_folder:
                    files.append(child)
                elif not _is_passed_over(child.name, hidden=hidden):
                    folders.append(folder / child.name)
        if folder != root and any(child.name == ENVIRONMENT for child in files):
            continue
        waiting += sorted(path for path in folders if path not in apart)
        yield folder, sorted(files, key=lambda child: child.name)


def git_root(folder: Path) -> Path | None:
    """The top of the working tree that a folder is in; a worktree's has a file of that name."""
    folder = Path(os.path.realpath(folder))
    tops = (each for each in (folder, *folder.parents) if (each / ".git").exists())
    return next(tops, None)


def _is_passed_over(name: str, *, hidden: bool) -> bool:
    return name in PASSED_OVER or "cache" in name.lower() or (name[0] == "." and not hidden)
