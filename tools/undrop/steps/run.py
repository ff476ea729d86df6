"""Somebody's own command behind a backup, and whether it changed the database."""

import signal
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from undrop.steps import live
from undrop.store import catalog, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.settings import Settings
    from undrop.store.lock import Lock

LOOKED_AT = 200_000_000  # bytes of a database that is compared to say what changed


class Ran(NamedTuple):
    """How a command ended, and on which of the databases it worked."""

    code: int
    """Its exit code; 128 and the signal's number when one ended it; 127 when it was not found and
    126 when it may not be run, as in a shell."""
    changed: list[bool]
    """Of each, whether something was written, into its files or by the server."""


def run(databases: "Sequence[Settings]", command: "Sequence[str]", folder: "Path") -> Ran:
    """Run a command in ``folder`` with our own stdin, stdout, stderr and terminal.

    Raises OSError when it cannot be started for another reason than those in ``Ran.code``.
    """
    before = [_fingerprint(each) for each in databases]
    try:
        ended = code(command, folder)
    except FileNotFoundError:
        return Ran(127, [False for _ in databases])
    except PermissionError:
        return Ran(126, [False for _ in databases])
    after = [_fingerprint(each) for each in databases]
    pairs = zip(databases, before, after, strict=True)
    return Ran(ended, [not _is_same(each, old, new) for each, old, new in pairs])


def _is_same(
    settings: "Settings", one: "list[object] | None", other: "list[object] | None"
) -> bool:
    return bool(one and other and settings.engine.is_same(one, other)) or one == other == []


def _fingerprint(settings: "Settings") -> "list[object] | None":
    return settings.engine.fingerprint() if settings.engine.exists() else []


def code(
    command: "Sequence[str]", folder: "Path", environment: "Mapping[str, str] | None" = None
) -> int:
    """Run a command with our own terminal: its exit code. Raises OSError when it cannot start."""
    with ExitStack() as stack:
        children: list[subprocess.Popen[bytes]] = []
        early: list[int] = []

        def pass_on(number: int, _frame: object) -> None:
            if number != signal.SIGINT:  # the terminal sends that to both of us
                if not children:
                    early.append(number)
                for child in children:
                    child.send_signal(number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            stack.callback(signal.signal, number, signal.signal(number, pass_on))
        children.append(subprocess.Popen(command, cwd=folder, env=environment))  # noqa: S603 - the user's
        for late in early:  # it came before there was anybody to pass it on to
            children[0].send_signal(late)
        ended = children[0].wait()
    return 128 - ended if ended < 0 else ended


def what_changed(lock: "Lock", name: str) -> "Comparison | None":
    """From the backup ``name`` to the live database; None where that would take long.

    Raises UndropError.
    """
    settings = lock.settings
    kept = catalog.named(settings, name)
    if _is_large(settings):
        return None
    return live.compare(settings, unpacked.plain(settings, kept))


def is_as_kept(lock: "Lock", name: str) -> bool:
    """Whether the database has the content that is in the backup ``name``, whatever was written.

    A server's log also tells of what others did. No where it would take long to find out. Raises
    UndropError.
    """
    settings = lock.settings
    kept = catalog.named(settings, name)
    if kept.record is None or _is_large(settings):
        return False
    snapshot = settings.engine.snapshot()
    try:
        return snapshot.is_in(unpacked.plain(settings, kept), kept.record)
    finally:
        snapshot.close()


def _is_large(settings: "Settings") -> bool:
    return (settings.engine.size() or 0) > LOOKED_AT
