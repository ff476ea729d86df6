"""What every destructive step shares: a covered state, one way in, starting over if it moved."""

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import LiveMovedError, UndropError
from undrop.steps import backup
from undrop.store import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.steps.backup import State
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock

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


def run(
    lock: "Lock",
    kind: str,
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
            with backup.covered(lock, purpose) as state:
                outcome = change(state)
                if outcome is None:
                    return Change(state.backup, 0.0)
                phase: log.Phase = "same" if outcome.same else "done"
                log.append(lock.settings, kind, state.name, phase, outcome.filled)
                return Change(state.backup, outcome.seconds, outcome.same)
        except LiveMovedError as moved:
            writes += moved.writes
    raise UndropError(
        f"{lock.settings.engine.label} was written to during each of {TRIES} tries: "
        f"{writes} transaction(s) came in",
        "stop the program that writes, then the same command again",
    )


@contextmanager
def logged(lock: "Lock", state: "State") -> "Iterator[None]":
    """Write the step's intent down before the block, and that it failed when it changed nothing.

    That it is done is for ``run`` to write; killed in between, it stays open.
    """
    log.append(lock.settings, state.next_step, state.name)
    try:
        yield
    except BaseException:
        if not lock.session.changed:
            with suppress(OSError):  # the failure itself is what has to be told
                log.append(lock.settings, state.next_step, state.name, "failed")
        raise
