"""The calls of agents that were not seen to end: on which state each began, and for which step.

Hooks of calls that run at once are processes of their own, and most hold no lock of ours: this
file has one, for as long as it is read and written. It is a note, not the log: what a call did is
in ``log``, and where this file is gone, that tells of the session's last step.
"""

import errno
import fcntl
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.settings import Settings

NAME = "calls.json"
"""In ``backups/``, for the default database."""
NOTE = "calls"
MOST = 100  # calls, and sessions: those that are never seen to end make room for new ones
LENGTH = 200  # characters of an id, and of a line
BYTES = 1_000_000
PATIENCE = 0.5  # seconds
BESIDE = "; "
"""Between the lines of calls that are one step."""


class Call(NamedTuple):
    """A call of a tool, as it was told of before it was made."""

    session: str
    """The agent's."""
    id: str
    """Empty where the agent gives none."""
    command: str
    """The line, as the log has it; of a tool that takes none, its name."""
    background: bool = False
    """Whether its end says nothing of the command's end."""
    step: str = ""
    """The id of the step that it is, or is a part of."""
    state_before: str = ""
    """What holds the state it began on, as the log has it."""

    def is_told_of_by(self, other: "Call") -> bool:
        """Whether that is the same call, seen when it begins or when it ends."""
        if self.session != other.session or self.id != other.id:
            return False
        return bool(self.id) or self.command == other.command


class Session(NamedTuple):
    """What is remembered of an agent's session."""

    id: str
    tells_ends: bool = False
    """Whether a call of it was seen to end."""
    told: str | None = None
    """What holds the state whose difference from its first one was told last."""


def call(session: str, number: str, command: str, *, background: bool = False) -> Call:
    """A call by what an agent says of it: none of these is kept at any length."""
    return Call(session[:LENGTH], number[:LENGTH], command[:LENGTH], background)


def begin(settings: "Settings", call: Call) -> bool:
    """Keep that it begins; False where another hook has said so already. Raises OSError."""
    with _notes(settings) as (calls, _):
        if call.id and call in calls:
            return False
        calls[:] = [*(known for known in calls if not known.is_told_of_by(call)), call][-MOST:]
    return True


def end(settings: "Settings", call: Call) -> Call | None:
    """The call that ends, as it began; it is known no more. None where it is not known.

    One that goes on in the background stays. Raises OSError, also where nothing is known of any.
    """
    with _notes(settings, os.O_RDWR) as (calls, sessions):
        began = next((known for known in reversed(calls) if known.is_told_of_by(call)), None)
        session = _of(sessions, call.session)._replace(tells_ends=True)
        _renew(sessions, session)
        if began and call.background:
            calls[calls.index(began)] = began._replace(background=True)
        elif began:
            calls.remove(began)
    return began


def waiting(settings: "Settings") -> list[Call] | None:
    """Those that were not seen to end, the oldest first; None where nothing is known of any."""
    try:
        with _notes(settings, os.O_RDONLY) as (calls, _):
            return calls
    except OSError:
        return None


def session(settings: "Settings", name: str) -> Session:
    """What is remembered of an agent's session."""
    try:
        with _notes(settings, os.O_RDONLY) as (_, sessions):
            return _of(sessions, name[:LENGTH])
    except OSError:
        return Session(name[:LENGTH])


def told(settings: "Settings", name: str, state: str) -> None:
    """Keep that the user was told how ``state`` differs from the session's first one."""
    with _notes(settings) as (_, sessions):
        _renew(sessions, _of(sessions, name[:LENGTH])._replace(told=state))


def _of(sessions: list[Session], name: str) -> Session:
    return next((known for known in sessions if known.id == name), Session(name))


def _renew(sessions: list[Session], session: Session) -> None:
    sessions[:] = [*(known for known in sessions if known.id != session.id), session][-MOST:]


@contextmanager
def _notes(
    settings: "Settings", how: int = os.O_RDWR | os.O_CREAT
) -> "Iterator[tuple[list[Call], list[Session]]]":
    """What is known, to be changed in place; written where it was. Raises OSError."""
    fd = os.open(settings.note(NOTE), how | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if how & os.O_CREAT:
            durable.give(fd, settings.backups)
        _wait(fd, fcntl.LOCK_SH if how == os.O_RDONLY else fcntl.LOCK_EX)
        text = os.pread(fd, BYTES, 0)
        known = _read(text)
        if known is None and not how & os.O_CREAT:
            raise OSError(errno.EINVAL, "it is not what was written", NAME)
        calls, sessions = known or ([], [])
        yield calls, sessions
        new = json.dumps([calls, sessions]).encode()
        if how != os.O_RDONLY and new != text:
            os.pwrite(fd, new, 0)
            os.ftruncate(fd, len(new))
    finally:
        os.close(fd)


def _wait(fd: int, kind: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)
        else:
            return


def _read(text: bytes) -> tuple[list[Call], list[Session]] | None:
    """What was written; None where that is something else: a kill in between, an editor."""
    try:
        calls, sessions = json.loads(text)
        return (
            [Call(str(s), str(n), str(c), bool(b), *map(str, on)) for s, n, c, b, *on in calls],
            [Session(str(n), bool(e), t if t is None else str(t)) for n, e, t in sessions],
        )
    except (ValueError, TypeError, RecursionError):
        return None
