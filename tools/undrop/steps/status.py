"""One look at where things stand."""

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import CheckError, DamagedError, SlowError, UndropError
from undrop.migrations import revisions
from undrop.steps import backup, choose, cover, replica, undo
from undrop.store import catalog, handed_on, unguarded, vault
from undrop.store.timeline import Moment, Timeline

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.values import Holder


class Status(NamedTuple):
    """The live database, its schema and its backups."""

    exists: bool
    bytes: int
    """Size of the file, its -wal not counted."""
    mode: str
    """How it keeps its files, or what serves it."""
    revisions: list[str]
    heads: list[str] | None
    """The code's newest revision(s); None where Alembic is not set up."""
    open_in: "list[Holder]"
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
    pending: list[str]
    """Migrations that the code has and the database has not, the next one first."""
    shrunk: list[str]
    """Tables that had rows, have none in the newest backup, and nobody said that it was meant."""
    used: int
    """Bytes on the disk of ``backups/`` and the vault, hard links counted once."""
    held_bytes: int
    """Bytes of the states that these are backups of, each once, as they were taken."""
    undo: "undo.Plan | undo.OthersWorkError | None"
    """What ``undo`` would take back, or why it would stop."""
    unknown: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """Revisions of the database that the migrations here do not know."""
    fitting: str = ""
    """The newest backup at a revision that they know, where there are such."""
    lost: bool = False
    """Whether the database was done away with, and no step did it."""
    unguarded: list[str] = []  # noqa: RUF012
    """Other databases of this project that are seen, and that nothing guards."""
    open_doors: list[str] = []  # noqa: RUF012
    """What else was not guarded when `init` last tried, for people."""
    replica: str = ""
    """What replicates the database, and whether that is current; empty when nothing does."""
    replicated: bool | None = True
    """Whether a change may start; None where that was not known in time."""
    after_backup: "handed_on.Standing | None" = None
    """How far the user's own command is that every backup is handed to; None for no command."""


def look(settings: "Settings") -> Status:
    """Compare the live database with its backups by content.

    Writes nothing and waits for no other undrop. Raises UndropError.
    """
    revisions.ask(settings)
    seen = _look(settings)
    unknown = revisions.unknown(settings, seen.revisions)
    return seen._replace(
        heads=revisions.heads(settings),
        pending=revisions.pending(settings, seen.revisions),
        unknown=unknown,
        fitting=choose.fitting(settings) if unknown else "",
        unguarded=unguarded.of(settings),
        open_doors=unguarded.doors(settings),
        after_backup=handed_on.look(settings),
    )


def with_replica(settings: "Settings", seen: Status) -> Status:
    """The same with what replicates the database, as it is: nothing is waited for."""
    current: bool | None
    try:
        line, current = replica.look(settings), True
    except SlowError as slow:
        line, current = slow.what, None
    except (UndropError, OSError) as error:
        line, current = error.what if isinstance(error, UndropError) else str(error), False
    return seen._replace(replica=line, replicated=current)


def _look(settings: "Settings") -> Status:
    every = catalog.backups(settings)
    ours = [each for each in every if catalog.is_of(settings, each)]
    status = Status(
        exists=settings.engine.exists(),
        bytes=settings.engine.size() or 0,
        mode="",
        revisions=[],
        heads=[],
        open_in=[],
        last=next((each for each in reversed(ours) if each.verified), None),
        covered=True,
        damage="",
        vault=str(settings.vault_folder or ""),
        not_in_vault=vault.missing(settings),
        pending=[],
        shrunk=[],
        used=_used(settings),
        held_bytes=sum({r.digest: r.bytes for r in (each.record for each in every) if r}.values()),
        undo=None,
    )
    if status.last and status.last.record:
        status = status._replace(shrunk=status.last.record.shrunk)
    if not status.exists:
        return _with_undo(settings, status, every)
    status = status._replace(open_in=settings.engine.holders(), covered=False)
    try:
        return _opened(settings, status, every)
    except (DamagedError, FileNotFoundError) as error:
        what = (
            error.what if isinstance(error, DamagedError) else "the file is gone, its -wal is not"
        )
        return _with_undo(settings, status._replace(damage=what), every)


def _opened(settings: "Settings", status: Status, every: "list[Backup]") -> Status:
    live = settings.engine.look()
    try:
        counts = live.rows() if status.shrunk else {}
        shrunk = [name for name in status.shrunk if not counts.get(name)]
        status = status._replace(mode=live.mode, revisions=live.revisions(), shrunk=shrunk)
    finally:
        live.close()
    return _with_undo(settings, status, every)


def _with_undo(settings: "Settings", status: Status, every: "list[Backup]") -> Status:
    """Whether it is covered, and what ``undo`` would do; what was lost by no step is not."""
    line = Timeline(settings, backups=every)
    present = _known(settings, line) or undo.look(settings, line)
    if status.exists and not status.damage:
        held = backup.holding(settings, line.backups, present.content)
        status = status._replace(covered=held is not None)
    try:
        plan = undo.planned(settings, line, present, whole=False)
    except undo.OthersWorkError as stopped:
        return status._replace(undo=stopped)
    except CheckError:
        lost = undo.is_lost(settings, present) and _was_more(line.backups)
        return status._replace(undo=None, lost=lost, covered=status.covered and not lost)
    lost = not plan.taken_back
    can = plan.target.can_be_put_back
    return status._replace(
        undo=plan if can else None, lost=lost, covered=status.covered and not lost
    )


def _known(settings: "Settings", line: Timeline) -> Moment | None:
    """The present state where it is known cheaply, and looking would read every row."""
    name = "" if settings.engine.light else cover.known(settings)
    held = (m for m in reversed(line.moments) if m.backup and m.backup.path.name == name)
    return next((m._replace(steps=()) for m in held if m.can_be_put_back), None)


def _was_more(ours: "list[Backup]") -> bool:
    """Whether one of them has a table: a new database may have no byte yet."""
    return any(
        each.verified and each.record and (each.record.rows or each.record.filled) for each in ours
    )


def _used(settings: "Settings") -> int:
    blocks = {}
    for folder in settings.folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                with suppress(FileNotFoundError):  # another undrop is at work
                    stat = os.lstat(f"{parent}/{name}")
                    blocks[stat.st_dev, stat.st_ino] = stat.st_blocks
    return 512 * sum(blocks.values())
