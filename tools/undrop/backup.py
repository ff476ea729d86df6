"""Take a verified backup, and know whether the present state is held by one."""

import os
import shutil
import stat
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from undrop import catalog, check, durable, sqlite
from undrop.catalog import Backup
from undrop.errors import CheckError, DamagedError, UndropError, UsageError
from undrop.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.settings import Settings

STEPS = {"", "restore", "migrate", "reset-db", "nuke-db", "undo", "alembic"}
RESCUES = {"restore", "reset-db", "nuke-db", "undo"}  # these must work on a damaged database


class State(NamedTuple):
    """What the live database is, and what holds it."""

    kind: Literal["database", "absent", "damaged"]
    backup: Backup | None
    """The verified backup, or the set of damaged files; None when there is no database."""
    held: sqlite.Held | None
    """The snapshot's hold on the live file; only for a database."""


def exists(settings: "Settings") -> bool:
    """Whether there is anything to back up: the file, or sidecars that outlived it."""
    if settings.database is None:
        return False
    live = settings.live
    return live.exists() or any(map(durable.size, _files(settings)))


def take(
    settings: "Settings", reason: str, before: str, progress: sqlite.Progress
) -> Backup | None:
    """Back the live database up and return the new backup; None when there is no database.

    ``before`` names the step that comes next. Damage is set aside for those steps that must
    work then, and raises CheckError for the others. Call it inside ``catalog.turn``.
    """
    with covered(settings, reason, before, progress, fresh=True) as state:
        return state.backup


@contextmanager
def covered(
    settings: "Settings", reason: str, before: str, progress: sqlite.Progress, *, fresh: bool
) -> "Iterator[State]":
    """The live state, held by a verified backup for as long as the block runs.

    The backup that holds it is found by content (the digest of a snapshot taken now) or taken;
    ``fresh`` always takes one. Call it inside ``catalog.turn``.
    """
    if not exists(settings):
        yield State("absent", None, None)
        return
    live = settings.live
    if live.exists() and not live.is_file():
        raise UsageError(f"{live} is not a file", "set the right URL in pyproject.toml")
    if live.is_relative_to(os.path.realpath(settings.backups)):
        raise UsageError(
            f"the live database {live} is inside backups/",
            f"cp {live} beside it, and let the URL name the copy",
        )
    owner = (_files(settings) or [live])[0].stat()
    entry = Record(
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        reason=reason,
        before=before,
        source=settings.source,
        mode=f"{stat.S_IMODE(owner.st_mode):04o}",
        uid=owner.st_uid,
        gid=owner.st_gid,
    )
    with ExitStack() as stack:
        try:
            if not live.exists():
                raise sqlite.damaged("the file is gone and its -wal or -journal is still there")
            held = sqlite.Held(live)
            stack.callback(held.close)
            state = State("database", _cover(settings, held, entry, progress, fresh=fresh), held)
        except DamagedError as damage:
            if before not in RESCUES:
                raise CheckError(
                    f"{live} is damaged: {damage.what}", "just restore latest"
                ) from damage
            entry = entry._replace(check=f"damaged: {damage.what}")
            state = State("damaged", _set_aside(settings, entry, fresh=fresh), None)
            stack.close()
        yield state


def _cover(
    settings: "Settings",
    held: sqlite.Held,
    entry: Record,
    progress: sqlite.Progress,
    *,
    fresh: bool,
) -> Backup:
    durable.require_space(settings.backups, held.bytes)
    with durable.scratch(catalog.partial(settings)) as work:
        held.copy_to(work, progress)
        held.release()
        if not fresh and (found := holding(settings, work, progress)):
            return found
        facts = _verified(settings, work, progress)
        entry = entry._replace(
            bytes=facts.bytes,
            digest=facts.digest,
            user_version=facts.user_version,
            application_id=facts.application_id,
            revisions=facts.revisions,
            check="ok",
            journal_mode="wal" if held.wal else "delete",
        )
        work.chmod(0o400)
        return catalog.publish(settings, work, entry)


def _verified(settings: "Settings", work: Path, progress: sqlite.Progress) -> check.Facts:
    try:
        return check.verify(work, progress)
    except DamagedError as damage:
        check.live(settings.live, progress)  # raises when the damage is there already
        raise UndropError(
            f"the disk did not keep the copy that was written to it: {damage.what}",
            "see to the disk under backups/, then the same command again",
        ) from damage


def holding(settings: "Settings", snapshot: Path, progress: sqlite.Progress) -> Backup | None:
    """The newest verified backup whose bytes, read again now, are this snapshot's."""
    size = durable.size(snapshot)
    wanted = check.digest(snapshot, progress, size)
    for backup in reversed(catalog.entries(settings)):
        if not backup.verified or backup.record is None or backup.record.digest != wanted:
            continue
        if backup.path.samefile(settings.live):
            continue  # somebody made the live database a link to it: it would cover itself
        if check.digest(backup.path, progress, size) == wanted:
            return backup
    return None


def _set_aside(settings: "Settings", entry: Record, *, fresh: bool) -> Backup:
    """Keep the damaged files' bytes, or find the set that already does."""
    files = _files(settings)
    digests = _digests(files)
    if not fresh:
        for backup in catalog.entries(settings):
            kept = [backup.path / name for name in digests]
            if backup.record and backup.record.files == digests == _digests(kept):
                return backup
    size = sum(map(durable.size, files))
    durable.require_space(settings.backups, size)
    folder = catalog.partial(settings)
    folder.mkdir(0o700)
    try:
        for file in files:
            copy = folder / file.name
            os.close(durable.create(copy, 0o600))
            shutil.copyfile(file, copy)
            copy.chmod(0o400)
            durable.sync_path(copy)
        durable.sync_path(folder)
        copies = _digests([folder / file.name for file in files])
        return catalog.publish(settings, folder, entry._replace(bytes=size, files=copies))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_kept(settings: "Settings", kept: Backup | None) -> bool:
    """Whether a set of damaged files holds the bytes that are live now."""
    return (
        kept is not None
        and kept.record is not None
        and kept.record.files == _digests(_files(settings))
    )


def _files(settings: "Settings") -> list[Path]:
    wal, _shm, journal = durable.sidecars(settings.live)  # a -shm is an index, not content
    return [file for file in (settings.live, wal, journal) if file.is_file()]


def _digests(files: list[Path]) -> dict[str, str]:
    return {file.name: check.digest(file, lambda *_: None, 0) for file in files if file.is_file()}
