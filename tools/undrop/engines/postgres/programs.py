"""``pg_dump`` and ``pg_restore``: which ones, and running them."""

import re
import shutil
import subprocess
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from undrop import durable
from undrop.errors import DamagedError, UndropError, UsageError
from undrop.recipes import Action
from undrop.values import TICK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from undrop.engines.postgres.address import Address
    from undrop.values import Progress

BIG = 256_000_000  # bytes of a database that is dumped by several processes into a folder
JOBS = 4
NOISE = re.compile(
    r"^\\(un)?restrict .*\n|^-- Dumped (from|by) .*\n|^-- (Started|Completed) on .*\n", re.MULTILINE
)
EACH = re.compile(r"('(?:[^']|'')*'::character varying(?:\(\d+\))?)")
CAST = r"(\1)::text"
LISTED = re.compile(
    rf"\b(ANY |ALL )\(\((ARRAY\[{EACH.pattern}(?:, {EACH.pattern})*\])\)::text\[\]\)"
)
"""What PostgreSQL makes of ``column IN ('a', 'b')``. Once it has been loaded from a dump the server
writes it in another way, which is the same."""


def require(server: int) -> None:
    """Raise UsageError unless both are there and no older than ``server``, a major version.

    An older pg_dump refuses a newer server (postgresql.org/docs/current/app-pgdump.html, Notes).
    """
    version = f"{server} or newer"
    asked: list[tuple[str, subprocess.Popen[str]]] = []
    for program in ("pg_dump", "pg_restore"):
        path = _there(program, version)
        command = [path, "--version"]
        asked.append((path, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))  # noqa: S603
    for path, process in asked:
        said, _ = process.communicate()
        found = re.search(r"\) (\d+)", said)
        if found and int(found[1]) < server:
            what = f"{path} is version {found[1]}, the server is {server}"
            raise UsageError(what, _how(version))


def _there(program: str, version: str = "that of the server or newer") -> str:
    if path := shutil.which(program):
        return path
    raise UsageError(f"{program} is not on PATH", _how(version))


def _how(version: str) -> str:
    return f"install PostgreSQL's client programs, version {version}, on PATH"


def dump(address: "Address", work: "Path", snapshot: str, size: int, progress: "Progress") -> None:
    """Write a dump of that exported snapshot into ``work``, an empty file of ours.

    One of a big database becomes a folder. Raises UndropError, DamagedError.
    """
    # One that is not compressed is packed against an earlier one later (``store.packing``): what is
    # alike in both is not found behind the first difference of a compressed stream.
    kind = ["--format=custom", "--compress=0"]
    if size >= BIG:
        work.unlink()
        work.mkdir(0o700)
        kind = ["--format=directory", f"--jobs={JOBS}", "--compress=1"]
    # --create: with it the dump knows its encoding and locale.
    more = ["--create", f"--snapshot={snapshot}", f"--file={work}"]
    command = [*_pg_dump(address), *kind, *more]
    with subprocess.Popen(  # noqa: S603 - as found on PATH
        command, env=address.environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said = _wait(process, lambda: progress("copy", durable.size(work), max(1, size)))
        except BaseException:
            process.kill()
            raise
    _refuse(process.returncode, said, "pg_dump", address)
    for file in work.iterdir() if work.is_dir() else [work]:
        durable.sync_path(file)
    if work.is_dir():
        durable.sync_path(work)


def _wait(process: "subprocess.Popen[str]", tick: Any) -> str:  # noqa: ANN401 - a callable
    while True:
        try:
            return process.communicate(timeout=TICK)[1]
        except subprocess.TimeoutExpired:
            tick()


@contextmanager
def defining(address: "Address", snapshot: str = "") -> "Iterator[Callable[[], str]]":
    """Every definition in a database, as SQL, without what differs from one dump to the next.

    It is read while the block runs, until that asks for it. Raises UndropError, DamagedError.
    """
    pinned = [f"--snapshot={snapshot}"] if snapshot else []
    with (
        TemporaryFile() as said,
        subprocess.Popen(  # noqa: S603 - as found on PATH
            [*_pg_dump(address), "--schema-only", *pinned],
            env=address.environment(),
            stdout=said,
            stderr=subprocess.PIPE,
        ) as process,
    ):

        def finish() -> str:
            _, wrong = process.communicate()
            _refuse(process.returncode, wrong.decode("utf-8", "replace"), "pg_dump", address)
            said.seek(0)
            text = NOISE.sub("", said.read().decode("utf-8", "surrogateescape"))
            return LISTED.sub(lambda found: f"{found[1]}({EACH.sub(CAST, found[2])})", text)

        try:
            yield finish
        finally:
            process.kill()


def _pg_dump(address: "Address") -> list[str]:
    from undrop.engines.postgres import session

    wait = f"--lock-wait-timeout={int(address.patience * 1000)}"
    # A subscription is a link to another server, with what that knows of it: no content of ours.
    return [
        "pg_dump", "--no-password", "--no-subscriptions", wait,
        f"--dbname={session.patiently(address).conninfo()}",
    ]  # fmt: skip


def _refuse(code: int, said: str, program: str, address: "Address") -> None:
    if code == 0:
        return
    text = address.hidden(" ".join(said.split())) or f"it ended with {code}"
    if re.search(r"invalid page|could not read block|missing chunk|unexpected chunk", text):
        raise DamagedError(f"{program} says: {text}", Action("list"))
    if "LOCK TABLE" in text:  # the statement is quoted as it is, whatever the language
        from undrop.engines.postgres import session

        raise session.locked(address, f"{program} was kept waiting")
    if "max_locks_per_transaction" in text:  # a setting has one name in every language
        from undrop.engines.postgres import session

        raise session.too_few_locks(address, program, text)
    raise UndropError(f"{program} failed: {text}", "correct that, then the same command again")


@contextmanager
def script(dump: "Path", *options: str, early: bool = False) -> "Iterator[subprocess.Popen[bytes]]":
    """``pg_restore`` writing SQL to its standard output.

    ``early``: the block reads the beginning only. Raises UsageError, DamagedError.
    """
    _there("pg_restore")
    with subprocess.Popen(  # noqa: S603 - as found on PATH
        ["pg_restore", *options, "--file=-", str(dump)],  # noqa: S607
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
            if early:
                process.kill()
                return
            assert process.stderr is not None  # noqa: S101 - for the type checker
            said = process.stderr.read().decode("utf-8", "replace")
            process.wait()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise DamagedError(f"pg_restore says: {' '.join(said.split())}", Action("list"))


def read_list(dump: "Path") -> str:
    """``pg_restore --list``: raises DamagedError for what is no dump, UsageError without it."""
    _there("pg_restore")
    done = subprocess.run(  # noqa: S603
        ["pg_restore", "--list", str(dump)],  # noqa: S607 - as found on PATH
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DamagedError(f"pg_restore says: {' '.join(done.stderr.split())}", Action("list"))
    return done.stdout
