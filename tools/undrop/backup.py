"""Take a verified backup, and know whether the present state is held by one."""

import os
import stat
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from undrop import check, durable, errors, sqlite, turn
from undrop.errors import CheckError, DamagedError, UndropError, UsageError

# The catalog and what it needs are loaded while SQLite checks the copy: on a few megabytes the
# one takes as long as the other.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.catalog import Backup
    from undrop.record import Record
    from undrop.settings import Settings

STEPS = {"", "restore", "migrate", "reset-db", "nuke-db", "undo", "alembic"}
# These must work on a damaged database; somebody's own command may be what mends it.
RESCUES = {"restore", "reset-db", "nuke-db", "undo", "run", "agent"}


class Purpose(NamedTuple):
    """What a backup is for."""

    reason: str
    before: str
    """The step that comes next, one of STEPS."""
    fresh: bool = False
    """Take one even when another holds this state already."""
    accept_shrink: bool = False
    """Tables that lost all their rows were meant to."""


class State(NamedTuple):
    """What the live database is, and what holds it."""

    kind: Literal["database", "absent", "damaged"]
    backup: "Backup | None"
    """The verified backup, or the set of damaged files; None when there is no database."""
    held: sqlite.Held | None
    """The snapshot's hold on the live file; only for a database."""
    step: str
    """The kind of step that comes next."""

    @property
    def name(self) -> str:
        """What holds it, as the log of steps names that: empty when there is no database."""
        return self.backup.path.name if self.backup else ""


def exists(settings: "Settings") -> bool:
    """Whether there is anything to back up: the file, or sidecars that outlived it."""
    if settings.database is None:
        return False
    if settings.live.exists():
        return True
    from undrop import damage

    return any(map(durable.size, damage.files(settings)))


def take(settings: "Settings", purpose: Purpose, progress: sqlite.Progress) -> "Backup | None":
    """Back the live database up and return the new backup; None when there is no database.

    Damage is set aside for those steps that must work then, and raises CheckError for the
    others. Call it inside ``turn.take``.
    """
    with covered(settings, purpose._replace(fresh=True), progress) as state:
        return state.backup


@contextmanager
def covered(settings: "Settings", purpose: Purpose, progress: sqlite.Progress) -> "Iterator[State]":
    """The live state, held by a verified backup for as long as the block runs.

    The backup that holds it is found by content (the digest of a snapshot taken now) or taken.
    Call it inside ``turn.take``.
    """
    if not exists(settings):
        yield State("absent", None, None, purpose.before)
        return
    live = settings.live
    if live.exists() and not live.is_file():
        raise UsageError(f"{live} is not a file", "set the right URL in pyproject.toml")
    if live.is_relative_to(os.path.realpath(settings.backups)):
        raise UsageError(
            f"the live database {live} is inside backups/",
            f"cp {live} beside it, and let the URL name the copy",
        )
    with ExitStack() as stack:
        try:
            try:
                state = _hold(settings, purpose, progress, stack)
            except DamagedError:
                # SQLite reports a read that the disk failed as damage too; that may pass.
                stack.close()
                state = _hold(settings, purpose, progress, stack)
        except DamagedError as found:
            if purpose.before not in RESCUES:
                raise CheckError(
                    f"{live} is damaged: {found.what}", "just restore latest"
                ) from found
            from undrop import damage

            entry = _entry(settings, purpose, time.time())
            entry = entry._replace(check=f"damaged: {found.what}")
            kept = damage.set_aside(settings, entry, fresh=purpose.fresh)
            state = State("damaged", kept, None, purpose.before)
            stack.close()
        yield state


def _entry(settings: "Settings", purpose: Purpose, when: float) -> "Record":
    """The beginnings of a record; ``when`` is ``time.time()`` at the snapshot's end."""
    from datetime import UTC, datetime

    from undrop import damage
    from undrop.record import Record

    owner = (damage.files(settings) or [settings.live])[0].stat()
    return Record(
        created=datetime.fromtimestamp(when, UTC).isoformat(timespec="microseconds"),
        reason=purpose.reason,
        before=purpose.before,
        source=settings.source,
        mode=f"{stat.S_IMODE(owner.st_mode):04o}",
        uid=owner.st_uid,
        gid=owner.st_gid,
    )


