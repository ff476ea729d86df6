"""A database that Litestream (0.5 or later) replicates: is its replica current, and bring it back.

What ``litestream`` says is believed where it comes from the replica (``ltx``, ``restore``), not
where it comes from this side: ``sync -wait`` reports success on a replica that was deleted, and
``status`` knows nothing of commits made while the daemon was down.
"""

import os
import shlex
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import durable
from undrop.engines.litestream import config, daemon, program
from undrop.engines.litestream.config import BehindError, Replicated
from undrop.engines.sqlite.snapshot import Snapshot
from undrop.errors import SlowError, UndropError
from undrop.recipes import Action
from undrop.sqlitefile import pages
from undrop.values import PATIENCE, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.recipes import Text

RESTORE = 3600.0  # seconds for a restore
SNAPSHOTS = 9  # the level at which litestream keeps them
PINS = 50  # times that a snapshot is tried to be had between two commits of others
FIRST_SNAPSHOT = 5.0  # seconds after its start within which a daemon takes one; seen: one
AFTERWARDS = 5.0  # seconds for a running daemon to take new content, and for us to see that
RESOLUTION = timedelta(seconds=1)  # of the times that litestream lists


class Litestream:
    """The replica of a live database (``protocol.Replica``)."""

    def __init__(self, replica: Replicated) -> None:
        self._replica = replica
        self.label = f"litestream ({replica.config})"

    def check(self, work: Path, *, patient: bool, seconds: float) -> str:
        """Make sure that it is current, and say so."""
        limited = self._replica._replace(until=time.monotonic() + seconds)
        return check(limited, work, patient=patient)

    def restore(self, target: Path, timestamp: str | None) -> None:
        """Write what it holds into a new file."""
        if socket := daemon.socket(self._replica):
            with suppress(UndropError):  # the replica is asked for what it has, come what may
                daemon.synced(self._replica, socket)
        if timestamp is None:
            restore(self._replica, target)
        else:
            restore_at(self._replica, target, timestamp)

    def before_removal(self) -> str:
        """That the running daemon has to be stopped."""
        return before_removal(self._replica)

    def afterwards(self, work: Path, *, made: bool) -> "Text":
        """What became of new content, looked at once."""
        return afterwards(self._replica, work, made=made)


def check(replica: Replicated, work: Path | None = None, *, patient: bool = True) -> str:
    """Make sure that the replica holds every commit of the live database; a line that says so.

    It is restored (into ``work``, else the system's temporary folder; twice the database's size)
    and must be the live database page by page. Litestream writes the pages that SQLite wrote (its
    own tables ``_litestream_seq`` and ``_litestream_lock`` too), so they are equal, free ones as
    well. Nothing less tells: the daemon goes by the -wal, and reports success where the file was
    replaced under it; without a daemon nothing on this side tells of commits that litestream has
    not seen, since a last close checkpoints and removes the -wal they were in.

    A daemon that answers on its socket is made to sync first, and what is compared is one
    transaction, so that others may write meanwhile. ``patient``: one that is behind and runs
    without a socket is given CATCH_UP seconds, one that has just started FIRST_SNAPSHOT; what no
    waiting changes is told at once.

    Raises UndropError when the replica is behind, incomplete, empty, gone or unreachable, and
    when litestream is missing; SlowError when that is not known by ``Replicated.until``.
    """
    if not replica.program:
        raise config.refusal(
            f"{replica.config} asks for litestream and there is no such program on the PATH, so"
            " nobody knows whether the replica is current",
            program.UPGRADE,
        )
    socket = daemon.socket(replica)
    began = time.monotonic()
    seen: UndropError | None = None
    while True:
        try:
            return _held(replica, socket, work)
        except SlowError as slow:
            raise seen or slow from None  # a look that ended says more than one that did not
        except UndropError as error:
            seen = error
            if not patient or time.monotonic() - began >= _patience(replica, socket, error):
                raise
        time.sleep(0.5)


def _patience(replica: Replicated, socket: str, error: UndropError) -> float:
    """Seconds after which a daemon does no more about what was seen."""
    age = daemon.age(replica)
    if not socket and age is None:
        return 0
    if isinstance(error, BehindError):
        return FIRST_SNAPSHOT if socket else daemon.CATCH_UP
    return FIRST_SNAPSHOT if age is not None and age < FIRST_SNAPSHOT else 0


