"""What every destructive step shares: a covered state, one way in, starting over if it moved."""

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import LiveMovedError, UndropError
from undrop.steps import backup
from undrop.store import log
from undrop.store.log import After

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
    after: After
    """The state after, and what holds it."""
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


class Attempt:
    """One try of a step, on a state that a verified backup holds."""

    def __init__(self, lock: "Lock", kind: str, state: "State") -> None:
        self.lock, self.kind, self.state = lock, kind, state
        self._step: log.Step | None = None

    @contextmanager
    def changing(self, content_after: str = "") -> "Iterator[None]":
        """Write the intent down before the block, and that it failed when it changed nothing.

        ``content_after`` is what is put in place, where that is known. Killed in between, the step
        stays open.
        """
        self._step = log.begin(
            self.lock.settings, self.kind, self.state.name, content_after=content_after
        )
        try:
            yield
        except BaseException:
            if not self.lock.session.changed:
                with suppress(OSError):  # the failure itself is what has to be told
                    log.end(self.lock.settings, self._step, "failed")
            raise

    def end(self, outcome: Outcome) -> None:
        """Write down how it ended. Raises OSError."""
        if self._step is not None:
            phase: log.Phase = "same" if outcome.same else "done"
            log.end(self.lock.settings, self._step, phase, outcome.filled, outcome.after)


def run(
    lock: "Lock",
    kind: str,
    change: "Callable[[Attempt], Outcome | None]",
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
                attempt = Attempt(lock, kind, state)
                outcome = change(attempt)
                if outcome is None:
                    return Change(state.backup, 0.0)
                attempt.end(outcome)
                return Change(state.backup, outcome.seconds, outcome.same)
        except LiveMovedError as moved:
            writes += moved.writes
    raise UndropError(
        f"{lock.settings.engine.label} was written to during each of {TRIES} tries: "
        f"{writes} transaction(s) came in",
        "stop the program that writes, then the same command again",
    )
