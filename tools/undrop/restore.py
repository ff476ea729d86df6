"""Put a backup back, or take the database away."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import catalog, check, durable, replace, sqlite, step
from undrop.errors import CheckError, DamagedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.backup import State
    from undrop.catalog import Backup
    from undrop.settings import Settings


class Restored(NamedTuple):
    """What ``restore`` put in place, and what it replaced."""

    source: Path
    revisions: list[str]
    """Alembic's revision(s) of the restored schema."""
    change: step.Change


def restore(
    settings: "Settings", wanted: str, standing: Path, progress: sqlite.Progress
) -> Restored:
    """Make ``wanted`` the live content: a path from ``standing``, a name, or ``latest``.

    Call it inside ``catalog.turn``. Raises UsageError, CheckError or UndropError with the live
    database as it was, ChangedError when something failed afterwards.
    """
    chosen = catalog.find(settings, wanted, standing)
    settings.live.parent.mkdir(parents=True, exist_ok=True)  # it may have gone with the database
    _refuse_unfit(settings.live, chosen.path)
    with _checked(settings, chosen, progress) as (source, facts):
        entry = chosen.record
        wal = entry.journal_mode == "wal" if entry else sqlite.read_header(chosen.path).wal

        def change(state: "State") -> float:
            return step.put(settings, state, source, progress, wal=wal, like=entry)

        page_size = sqlite.read_header(source).page_size
        done = step.guarded(settings, "restore", progress, change, page_size)
        return Restored(chosen.path, facts.revisions, done)


def verify(chosen: "Backup", progress: sqlite.Progress) -> check.Facts:
    """Prove that a backup is whole: header, size, ``quick_check``, its record's digest.

    Raises CheckError when it is not, or is a set of damaged files.
    """
    path, entry = chosen.path, chosen.record
    if path.is_dir():
        raise CheckError(f"{path.name} is a set of damaged files, no backup", "just list")
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
    if chosen.path.parent.resolve() == settings.backups.resolve():
        yield chosen.path, facts
        return
    live = settings.live
    durable.require_space(live.parent, 2 * facts.bytes)
    mode = "rw" if os.access(chosen.path.parent, os.W_OK) else "immutable"
    held = sqlite.Held(chosen.path, mode)
    try:
        with durable.scratch(catalog.work_copy(live)) as work:
            held.copy_to(work, progress)
            yield work, check.verify(work, progress)
    finally:
        held.close()


def nuke(settings: "Settings", progress: sqlite.Progress) -> step.Change:
    """Remove the live database and its sidecars, once a verified backup holds it.

    Call it inside ``catalog.turn``. Raises UndropError while another program has it open.
    """
    live = settings.live
    replace.refuse_while_open(live)

    def change(state: "State") -> float:
        if state.held is not None:
            replace.remove(state.held)
        elif live.parent.is_dir():
            replace.refuse_while_open(live)
            replace.unlink(live)
        return 0.0

    return step.guarded(settings, "nuke-db", progress, change)
