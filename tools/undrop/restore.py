"""Put a backup back, or take the database away."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import catalog, check, durable, header, livefiles, schema, sqlite, step, turn, vault
from undrop.errors import CheckError, DamagedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.backup import State
    from undrop.catalog import Backup
    from undrop.settings import Settings


class Restored(NamedTuple):
    """What was put in place, and what it replaced."""

    source: Path
    revisions: list[str]
    """Alembic's revision(s) of the restored schema."""
    change: step.Change


def restore(
    settings: "Settings", wanted: str, standing: Path, progress: sqlite.Progress
) -> Restored:
    """Make ``wanted`` the live content: a path from ``standing``, a name, or ``latest``.

    Call it inside ``turn.take``. Raises UsageError, CheckError or UndropError with the live
    database as it was, ChangedError when something failed afterwards.
    """
    return put_back(settings, catalog.find(settings, wanted, standing), "restore", progress)


def put_back(
    settings: "Settings",
    chosen: "Backup",
    kind: str,
    progress: sqlite.Progress,
    first: "Callable[[State], None]" = lambda _state: None,
) -> Restored:
    """Make ``chosen`` the live content, as a step of that ``kind``.

    ``first`` is shown the covered state before that is replaced. Raises as ``restore`` does.
    """
    durable.make_folder(settings.live.parent)  # it may have gone with the database
    _refuse_unfit(settings.live, chosen.path)
    with _checked(settings, chosen, progress) as (source, facts):
        entry = chosen.record
        if entry is None or not catalog.is_of(settings, chosen):
            _refuse_another_application(settings, chosen.path, facts)
        wal = entry.journal_mode == "wal" if entry else header.read(chosen.path).wal

        filled = sorted({*facts.filled, *(entry.shrunk if entry else ())})

        def change(state: "State") -> step.Outcome:
            first(state)
            seconds = step.put(settings, state, source, progress, wal=wal, like=entry)
            held = state.backup.record if state.backup else None
            return step.Outcome(seconds, filled, held is not None and held.digest == facts.digest)

        done = step.guarded(settings, kind, progress, change)
        return Restored(chosen.path, facts.revisions, done)


def _refuse_another_application(settings: "Settings", path: Path, facts: check.Facts) -> None:
    """A file that no record of ours vouches for may be anything that SQLite can open."""
    known = schema.revisions(settings)
    strange = [each for each in facts.revisions if known is not None and each not in known]
    if strange:
        raise CheckError(
            f"{path} is at revision {', '.join(strange)}, unknown to this project's migrations: "
            "it is another application's",
            "just list",
        )
    wanted = next(
        (
            each.record.application_id
            for each in reversed(catalog.entries(settings))
            if each.record and each.verified and catalog.is_of(settings, each)
        ),
        facts.application_id,
    )
    if facts.application_id != wanted:
        raise CheckError(
            f"{path} has application_id {facts.application_id}, this project's database {wanted}",
            "just list",
        )


def verify(chosen: "Backup", progress: sqlite.Progress) -> check.Facts:
    """Prove that a backup is whole: header, size, ``quick_check``, its record's digest.

    Raises CheckError when it is not, or is a set of damaged files.
    """
    path, entry = chosen.path, chosen.record
    if path.is_dir():
        raise CheckError(f"{path.name} is a set of damaged files, no backup", "just list")
    if not path.is_file():
        raise CheckError(f"{path.name} is not a file", "just list")
    try:
        facts = check.verify(path, progress)
    except DamagedError as damage:
        raise CheckError(f"{path} is damaged: {damage.what}", "just list") from damage
    if entry is None and not facts.has_table:
        raise CheckError(f"{path} has no record and no table in it", "just list")
    if entry is not None and entry.digest != facts.digest:
        raise CheckError(
            f"{path} is not what its record says: the digest differs, it was changed", "just list"
        )
    return facts


def _refuse_unfit(live: Path, path: Path) -> None:
    if live.exists() and path.samefile(live):
        raise UsageError(f"{path} is the live database itself", "just list")
    if not path.is_file() and not path.is_dir():
        raise UsageError(f"{path} is not a file", "just list")
    wal, _shm, journal = durable.sidecars(path)
    for sidecar in (wal, journal):
        if size := durable.size(sidecar):
            raise CheckError(
                f"{path.name} is not whole alone: {sidecar.name} has {size:,} bytes of it",
                f"sqlite3 {path} '.backup whole.db', then just restore whole.db",
            )


@contextmanager
def _checked(
    settings: "Settings", chosen: "Backup", progress: sqlite.Progress
) -> "Iterator[tuple[Path, check.Facts]]":
    """The chosen file, checked, where nobody can change it any more: ``backups/`` or a copy."""
    facts = verify(chosen, progress)
    ours = (settings.backups, vault.folder(settings))
    if any(folder and chosen.path.parent.resolve() == folder.resolve() for folder in ours):
        yield chosen.path, facts
        return
    live = settings.live
    durable.require_space(live.parent, 2 * facts.bytes)
    mode = "rw" if os.access(chosen.path.parent, os.W_OK) else "immutable"
    held = sqlite.Held(chosen.path, mode)
    try:
        with durable.scratch(turn.work_copy(live)) as work:
            held.copy_to(work, progress)
            yield work, check.verify(work, progress, written=True)
    finally:
        held.close()


def nuke(settings: "Settings", progress: sqlite.Progress, kind: str = "nuke-db") -> step.Change:
    """Remove the live database and its sidecars, once a verified backup holds it.

    It is written down as a step of that ``kind``. Call it inside ``turn.take``. Raises
    UndropError while another program has it open.
    """
    live = settings.live
    livefiles.refuse_while_open(live)

    def change(state: "State") -> step.Outcome | None:
        if state.kind == "absent":
            if any(map(os.path.lexists, durable.sidecars(live))):
                livefiles.unlink(live)  # what a killed run left, and holds nothing
            return None
        with step.logged(settings, state):
            if state.held is not None:
                livefiles.remove(state.held)
            else:
                livefiles.refuse_while_open(live)
                livefiles.unlink(live)
        return step.Outcome(0.0, [])

    return step.guarded(settings, kind, progress, change)
