"""Which other programs have the database open."""

import os
from pathlib import Path

from undrop import durable
from undrop.values import Holder


def of(path: Path) -> list[Holder]:
    """The other processes that have ``path`` open, as far as this user may see.

    Open files are the only sign that shows all of them: ``BEGIN EXCLUSIVE`` succeeds beside
    idle connections, lock probing misses an idle rollback-mode one.
    """
    import psutil

    wanted = {str(path), *map(str, durable.sidecars(path))}
    holders = []
    for process in psutil.process_iter(["pid", "name"]):
        if process.pid == os.getpid():
            continue
        try:
            opened = {file.path for file in process.open_files()}
        except psutil.Error:
            continue
        if opened & wanted:
            holders.append(Holder(process.pid, process.info["name"] or "?"))
    return holders


def describe(path: Path) -> str:
    """`` by python (pid 7), sqlite3 (pid 9)``; empty when nobody is seen."""
    names = [f"{holder.name} (pid {holder.pid})" for holder in of(path)]
    return f" by {', '.join(names)}" if names else ""
