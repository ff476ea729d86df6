"""How the database grew: size, revision and rows of each table over the backups."""

import json
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable
from undrop.errors import UndropError
from undrop.store import catalog

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock

Rows = dict[str, int]


class Point(NamedTuple):
    """One backup."""

    backup: "Backup"
    bytes: int
    revisions: list[str]
    rows: Rows
    """By table."""


def points(lock: "Lock") -> list[Point]:
    """The verified backups of this database, oldest first, each with its rows counted.

    Counts are remembered by digest in ``backups/rows.json``: a backup is opened once.
    One that cannot be read is left out.
    """
    settings = lock.settings
    ours = [
        backup
        for backup in catalog.backups(settings)
        if backup.verified and catalog.is_of(settings, backup)
    ]
    known = _remembered(settings)
    counts = []
    counted = False
    for number, backup in enumerate(ours):
        lock.session.progress("count", number, len(ours))
        if backup.record is None:
            continue
        digest = backup.record.digest
        if digest not in known:
            with suppress(UndropError, OSError):
                known[digest] = dict(backup.record.rows or settings.engine.rows(backup.path))
                counted = True
        if digest in known:
            counts.append(
                Point(
                    backup,
                    backup.record.database_bytes or backup.record.bytes,
                    backup.record.revisions,
                    known[digest],
                )
            )
    if counted:
        _remember(
            lock,
            {backup.backup.record.digest: backup.rows for backup in counts if backup.backup.record},
        )
    return counts


def _remembered(settings: "Settings") -> dict[str, Rows]:
    try:
        found = json.loads((settings.backups / "rows.json").read_bytes())
        return {
            str(digest): {str(t): int(n) for t, n in each.items()} for digest, each in found.items()
        }
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return {}


def _remember(lock: "Lock", known: dict[str, Rows]) -> None:
    partial = lock.partial()
    with durable.scratch(partial):
        partial.write_text(json.dumps(known))
        partial.rename(lock.settings.backups / "rows.json")
