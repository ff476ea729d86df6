"""What every destructive step shares: a covered state, one way in, starting over if it moved."""

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import backup, check, damage, durable, header, livefiles, replace, sqlite, steps, turn
from undrop.errors import ChangedError, LiveMovedError, PageSizeError, UndropError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    same: bool = False
    """Whether the content is what it was before."""


class Change(NamedTuple):
    """What a step did to the live database."""

    backup: "Backup | None"
    """What holds the state before: a backup, a set of damaged files, None for no database."""
    seconds: float
    """How long others were locked out."""
    same: bool = False
    """Whether the content is what it was before."""


def guarded(
    settings: "Settings",
    kind: str,
    progress: sqlite.Progress,
    change: "Callable[[State], Outcome | None]",
) -> Change:
    """Run ``change`` on a state that a verified backup holds, again if somebody wrote meanwhile.

    ``kind`` is the step's name, ``change`` returns None when there was nothing to do. Raises
    UndropError with the live database as it was when it moved on TRIES times.
    """
    purpose = backup.Purpose(f"before {kind}", kind)
    writes = 0
    for _ in range(TRIES):
        try:
            with backup.covered(settings, purpose, progress) as state:
                outcome = change(state)
                if outcome is None:
                    return Change(state.backup, 0.0)
                phase: steps.Phase = "same" if outcome.same else "done"
                steps.append(settings, kind, state.name, phase, outcome.filled)
                return Change(state.backup, outcome.seconds, outcome.same)
        except LiveMovedError as moved:
            writes += moved.writes
        except PageSizeError:
            with replace.without_wal(settings.live):
                return guarded(settings, kind, progress, change)
    raise UndropError(
        f"{settings.live} was written to during each of {TRIES} tries: "
        f"{writes} transaction(s) came in",
        f"stop the program that writes, then just {kind} again",
    )


@contextmanager
def logged(settings: "Settings", state: "State") -> "Iterator[None]":
    """Write the step's intent down before the block, and that it failed when it changed nothing.

    That it is done is for ``guarded`` to write; killed in between, it stays open.
    """
    steps.append(settings, state.step, state.name)
    try:
        yield
    except BaseException:
        if not livefiles.CHANGED.is_set():
            with suppress(OSError):  # the failure itself is what has to be told
                steps.append(settings, state.step, state.name, "failed")
        raise


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
        header.set_journal_mode(work, header.WAL if wal else header.ROLLBACK)
        _give_owner_and_mode(work, state.backup.record if state.backup else like)
        with logged(settings, state):
            livefiles.install(work, live, damaged=state.kind == "damaged")
        return 0.0
    if state.held.wal and state.held.page_size != header.read(source).page_size:
        raise PageSizeError("the page size changes", "the same command again")
    # SQLite's WAL takes as much as the new content, its rollback journal as much as the old.
    durable.require_space(live.parent, max(size, state.held.bytes))
    if source == work:
        replace.settle(work)
        replace.pad(work)
    with logged(settings, state):
        seconds = replace.swap(state.held, source, progress)
    try:
        # What was checked and is there byte for byte is whole; else somebody wrote already.
        if not state.held.is_copied_in(source, progress):
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
