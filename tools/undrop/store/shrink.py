"""The shrink alarm: a table that had rows and has none must not quietly become ``latest``."""

from typing import TYPE_CHECKING

from undrop.store import catalog, log

if TYPE_CHECKING:
    from collections.abc import Collection

    from undrop.settings import Settings
    from undrop.store.catalog import Backup


def expected(settings: "Settings", backups: "list[Backup]") -> set[str]:
    """Tables that are to have rows, by the newest backup or, if newer, our own last step.

    What an earlier backup was marked for is still expected, so that a backup of the loss does
    not launder it.
    """
    told = (step for step in reversed(log.steps(settings)) if step.filled is not None)
    step = next(told, None)
    for backup in reversed(backups):
        record = backup.record
        if record is None or not backup.verified or not catalog.is_of(settings, backup):
            continue
        if step and (step.sequence, step.at) > (backup.sequence, record.created):
            break
        return {*record.filled, *record.shrunk}
    return set(step.filled or ()) if step else set()


def missing(settings: "Settings", backups: "list[Backup]", filled: list[str]) -> list[str]:
    """The expected tables that are not among ``filled``, the tables with rows in them."""
    return sorted(expected(settings, backups) - set(filled))


def full(settings: "Settings", backups: "list[Backup]", tables: "Collection[str]") -> str:
    """The newest verified backup with rows in all of these tables, by name; empty for none."""
    for backup in reversed(backups):
        filled = backup.record.filled if backup.record and backup.verified else ()
        if set(tables) <= set(filled) and catalog.is_of(settings, backup):
            return backup.path.name
    return ""
