"""Work copies beside the live database, on its file system, and the sweep of what was killed."""

import os
import shutil
from typing import TYPE_CHECKING

from undrop import durable

if TYPE_CHECKING:
    from pathlib import Path


def beside(live: "Path") -> "Path":
    """A hidden name beside the live database; swept by the next run."""
    return live.with_name(f"{_prefix(live)}{os.getpid()}.undrop-work")


def _prefix(live: "Path") -> str:
    return f".{os.fsencode(live.name)[:120].decode('utf-8', 'ignore')}."


def sweep(live: "Path") -> None:
    """Remove the work copies of runs that were killed."""
    if not live.parent.is_dir():
        return
    prefix = _prefix(live)
    for name in os.listdir(live.parent):
        if not name.startswith(prefix) or ".undrop-work" not in name:
            continue
        path = live.with_name(name)
        # Another project, with a lock of its own, may be at work on the same database.
        if not durable.is_alive(path.name.removeprefix(prefix).partition(".")[0]):
            if path.is_dir() and not path.is_symlink():  # a command's lock beside it, say
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
