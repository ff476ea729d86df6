"""A database that Litestream (0.5 or later) replicates: is its replica current, and bring it back.

What ``litestream`` says is believed where it comes from the replica (``ltx``, ``restore``), not
where it comes from this side: ``sync -wait`` reports success on a replica that was deleted, and
``status`` knows nothing of commits made while the daemon was down.
"""

import os
import re
import shlex
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import durable
from undrop.errors import UndropError
from undrop.lite import litestream_config, litestream_program, pages, sqlite
from undrop.lite.litestream_config import Replica

if TYPE_CHECKING:
    from collections.abc import Iterator

SOCKET = "/var/run/litestream.sock"  # the daemon's, unless its config says another
ANSWER = 5  # seconds for a running daemon to say that it is there
CATCH_UP = 30  # seconds for a running daemon to bring the replica up to date
RESTORE = 3600.0  # seconds for a restore
FIRST_SNAPSHOT = 5.0  # seconds after its start within which a daemon takes one; seen: one


class Litestream:
    """The replica of a live database (``replica.Replica``)."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.label = f"litestream ({replica.config})"

    def check(self, work: Path) -> str:
        """Make sure that it is current, and say so."""
        return check(self._replica, work)

    def restore(self, target: Path, timestamp: str | None) -> None:
        """Write what it holds into a new file."""
        restore(self._replica, target, timestamp)

    def warning(self, kind: str) -> str:
        """What the running daemon makes of a step."""
        return warning(self._replica, kind)


def check(replica: Replica, work: Path | None = None) -> str:
    """Make sure that the replica holds every commit of the live database; a line that says so.

    A daemon that answers on its socket is made to sync first; then the replica must list a
    snapshot and have an unbroken way from it to the daemon's transaction. This does not read
    the files at the replica.

    Without such a daemon nothing on this side tells of commits that litestream has not seen: a
    last close checkpoints and removes the -wal they were in. So the replica is restored (into
    ``work``, else the system's temporary folder; twice the database's size) and must be the live
    database page by page. Litestream writes the pages that SQLite wrote (its own tables
    ``_litestream_seq`` and ``_litestream_lock`` too), so they are equal, free ones as well; where
    one is not, the answer is no. A daemon that runs without a socket is given CATCH_UP seconds.

    Raises UndropError when the replica is behind, incomplete, empty, gone or unreachable, and
    when litestream is missing.
    """
    if not replica.program:
        raise litestream_config.refusal(
            f"{replica.config} asks for litestream and there is no such program on the PATH, so"
            " nobody knows whether the replica is current",
            litestream_program.UPGRADE,
        )
    socket = _socket(replica)
    patience = FIRST_SNAPSHOT if socket else CATCH_UP if is_running(replica) else 0
    deadline = time.monotonic() + patience
    while True:
        try:
            return _held(replica, socket, work)
        except UndropError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.5)


def restore(replica: Replica, target: Path, timestamp: str | None = None) -> None:
    """Write the database that the replica holds, now or at ``timestamp``, into a new file.

    ``target`` must not exist; it is private (0600) and nothing is left of it on failure. Neither
    the live database nor litestream's folder beside it is touched, or needed. ``timestamp`` is
    ISO 8601 with a time zone. Raises UndropError with litestream's words.
    """
    if not replica.program:
        raise UndropError("there is no litestream on the PATH", litestream_program.UPGRADE)
    if os.path.lexists(target):
        raise UndropError(f"{target} is in the way", f"mv {shlex.quote(str(target))} elsewhere")
    when = ["-timestamp", timestamp] if timestamp else []
    try:
        arguments = ["restore", *when, "-o", str(target), replica.name]
        litestream_program.run(replica.program, replica.config, *arguments, seconds=RESTORE)
    except BaseException:
        for left in (target, target.with_name(target.name + ".tmp")):
            durable.remove_with_sidecars(left)
        raise


def is_running(replica: Replica) -> bool:
    """Whether a daemon replicates this database now, as far as this user can see."""
    import psutil

    if replica.program and _socket(replica):
        return True
    live, config = os.path.realpath(replica.live), os.path.realpath(replica.config)
    for process in psutil.process_iter(["name"]):
        if not (process.info["name"] or "").startswith("litestream"):
            continue
        try:
            arguments = process.cmdline()[1:]
            if arguments[:1] != ["replicate"]:
                continue
            named = [argument.split("=")[-1] for argument in arguments]
            if not any(argument.lstrip("-").startswith("config") for argument in arguments):
                named.append(str(litestream_config.SYSTEM))
            named += [file.path for file in process.open_files()]
            if {live, config} & {os.path.realpath(Path(process.cwd(), name)) for name in named}:
                return True
        except psutil.AccessDenied:
            return True  # somebody else's daemon, whose files are not for us to see
        except psutil.Error:
            continue
    return False


def warning(replica: Replica, kind: str) -> str:
    """What the running daemon makes of a step (``restore``, ``nuke-db``…); empty without one."""
    if not is_running(replica):
        return ""
    old = _command(replica, "restore", "-timestamp", "TIME", "-o", "FILE", replica.name)
    if kind == "nuke-db":
        return (
            "litestream runs: the replica keeps the database as it was. The daemon fails from now"
            " on; restart it once there is a new database, or that may not be replicated"
        )
    return (
        "litestream runs: it replicates the new content as one more transaction. What was before"
        f" stays at the replica for as long as its retention says: {old}"
    )


def _held(replica: Replica, socket: str, work: Path | None) -> str:
    """What ``check`` answers, by one look; raises UndropError when the answer is no."""
    program, config, live, name = replica
    once = _command(replica, "replicate", "-once")
    anew = f"{once} -force-snapshot"
    if socket or is_running(replica):  # two of them would take each other's socket
        once = "restart the litestream daemon and see what it logs"
        anew = f"stop the litestream daemon, {anew}, start the daemon"
    with _refusing(f"{live} is not replicated", once):
        ours = _synced(replica, socket) if socket else _local(replica)
    with _refusing("the replica cannot be read", "correct that"):
        snapshots = litestream_program.ask(program, config, "ltx", "-level", "9", "-json", name)
    if not snapshots:
        raise litestream_config.refusal(
            f"the replica of {live} has no snapshot: it is new, empty or gone", anew
        )
    with tempfile.TemporaryDirectory(prefix="undrop-", dir=work) as folder:
        restored = Path(folder, "restored")
        with _refusing("the replica is not whole", anew):
            # A list of its files may have gaps; the plan of a restore ends before the first.
            plan = ("restore", "-dry-run", "-json", "-o", str(restored), name)
            theirs = int(litestream_program.ask(program, config, *plan)["max_txid"], 16)
            if theirs < ours:
                what = f"it ends with transaction {theirs:016x}, this side with {ours:016x}"
                raise UndropError(what, anew)
            if socket or not (live.exists() or durable.sidecars(live)[0].exists()):
                return f"the replica holds transaction {theirs:016x}, all of it"
            restore(replica, restored)
        with _refusing(f"{live} cannot be compared with its replica", "correct that"):
            same = _same(live, Path(folder, "live"), restored)
    if not same:
        what = f"the replica, restored to compare, is not what {live} is now"
        raise litestream_config.refusal(f"{what}: litestream has not seen the latest commits", once)
    return f"the replica holds transaction {theirs:016x}: restored, it is the live database"


def _synced(replica: Replica, socket: str) -> int:
    """Have the daemon bring the replica up to date; the transaction that it then is at."""
    wait = ("-wait", "-timeout", str(CATCH_UP), "-socket", socket, "-json", replica.name)
    return int(litestream_program.ask(replica.program, None, "sync", *wait)["txid"])


def _local(replica: Replica) -> int:
    """The last transaction that litestream saw, by its folder beside the database."""
    for known in litestream_program.ask(replica.program, replica.config, "status", "-json"):
        if known["database"] == replica.name and known["local_txid"] != "-":
            return int(known["local_txid"], 16)
    return 0


def _socket(replica: Replica) -> str:
    """The socket of the daemon that replicates this database and answers now, or nothing.

    Only the socket's path is looked for in the config's text. Not to find it costs the quick
    way, not the certainty.
    """
    text = re.sub(r"(^|\s)#.*", "", os.path.expandvars(litestream_program.text(replica.config)))
    block = re.search(r"^socket:(.*(?:\n+[ \t].*)*)", text, re.M)
    path = re.search(r"""\bpath:\s*["']?([^"'\s,}]+)""", block[1]) if block else None
    socket = str(replica.config.parent / (path[1] if path else SOCKET))
    try:
        ask = ("-json", "-timeout", str(ANSWER), "-socket", socket)
        answer = litestream_program.ask(replica.program, None, "list", *ask)
    except UndropError:
        return ""
    running = [known["path"] for known in answer["databases"] if known["status"] == "replicating"]
    return socket if replica.name in running else ""


@contextmanager
def _refusing(what: str, remedy: str) -> "Iterator[None]":
    """Make an error of the block the refusal of a step."""
    try:
        yield
    except UndropError as error:
        raise litestream_config.refusal(f"{what}: {error.what}", remedy) from error


def _command(replica: Replica, command: str, *arguments: str) -> str:
    return shlex.join(("litestream", command, "-config", str(replica.config), *arguments))


def _same(live: Path, copy: Path, restored: Path) -> bool:
    """Whether a snapshot of the live database, written into ``copy``, has the replica's pages."""
    if not live.exists():
        raise UndropError(f"{live} is gone and its -wal is not", "just restore latest")
    copy.touch(0o600)
    with closing(sqlite.Held(live)) as held:
        held.copy_to(copy, lambda *_: None)
        with copy.open("rb") as file:
            return pages.same(file.fileno(), restored, held.page_size, lambda *_: None)