def restore(replica: Replicated, target: Path, *when: str) -> None:
    """Write the database that the replica holds, now or ``when``, into a new file.

    ``when`` are options of litestream's: ``-timestamp`` and ISO 8601 with a time zone, or
    ``-txid``. ``target`` must not exist; it is private (0600) and nothing is left of it on failure.
    Neither the live database nor litestream's folder beside it is touched, or needed. Raises
    UndropError with litestream's words.
    """
    if not replica.program:
        raise UndropError("there is no litestream on the PATH", program.UPGRADE)
    if os.path.lexists(target):
        raise UndropError(f"{target} is in the way", f"mv {shlex.quote(str(target))} elsewhere")
    try:
        arguments = ["restore", *when, "-o", str(target), replica.name]
        tool, file, until = replica.program, replica.config, replica.until
        program.run(tool, file, *arguments, seconds=RESTORE, until=until)
    except BaseException:
        for left in (target, target.with_name(target.name + ".tmp")):
            durable.remove_with_sidecars(left)
        raise


def restore_at(replica: Replicated, target: Path, timestamp: str) -> None:
    """Write the database as it was at a ``timestamp`` (ISO 8601, with a time zone) into a new file.

    Raises as ``restore`` does; for a time outside of those that there are with these. Litestream
    itself gives the latest state for any time after it.
    """
    moment, times = datetime.fromisoformat(timestamp), _times(replica)
    if times and moment >= times[1] + RESOLUTION:
        raise _outside(timestamp, *times)
    try:
        restore(replica, target, "-timestamp", timestamp)
    except UndropError as error:
        if times and moment < times[0] + RESOLUTION:
            raise _outside(timestamp, *times) from error
        raise


def _outside(timestamp: str, earliest: datetime, latest: datetime) -> UndropError:
    return UndropError(
        f"{timestamp} is outside what the replica has: its earliest state is of"
        f" {earliest.isoformat()}, its latest of {latest.isoformat()}",
        Action("restore", "--from-litestream"),
        "puts the latest in place",
    )


def _times(replica: Replicated) -> tuple[datetime, datetime] | None:
    """The earliest and the latest moment of which the replica has a state, in whole seconds.

    A restore begins with a snapshot (level 9), or where there is none before it with the first
    transaction (litestream's replica.go, ``CalcRestorePlan``). None when there is nothing.
    """
    tool, file, _, name, until = replica
    listed = program.ask(tool, file, "ltx", "-level", "all", "-json", name, until=until)
    moments = [
        (datetime.fromisoformat(each["timestamp"]), each["level"], int(each["min_txid"], 16))
        for each in listed or ()
    ]
    whole = [when for when, level, first in moments if level == SNAPSHOTS or first == 1]
    return (min(whole), max(moments)[0]) if whole else None


def before_removal(replica: Replicated) -> str:
    """That a running daemon has the database open that is to be removed; empty without one."""
    if not daemon.is_running(replica):
        return ""
    return (
        "litestream runs: stop it first, it has the database open. The replica keeps the"
        " database as it was; start the daemon again once there is a new one"
    )


def afterwards(replica: Replicated, work: Path | None = None, *, made: bool = False) -> "Text":
    """Whether the replica has the content that a step has put in place; what to do if not.

    It is looked at once, for AFTERWARDS seconds at most. ``made``: the step made the file anew,
    there was none, or no whole one. Never raises UndropError: the step is done.
    """
    limited = replica._replace(until=time.monotonic() + AFTERWARDS)
    drill = Action("verify", "--litestream")
    try:
        if not daemon.is_running(limited):
            return (
                "no litestream daemon is to be seen: the replica is behind now. Start it, or:"
                f" {_anew(replica)}"
            )
        if made:
            return (
                "litestream runs and may have the file open that was there before: stop it,"
                f" {_anew(replica)}, start it; what is committed until then may be in no replica"
            )
        line = check(limited, work)
    except SlowError:
        within = f"was not seen within {AFTERWARDS:.0f} seconds"
        return (f"whether the replica took the new content {within}:", drill, "tells")
    except UndropError as error:
        return (
            f"the replica was not seen to take the new content: {error.what}. Restart the"
            " litestream daemon and see what it logs, then",
            drill,
        )
    old = _command(replica, "restore", "-timestamp", "TIME", "-o", "FILE", replica.name)
    return (
        f"litestream runs: {line}. What was before stays at the replica for as long as its"
        f" retention says: {old}"
    )


