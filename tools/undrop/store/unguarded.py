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

    None of those that have a name in the settings.

    A look at no more than some folders: see ``folders.below``. Nothing of them is a password.
    """
    guarded = [*settings.known(project)]
    own = [each.engine.file for each in guarded if each.engine.file]
    apart = [project.backups, *own]
    files = [
        str(path.relative_to(project.root))
        for path in registry.seen(project.root, apart)
        if not _is_anothers(project, path)
    ]
    others = [name for name in _remembered(project) if name not in files and _is_there(name)]
    sources = {each.source for each in guarded}
    return [*files, *(name for name in others if name not in sources)]


def doors(project: "Settings") -> list[str]:
    """What else was found not to be guarded when that was last tried, for people."""
    return _remembered(project, "doors")


def remember(project: "Settings", urls: "Iterable[str]") -> None:
    """Write down which other databases ``env.py`` goes to. Raises OSError."""
    sources = []
    for url in urls:
        with suppress(UndropError):
            sources.append(settings.of(project.root, {"url": url}).source)
    guarded = {each.source for each in settings.known(project)}
    _write(project, sorted({*sources} - guarded), doors(project))


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
                lives = [each.engine.file for each in settings.known(other)]
                is_live = any(live and live.exists() and live.samefile(path) for live in lives)
                return is_live or path.is_relative_to(other.backups)
    return False
