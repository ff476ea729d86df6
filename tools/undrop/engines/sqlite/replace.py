"""Make a checked file the live content: in place, or by rename where there is no database."""

import os
import shlex
import shutil
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from undrop import digest, durable
from undrop.engines.sqlite import livefiles, swap, workcopy
from undrop.engines.sqlite.snapshot import Snapshot, ours
from undrop.errors import ChangedError, LiveMovedError, UndropError
from undrop.recipes import Action
from undrop.sqlitefile import check, header, holders

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.engines.protocol import Log, State
    from undrop.recipes import Text
    from undrop.record import Record
    from undrop.values import Session


def replace(  # noqa: PLR0913 - what goes where, and how it must look
    live: "Path",
    state: "State",
    source: "Path",
    log: "Log",
    session: "Session",
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
    work = workcopy.beside(live)
    size = durable.size(source)
    snapshot = ours(state.snapshot) if state.snapshot else None
    if source != work and (snapshot is None or swap.needs_own_copy(source)):
        durable.require_space(live.parent, 2 * size)
        with durable.scratch(work):
            shutil.copyfile(source, work)
            return replace(live, state, work, log, session, wal=wal, like=like)
    if snapshot is None:
        if state.kind == "damaged" and not _is_kept(live, state.record):
            raise LiveMovedError("the damaged file has changed", "the same command again")
        header.set_journal_mode(work, header.WAL if wal else header.ROLLBACK)
        _give_owner_and_mode(work, state.record or like)
        with log:
            livefiles.install(work, live, session, damaged=state.kind == "damaged")
        return 0.0
    # SQLite's WAL takes as much as the new content, its rollback journal as much as the old.
    durable.require_space(live.parent, max(size, snapshot.bytes))
    if source == work:
        swap.settle(work)
        swap.pad(work)
    if state.path and snapshot.wal and snapshot.page_size != header.read(source).page_size:
        with swap.without_wal(snapshot, state.path) as reopened:
            return _swap(reopened, state, source, log)
    return _swap(snapshot, state, source, log)


def _swap(snapshot: Snapshot, state: "State", source: "Path", log: "Log") -> float:
    """Swap the content of what is ``held``, and check it."""
    with log:
        seconds = swap.swap(snapshot, source)
    try:
        # What was checked and is there byte for byte is whole; else somebody wrote already.
        if not snapshot.is_copied_in(source, snapshot.session.progress):
            check.live(snapshot.path, snapshot.session)
    except BaseException as error:
        what = error.what if isinstance(error, UndropError) else repr(error)
        name = state.path.name if state.path else "latest"
        raise ChangedError(
            f"the new content is in place and its check did not end well: {what}",
            Action("restore", name),
        ) from error
    return seconds


def change_journal_mode(live: "Path", mode: str) -> "Text":
    """Give live the journal mode that its new content asks for; else what to do for that."""
    try:
        if swap.set_journal_mode(live, mode):
            return ""
        why = f"it is open{holders.describe(live)}"
    except sqlite3.Error as error:  # the content is in place: no failure any more
        why = f"SQLite says: {error}"
    line = shlex.join(["sqlite3", str(live), f"PRAGMA journal_mode = {mode}"])
    said = f"journal_mode {mode} was asked for and could not be set, {why}"
    return f"{said}; once that is over: {line}"


def _is_kept(live: "Path", record: "Record | None") -> bool:
    """Whether a set of damaged files holds the bytes that are live now."""
    files = livefiles.with_content(live)
    return record is not None and record.files == {file.name: digest.of(file) for file in files}


def _give_owner_and_mode(work: "Path", like: "Record | None") -> None:
    if like is None or not like.mode:
        umask = os.umask(0o077)
        os.umask(umask)
        work.chmod(0o644 & ~umask)  # what SQLite itself would have made
        return
    with suppress(PermissionError):  # only root may give files away
        os.chown(work, like.uid, like.gid)
    work.chmod(int(like.mode, 8) & 0o777)