def _hold(
    settings: "Settings", purpose: Purpose, progress: sqlite.Progress, stack: ExitStack
) -> State:
    if not settings.live.exists():
        raise errors.damaged("the file is gone and its -wal or -journal is still there")
    held = sqlite.Held(settings.live)
    stack.callback(held.close)
    return State("database", _cover(settings, held, purpose, progress), held, purpose.before)


def _cover(
    settings: "Settings", held: sqlite.Held, purpose: Purpose, progress: sqlite.Progress
) -> "Backup":
    if not purpose.fresh and (found := _newest_copy(settings, held, progress)):
        held.release()
        return found
    durable.require_space(settings.backups, held.bytes)
    entries: list[Backup] = []

    def seen(digest: str) -> None:
        from undrop import catalog, shrink  # noqa: F401 - what is needed next is loaded here, too

        entries.extend(catalog.entries(settings))
        if found := holding(settings, entries, digest, progress):
            raise _HeldBy(found)

    with durable.scratch(turn.partial(settings)) as work:
        held.copy_to(work, progress)
        held.release()
        when = time.time()
        try:
            facts = _facts(settings, work, progress, seen)
        except _HeldBy as found:
            if not purpose.fresh:
                return found.backup
            known = found.backup.record
            if known and durable.link_instead(found.backup.path, work):
                # Checked when it was taken, and its bytes are, read again just now, this one's.
                same = ("bytes", "digest", "user_version", "application_id", "revisions", "filled")
                facts = {name: getattr(known, name) for name in same}
            else:
                facts = _facts(settings, work, progress)
        from undrop import catalog, shrink

        entry = _entry(settings, purpose, when)._replace(
            **facts, check="ok", journal_mode="wal" if held.wal else "delete", shrunk=[]
        )
        if not purpose.accept_shrink:
            entry = entry._replace(shrunk=shrink.missing(settings, entries, entry.filled))
        work.chmod(0o400)
        return catalog.publish(settings, work, entry)


def _newest_copy(
    settings: "Settings", held: sqlite.Held, progress: sqlite.Progress
) -> "Backup | None":
    """The newest backup of this database, if its bytes are as recorded and the live file's pages.

    It spares a copy of the live database when nothing was written since.
    """
    from undrop import catalog

    ours = [each for each in catalog.entries(settings) if catalog.is_of(settings, each)]
    for newest in [each for each in ours if each.verified][-1:]:
        with suppress(OSError):
            if held.is_copied_in(newest.path, progress):
                digest = newest.record.digest if newest.record else ""
                return holding(settings, [newest], digest, progress)
    return None


class _HeldBy(Exception):  # noqa: N818 - good news
    def __init__(self, backup: "Backup") -> None:
        super().__init__(backup.path.name)
        self.backup = backup


def _facts(
    settings: "Settings",
    work: Path,
    progress: sqlite.Progress,
    seen: "Callable[[str], object]" = str,
) -> dict[str, Any]:
    """What a checked snapshot is, for its record."""
    try:
        checked = check.verify(work, progress, seen, written=True)._asdict()
    except DamagedError as found:
        check.live(settings.live, progress)  # raises when the damage is there already
        raise UndropError(
            f"the disk did not keep the copy that was written to it: {found.what}",
            "see to the disk under backups/, then the same command again",
        ) from found
    from undrop.record import Record

    return {name: checked[name] for name in Record._fields if name in checked}


def holding(
    settings: "Settings", entries: "list[Backup]", digest: str, progress: sqlite.Progress
) -> "Backup | None":
    """The newest verified one of ``entries`` whose bytes, read again now, have this digest."""
    for backup in reversed(entries):
        if not backup.verified or backup.record is None or backup.record.digest != digest:
            continue
        with suppress(OSError):  # one that cannot be read holds nothing
            # The live database made a link to a backup would cover itself.
            linked = backup.path.samefile(settings.live)
            if not linked and check.digest(backup.path, progress, backup.record.bytes) == digest:
                return backup
    return None
