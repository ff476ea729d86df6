"""One look at where things stand."""

from typing import TYPE_CHECKING, NamedTuple

from undrop import backup, catalog, check, durable, holders, schema, sqlite, turn, vault
from undrop.errors import DamagedError

if TYPE_CHECKING:
    from undrop.catalog import Backup
    from undrop.settings import Settings


class Status(NamedTuple):
    """The live database, its schema and its backups."""

    exists: bool
    bytes: int
    """Size of the file, its -wal not counted."""
    journal_mode: str
    revisions: list[str]
    heads: list[str] | None
    """The code's newest revision(s); None where Alembic is not set up."""
    open_in: list[holders.Holder]
    last: "Backup | None"
    """The newest verified backup of this database, whatever it was taken for."""
    covered: bool
    """Whether a verified backup holds the present state; true when there is no database."""
    damage: str
    """What is wrong with the file; empty when nothing is."""
    vault: str
    """Where every backup has its second name; empty when that is turned off."""
    not_in_vault: list[str]
    """Files of backups that have none: no hard links there, and too large to copy."""


def look(settings: "Settings", progress: sqlite.Progress) -> Status:
    """Compare the live database with its backups by content. Changes nothing.

    Call it inside ``turn.take`` when ``backups/`` exists. Raises UndropError.
    """
    ours = [each for each in catalog.entries(settings) if catalog.is_of(settings, each)]
    status = Status(
        exists=backup.exists(settings),
        bytes=durable.size(settings.live) if settings.database else 0,
        journal_mode="",
        revisions=[],
        heads=schema.heads(settings),
        open_in=[],
        last=next((each for each in reversed(ours) if each.verified), None),
        covered=True,
        damage="",
        vault=str(vault.folder(settings) or ""),
        not_in_vault=vault.missing(settings),
    )
    if not status.exists:
        return status
    status = status._replace(open_in=holders.of(settings.live), covered=False)
    try:
        return _opened(settings, status, progress)
    except (DamagedError, FileNotFoundError) as error:
        what = (
            error.what if isinstance(error, DamagedError) else "the file is gone, its -wal is not"
        )
        return status._replace(damage=what)


def _opened(settings: "Settings", status: Status, progress: sqlite.Progress) -> Status:
    held = sqlite.Held(settings.live)
    try:
        status = status._replace(
            journal_mode="wal" if held.wal else "rollback",
            revisions=check.revisions(held.connection),
        )
        if status.last is not None:
            with durable.scratch(turn.partial(settings)) as snapshot:
                held.copy_to(snapshot, progress)
                found = backup.holding(settings, snapshot, progress)
                return status._replace(covered=found is not None)
        return status
    finally:
        held.close()
