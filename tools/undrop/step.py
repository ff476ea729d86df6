"""What every destructive step shares: a covered state, one way in, starting over if it moved."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import backup, check, damage, durable, livefiles, replace, sqlite, steps, turn
from undrop.errors import ChangedError, LiveMovedError, UndropError

if TYPE_CHECKING:
    from collections.abc import Callable

    from undrop.backup import State
    from undrop.catalog import Backup
    from undrop.record import Record
    from undrop.settings import Settings

TRIES = 3


class Outcome(NamedTuple):
    """What a step's change leads to."""

    seconds: float
    """How long others were locked out."""
    filled: list[str]
    """Tables that are to have rows from now on."""


class Change(NamedTuple):
    """What a step did to the live database."""

    backup: "Backup | None"
    """What holds the state before: a backup, a set of damaged files, None for no database."""
    seconds: float
    """How long others were locked out."""


def guarded(
    settings: "Settings",
    kind: str,
    progress: sqlite.Progress,
    change: "Callable[[State], Outcome | None]",
    page_size: int | None = None,
) -> Change:
    """Run ``change`` on a state that a verified backup holds, again if somebody wrote meanwhile.

    ``kind`` is the step's name, ``change`` returns None when there was nothing to do; content with
    another ``page_size`` (bytes) takes a WAL database out of that mode meanwhile. Raises
    UndropError with the live database as it was when it moved on TRIES times.
    """
    purpose = backup.Purpose(f"before {kind}", kind)
    for _ in range(TRIES):
        with (
            suppress(LiveMovedError),
            backup.covered(settings, purpose, progress) as state,
        ):
            held = state.held
            if page_size is None or held is None or not held.wal or held.page_size == page_size:
                outcome = change(state)
                if outcome is None:
                    return Change(state.backup, 0.0)
                steps.append(settings, kind, outcome.filled)
                return Change(state.backup, outcome.seconds)
            held.close()
            with replace.without_wal(settings.live):
                return guarded(settings, kind, progress, change)
    raise UndropError(
        f"{settings.live} was written to during each of {TRIES} tries",
        f"stop the program that writes, then just {kind} again",
    )


def put(  # noqa: PLR0913 - what goes where, and how it must look
    settings: "Settings",
    state: "State",
    source: Path,
    progress: sqlite.Progress,
    *,
    wal: bool,
    like: "Record | None" = None,
) -> float:
    """Make ``source`` the live content: in place, or by rename where there is no database.

    ``source`` is a checked file, in ``backups/`` or the work copy (which is consumed). A
    database that has to be made gets the journal mode that ``wal`` says and the owner and
    permissions of the damaged one, else those in ``like``. Returns the seconds that others were
    locked out. Raises LiveMovedError or UndropError with the live database as it was,
    ChangedError when it does not pass its check afterwards.
    """
    live, work = settings.live, turn.work_copy(settings.live)
    size = durable.size(source)
    if source != work and (state.held is None or replace.needs_own_copy(source)):
        durable.require_space(live.parent, 2 * size)
        with durable.scratch(work):
            shutil.copyfile(source, work)
            return put(settings, state, work, progress, wal=wal, like=like)
    if state.held is None:
        if state.kind == "damaged" and not damage.is_kept(settings, state.backup):
            raise LiveMovedError("the damaged file has changed", "the same command again")
        sqlite.set_journal_mode(work, sqlite.WAL if wal else sqlite.ROLLBACK)
        _give_owner_and_mode(work, state.backup.record if state.backup else like)
        livefiles.install(work, live, damaged=state.kind == "damaged")
        return 0.0
    # SQLite's WAL takes as much as the new content, its rollback journal as much as the old.
    durable.require_space(live.parent, max(size, state.held.bytes))
    if source == work:
        replace.settle(work)
        replace.pad(work)
    seconds = replace.swap(state.held, source, progress)
    try:
        check.live(live, progress)
    except BaseException as error:
        what = error.what if isinstance(error, UndropError) else repr(error)
        name = state.backup.path.name if state.backup else "latest"
        raise ChangedError(
            f"the new content is in place and its check did not end well: {what}",
            f"just restore {name}",
        ) from error
    return seconds


def _give_owner_and_mode(work: Path, like: "Record | None") -> None:
    if like is None:
        umask = os.umask(0o077)
        os.umask(umask)
        work.chmod(0o666 & ~umask)  # what SQLite itself would have made
        return
    with suppress(PermissionError):  # only root may give files away
        os.chown(work, like.uid, like.gid)
    work.chmod(int(like.mode, 8))
