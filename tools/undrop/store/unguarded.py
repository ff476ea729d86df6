"""Databases that are seen and not guarded: the guard is for one, and says so."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import durable, settings
from undrop.engines import registry
from undrop.errors import UndropError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from undrop.settings import Settings

NAME = "not_guarded.json"
"""In ``backups/``: the databases beside this one that ``env.py`` was seen to go to, and the doors
that were found open."""


def of(project: "Settings") -> list[str]:
    """Those that lie in the project, by their paths from its root, and those that were seen.

    A look at no more than some folders: see ``folders.below``. Nothing of them is a password.
    """
    own = project.engine.file
    apart = [project.backups, *([own] if own else [])]
    files = [
        str(path.relative_to(project.root))
        for path in registry.seen(project.root, apart)
        if not _is_anothers(project, path)
    ]
    others = [name for name in _remembered(project) if name not in files and _is_there(name)]
    return [*files, *(name for name in others if name != project.source)]


def doors(project: "Settings") -> list[str]:
    """What else was found not to be guarded when that was last tried, for people."""
    return _remembered(project, "doors")


def remember(project: "Settings", urls: "Iterable[str]") -> None:
    """Write down which other databases ``env.py`` goes to. Raises OSError."""
    sources = []
    for url in urls:
        with suppress(UndropError):
            sources.append(settings.of(project.root, {"url": url}).source)
    _write(project, sorted({*sources} - {project.source}), doors(project))


def remember_doors(project: "Settings", lines: list[str]) -> None:
    """Write down what else is not guarded. Raises OSError."""
    _write(project, _remembered(project), lines)


def _write(project: "Settings", databases: list[str], lines: list[str]) -> None:
    if (databases, lines) == (_remembered(project), doors(project)):
        return
    durable.private_folder(project.backups)
    work = project.backups / f".{os.getpid()}.partial"
    with durable.scratch(work):
        work.write_text(json.dumps({"databases": databases, "doors": lines}))
        durable.move(work, project.backups / NAME)


def _remembered(project: "Settings", key: str = "databases") -> list[str]:
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # people edit files
        names = json.loads((project.backups / NAME).read_bytes())[key]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    return []


def _is_there(name: str) -> bool:
    """Whether it may be there: of a server, who knows."""
    return "://" in name or Path(name).exists()


def _is_anothers(project: "Settings", path: Path) -> bool:
    """Whether a project in a folder of this one guards it, or keeps it as a backup."""
    for folder in path.parents:
        if folder == project.root:
            break
        with suppress(UndropError):
            other = settings.load(folder)
            if other.root == folder:
                live = other.engine.file
                is_live = live is not None and live.exists() and live.samefile(path)
                return is_live or path.is_relative_to(other.backups)
    return False
