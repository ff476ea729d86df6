"""Other projects' folders that have backups of this very database, or tell of steps on it.

Two git worktrees whose URL is absolute share a database and not its backups. A project's vault says
whose it is and which databases it has had, and it is there when the project is gone.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop.store import catalog, log, vault

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.catalog import Backup


class Neighbour(NamedTuple):
    """What another project knows of this database, and this one does not."""

    root: Path
    """Its folder, which may be gone."""
    folder: Path
    """Its vault."""
    backups: int
    newest: "Backup | None"
    steps: int
    """Those that changed something, or were not seen to end."""


def of(settings: "Settings") -> list[Neighbour]:
    """The neighbours that have anything. Reads one small file of each project without. A look."""
    if settings.engine.in_memory:
        return []
    here, own = vault.database(settings), settings.vault_folder
    seen = []
    for folder in vault.folders(settings):
        signed = None if folder == own else vault.signed(folder)
        if signed and here in signed.databases:
            seen.append(_look(settings, folder, signed.root))
    return [neighbour for neighbour in seen if neighbour.backups or neighbour.steps]


def _look(settings: "Settings", folder: Path, root: Path) -> Neighbour:
    names = catalog.contents(settings)
    backups = [
        backup
        for backup in catalog.read(settings, folder)
        if backup.record
        and _is_here(settings, root, backup.record.source)
        and names.get(backup.path.name) != backup.record.state
    ]
    backups.sort(key=lambda backup: backup.created)
    return Neighbour(
        root, folder, len(backups), backups[-1] if backups else None, _steps(settings, folder, root)
    )


def _steps(settings: "Settings", folder: Path, root: Path) -> int:
    known = {step.id for step in log.steps(settings)} | {s.id for s in log.strangers(settings)}
    last = {step.id or step.at: step for step in log.told_in(settings, folder)}
    return sum(
        step.phase in {"open", "done"} and _is_here(settings, root, step.source)
        for name, step in last.items()
        if name not in known
    )


def _is_here(settings: "Settings", root: Path, source: str) -> bool:
    """Whether that is this database, as a project in ``root`` names it."""
    if settings.engine.file is None:
        return source == settings.source
    return os.path.realpath(root / source) == str(settings.engine.file)
