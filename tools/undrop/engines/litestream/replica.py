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
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import durable
from undrop.engines.litestream import config, daemon, program
from undrop.engines.litestream.config import Replicated
from undrop.engines.sqlite.snapshot import Snapshot
from undrop.errors import UndropError
from undrop.recipes import Action
from undrop.sqlitefile import pages
from undrop.values import Session, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

RESTORE = 3600.0  # seconds for a restore
PINS = 50  # times that a snapshot is tried to be had between two commits of others
FIRST_SNAPSHOT = 5.0  # seconds after its start within which a daemon takes one; seen: one


class Litestream:
    """The replica of a live database (``protocol.Replica``)."""

    def __init__(self, replica: Replicated) -> None:
        self._replica = replica
        self.label = f"litestream ({replica.config})"

    def check(self, work: Path, *, patient: bool) -> str:
        """Make sure that it is current, and say so."""
        return check(self._replica, work, patient=patient)

    def restore(self, target: Path, timestamp: str | None) -> None:
        """Write what it holds into a new file."""
        if timestamp is None and (socket := daemon.socket(self._replica)):
            with suppress(UndropError):  # the replica is asked for what it has, come what may
                daemon.synced(self._replica, socket)
        restore(self._replica, target, *(["-timestamp", timestamp] if timestamp else []))

    def warning(self, kind: str, *, made: bool) -> str:
        """What the running daemon makes of a step."""
        return warning(self._replica, kind, made=made)


def check(replica: Replicated, work: Path | None = None, *, patient: bool = True) -> str:
    """Make sure that the replica holds every commit of the live database; a line that says so.

    It is restored (into ``work``, else the system's temporary folder; twice the database's size)
    and must be the live database page by page. Litestream writes the pages that SQLite wrote (its
    own tables ``_litestream_seq`` and ``_litestream_lock`` too), so they are equal, free ones as
    well. Nothing less tells: the daemon goes by the -wal, and reports success where the file was
    replaced under it; without a daemon nothing on this side tells of commits that litestream has
    not seen, since a last close checkpoints and removes the -wal they were in.

    A daemon that answers on its socket is made to sync first, and what is compared is one
    transaction, so that others may write meanwhile. ``patient``: one that runs without a socket is
    given CATCH_UP seconds, one that has just started FIRST_SNAPSHOT.

    Raises UndropError when the replica is behind, incomplete, empty, gone or unreachable, and
    when litestream is missing.
    """
    if not replica.program:
        raise config.refusal(
            f"{replica.config} asks for litestream and there is no such program on the PATH, so"
            " nobody knows whether the replica is current",
            program.UPGRADE,
        )
    socket = daemon.socket(replica)
    patience = FIRST_SNAPSHOT if socket else daemon.CATCH_UP if daemon.is_running(replica) else 0
    deadline = time.monotonic() + (patience if patient else 0)
    while True:
        try:
            return _held(replica, socket, work)
        except UndropError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.5)


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
        program.run(replica.program, replica.config, *arguments, seconds=RESTORE)
    except BaseException:
        for left in (target, target.with_name(target.name + ".tmp")):
            durable.remove_with_sidecars(left)
        raise


def warning(replica: Replicated, kind: str, *, made: bool = False) -> str:
    """What the running daemon makes of a step (``restore``, ``nuke-db``…); empty without one.

    ``made``: the step made the file anew, there was none, or no whole one.
    """
    if not daemon.is_running(replica):
        return ""
    if kind == "nuke-db":
        return (
            "litestream runs: stop it first, it has the database open. The replica keeps the"
            " database as it was; start the daemon again once there is a new one"
        )
    if made:
        return (
            "litestream runs and may have the file open that was there before: stop it,"
            f" {_anew(replica)}, start it; the replica holds the old content until then"
        )
    old = _command(replica, "restore", "-timestamp", "TIME", "-o", "FILE", replica.name)
    return (
        "litestream runs: it replicates the new content as one more transaction. What was before"
        f" stays at the replica for as long as its retention says: {old}"
    )


def _held(replica: Replicated, socket: str, work: Path | None) -> str:
    """What ``check`` answers, by one look; raises UndropError when the answer is no."""
    tool, file, live, name = replica
    once, anew = _command(replica, "replicate", "-once"), _anew(replica)
    if socket or daemon.is_running(replica):  # two of them would take each other's socket
        once = "restart the litestream daemon and see what it logs"
        anew = f"stop the litestream daemon, {anew}, start the daemon"
    with _refusing(f"{live} is not replicated", once):
        ours = daemon.synced(replica, socket) if socket else daemon.local(replica)
    with _refusing("the replica cannot be read", "correct that"):
        snapshots = program.ask(tool, file, "ltx", "-level", "9", "-json", name)
    if not snapshots:
        raise config.refusal(
            f"the replica of {live} has no snapshot: it is new, empty or gone", anew
        )
    with tempfile.TemporaryDirectory(prefix="undrop-", dir=work) as folder:
        restored = Path(folder, "restored")
        with _refusing("the replica is not whole", anew):
            # A list of its files may have gaps; the plan of a restore ends before the first.
            plan = ("restore", "-dry-run", "-json", "-o", str(restored), name)
            theirs = int(program.ask(tool, file, *plan)["max_txid"], 16)
            if theirs < ours:
                what = f"it ends with transaction {theirs:016x}, this side with {ours:016x}"
                raise UndropError(what, anew)
            if not (live.exists() or durable.sidecars(live)[0].exists()):
                return f"the replica holds transaction {theirs:016x}, all of it"
        same = _same(replica, socket, Path(folder), anew)
    if not same:
        what = f"the replica, restored to compare, is not what {live} is now"
        if daemon.is_running(replica):
            what += ": it has not seen all of it"
            if not socket:
                what += ", or somebody writes just now (`socket: enabled: true` tells them apart)"
            raise config.refusal(what, anew)
        what += ": it has not seen all of it (add -force-snapshot where the line is not enough)"
        raise config.refusal(what, once)
    return f"the replica holds transaction {theirs:016x}: restored, it is the live database"


@contextmanager
def _refusing(what: str, remedy: str) -> "Iterator[None]":
    """Make an error of the block the refusal of a step."""
    try:
        yield
    except UndropError as error:
        raise config.refusal(f"{what}: {error.what}", remedy) from error


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
        return pages.same(file.fileno(), restored, snapshot.page_size, quiet)


def _pinned(replica: Replicated, socket: str) -> tuple[Snapshot, int]:
    """A snapshot of the live database, and with a socket which transaction it is.

    It is had between two syncs that end with the same one, however busy the writers are.
    """
    live = replica.live
    if not live.exists():
        raise UndropError(f"{live} is gone and its -wal is not", Action("restore", "latest"))
    for _ in range(PINS):
        synced_before = daemon.synced(replica, socket) if socket else 0
        snapshot = Snapshot(live, Session())  # of its own: nothing is shown, nothing changed
        try:
            if not socket or daemon.synced(replica, socket) == synced_before:
                return snapshot, synced_before
        except BaseException:
            snapshot.close()
            raise
        snapshot.close()
    raise UndropError(f"{live} is written to without a pause", "stop the program that writes")
