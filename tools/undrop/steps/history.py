"""How the database grew: size, revision and rows of each table over the backups."""

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import UndropError
from undrop.store import catalog

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.catalog import Backup

Rows = dict[str, int]


class Point(NamedTuple):
    """One backup."""

    backup: "Backup"
    bytes: int
    revisions: list[str]
    rows: Rows
    """By table."""


def points(settings: "Settings") -> list[Point]:
    """The verified backups of this database, oldest first, with the rows in each.

    Those that an older undrop took are opened to be counted, once for the same bytes. One that
    cannot be read is left out.
    """
    ours = [
        backup
        for backup in catalog.backups(settings)
        if backup.verified and catalog.is_of(settings, backup)
    ]
    counted: dict[str, Rows] = {}
    found = []
    for number, backup in enumerate(ours):
        settings.engine.session.progress("count", number, len(ours))
        record = backup.record
        if record is None:
            continue
        if record.digest not in counted:
            with suppress(UndropError, OSError):
                counted[record.digest] = dict(record.rows or settings.engine.rows(backup.path))
        if record.digest in counted:
            size = record.database_bytes or record.bytes
            found.append(Point(backup, size, record.revisions, counted[record.digest]))
    return found