def _held(replica: Replicated, socket: str, work: Path | None) -> str:
    """What ``check`` answers, by one look; raises UndropError when the answer is no."""
    tool, file, live, name, until = replica
    once, anew = _command(replica, "replicate", "-once"), _anew(replica)
    if socket or daemon.is_running(replica):  # two of them would take each other's socket
        once = "restart the litestream daemon and see what it logs"
        anew = f"stop the litestream daemon, {anew}, start the daemon"
    with _refusing(f"{live} is not replicated", once):
        ours = daemon.synced(replica, socket) if socket else daemon.local(replica)
    with _refusing("the replica cannot be read", "correct that"):
        level = str(SNAPSHOTS)
        snapshots = program.ask(tool, file, "ltx", "-level", level, "-json", name, until=until)
    if not snapshots:
        raise config.refusal(
            f"the replica of {live} has no snapshot: it is new, empty or gone", anew
        )
    with tempfile.TemporaryDirectory(prefix="undrop-", dir=work) as folder:
        restored = Path(folder, "restored")
        with _refusing("the replica is not whole", anew):
            # A list of its files may have gaps; the plan of a restore ends before the first.
            plan = ("restore", "-dry-run", "-json", "-o", str(restored), name)
            theirs = int(program.ask(tool, file, *plan, until=until)["max_txid"], 16)
            if theirs < ours:
                what = f"it ends with transaction {theirs:016x}, this side with {ours:016x}"
                raise BehindError(what, anew)
            if not (live.exists() or durable.sidecars(live)[0].exists()):
                return f"the replica holds transaction {theirs:016x}, all of it"
        same = _same(replica, socket, Path(folder), anew)
    if not same:
        what = f"the replica, restored to compare, is not what {live} is now"
        if daemon.is_running(replica):
            what += ": it has not seen all of it"
            if not socket:
                what += ", or somebody writes just now (`socket: enabled: true` tells them apart)"
            raise config.refusal(what, anew, BehindError)
        what += ": it has not seen all of it (add -force-snapshot where the line is not enough)"
        raise config.refusal(what, once, BehindError)
    return f"the replica holds transaction {theirs:016x}: restored, it is the live database"


@contextmanager
def _refusing(what: str, remedy: str) -> "Iterator[None]":
    """Make an error of the block the refusal of a step."""
    try:
        yield
    except SlowError:
        raise
    except UndropError as error:
        kind = BehindError if isinstance(error, BehindError) else UndropError
        raise config.refusal(f"{what}: {error.what}", remedy, kind) from error


def _command(replica: Replicated, command: str, *arguments: str) -> str:
    return shlex.join(("litestream", command, "-config", str(replica.config), *arguments))


def _anew(replica: Replicated) -> str:
    return f"{_command(replica, 'replicate', '-once')} -force-snapshot"


def _same(replica: Replicated, socket: str, folder: Path, remedy: str) -> bool:
    """Whether a snapshot of the live database has the replica's pages; ``folder`` gets both."""
    copy, restored = folder / "live", folder / "restored"
    with _refusing(f"{replica.live} cannot be compared with its replica", remedy):
        snapshot, txid = _pinned(replica, socket)
        with closing(snapshot):
            copy.touch(0o600)
            snapshot.copy_to(copy)
    with _refusing("the replica is not whole", remedy):
        restore(replica, restored, *(["-txid", f"{txid:016x}"] if socket else []))
    with copy.open("rb") as file:
        progress = snapshot.session.progress
        return pages.same(file.fileno(), restored, snapshot.page_size, progress)


def _in_time(replica: Replicated) -> None:
    """Raise SlowError where nobody waits for an answer any more."""
    program.left_until(replica.until)


def _pinned(replica: Replicated, socket: str) -> tuple[Snapshot, int]:
    """A snapshot of the live database, and with a socket which transaction it is.

    It is had between two syncs that end with the same one, however busy the writers are.
    """
    live = replica.live
    if not live.exists():
        raise UndropError(f"{live} is gone and its -wal is not", Action("restore", "latest"))
    for _ in range(PINS):
        synced_before = daemon.synced(replica, socket) if socket else 0
        left = program.left_until(replica.until)
        # Of its own: nothing is shown, nothing changed.
        session = Session(lambda *_: _in_time(replica), min(left, PATIENCE))
        snapshot = Snapshot(live, session)
        try:
            if not socket or daemon.synced(replica, socket) == synced_before:
                return snapshot, synced_before
        except BaseException:
            snapshot.close()
            raise
        snapshot.close()
    raise UndropError(f"{live} is written to without a pause", "stop the program that writes")
