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
        each
        for each in catalog.backups(settings)
        if each.verified and catalog.is_of(settings, each)
    ]
    known = _remembered(settings)
    found = []
    counted = False
    for number, each in enumerate(ours):
        lock.session.progress("count", number, len(ours))
        if each.record is None:
            continue
        digest = each.record.digest
        if digest not in known:
            with suppress(UndropError, OSError):
                known[digest] = dict(each.record.rows or settings.engine.rows(each.path))
                counted = True
        if digest in known:
            found.append(
                Point(
                    each,
                    each.record.database_bytes or each.record.bytes,
                    each.record.revisions,
                    known[digest],
                )
            )
    if counted:
        _remember(
            lock, {each.backup.record.digest: each.rows for each in found if each.backup.record}
        )
    return found


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
