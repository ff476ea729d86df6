"""What every destructive step shares: a covered state, one way in, starting over if it moved."""

import math
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import LiveMovedError, UndropError
from undrop.steps import backup
from undrop.store import log
from undrop.store.log import After

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.engines.protocol import Replacement
    from undrop.recipes import Text
    from undrop.steps.backup import State
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock
    from undrop.values import Hold

TRIES = 3
MOST_TRIES = 6  # where all but the first make others wait, and one comes in all the same


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
    note: "Text" = ""
    """What could not be done, and what to type (``protocol.Replacement``)."""


class Change(NamedTuple):
    """What a step did to the live database."""

    backup: "Backup | None"
    """What holds the state before: a backup, a set of damaged files, None for no database."""
    seconds: float
    """How long others were locked out."""
    same: bool = False
    """Whether the content is what it was before."""
    hold: "Hold | None" = None
    """How long others' writes were made to wait before that; None where they were not."""
    moved_from: str = ""
    """What holds the state before the first try, where others wrote meanwhile."""
    note: "Text" = ""
    """What could not be done, and what to type."""


class Attempt:
    """One try of a step, on a state that a verified backup holds."""

    def __init__(self, lock: "Lock", kind: str, state: "State") -> None:
        self.lock, self.kind, self.state = lock, kind, state
        self._step: log.Step | None = None

    def put_in_place(self, content: "Replacement") -> float:
        """Replace the live content; how long, in seconds, others were locked out.

        Raises LiveMovedError and UndropError with live as it was, ChangedError when it is not.
        """
        content.carry_over(self.state)
        snapshot, known = self.state.snapshot, content.facts.content or content.facts.digest
        mode = snapshot.origin().journal_mode if snapshot and content.journal_mode else ""
        mode_before = "" if mode == content.journal_mode else mode
        return content.replace_live(self.state, self.changing(known, mode_before))

    @contextmanager
    def changing(self, content_after: str = "", mode_before: str = "") -> "Iterator[None]":
        """Write the intent down before the block, and that it failed when it changed nothing.

        ``content_after`` is what is put in place, where that is known, ``mode_before`` the journal
        mode, where that is not to stay. Killed in between, the step stays open.
        """
        known = log.Known(content_after, mode_before=mode_before)
        self._step = log.begin(self.lock.settings, self.kind, self.state.name, known)
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
    *,
    hold: bool = True,
) -> Change:
    """Run ``change`` on a state that a verified backup holds, again if somebody wrote meanwhile.

    ``kind`` is the step's name, ``change`` returns None when there was nothing to do. The last of
    TRIES makes others' writes wait, if the engine can do that and it is of use (``hold``); and so
    do as many more where somebody was quicker than the replacement all the same, as long as it
    is no more than ``Session.hold_lock`` seconds in all. Raises UndropError with the live database
    as it was when it moved on each time.
    """
    purpose = backup.Purpose(f"before {kind}", kind)
    writes = tries = 0
    left, last = lock.session.hold_lock if hold else 0.0, None
    moved_from = ""
    while tries < TRIES or (tries < MOST_TRIES and last and last.lasted and last.seconds < left):
        tries += 1
        try:
            with backup.covered(lock, purpose, left if tries >= TRIES else 0.0) as state:
                attempt = Attempt(lock, kind, state)
                with compared(lock, state):
                    outcome = change(attempt)
                if outcome is None:
                    return Change(state.backup, 0.0, moved_from=moved_from)
                attempt.end(outcome)
                seconds, same = outcome.seconds, outcome.same
                return Change(state.backup, seconds, same, state.hold, moved_from, outcome.note)
        except LiveMovedError as moved:
            moved_from = moved_from or state.name or "no database"
            writes += moved.writes
            last = state.hold
            left -= last.seconds if last else 0.0
        except UndropError as error:
            if moved_from and not lock.session.changed:
                error.moved_from = moved_from
            raise
    label = lock.settings.engine.label
    what = f"{label} was written to during each of {tries} tries: {writes} transaction(s) came in"
    overtaken = _overtaken(lock, what, last)
    overtaken.moved_from = moved_from
    raise overtaken


@contextmanager
def compared(lock: "Lock", state: "State") -> "Iterator[None]":
    """An error of the block says so where the live database is not what it was before."""
    try:
        yield
    except LiveMovedError:
        raise
    except UndropError as error:
        if not lock.session.changed and has_moved(lock, state):
            error.moved_from = state.name or "no database"
        raise


def has_moved(lock: "Lock", state: "State") -> bool:
    """Whether somebody has written since, as far as that is told cheaply."""
    if state.kind == "absent":
        return lock.settings.engine.exists()
    return bool(state.snapshot and state.snapshot.moved())


def _overtaken(lock: "Lock", what: str, last: "Hold | None") -> UndropError:
    """The error for a step that others overtook each time; how the last try made them wait."""
    stop = "stop the program that writes, then the same command again"
    if last is None:
        return UndropError(what, stop)
    if last.lasted:
        return UndropError(f"{what}, the last one just when it was let in", stop)
    enough = str(math.ceil(2 * last.needed))
    typed = lock.session.typed
    return UndropError(
        f"{what}; the last try made others wait {last.seconds:.1f} seconds and would have needed "
        f"{last.needed:.1f}",
        typed.having("--hold-lock", enough) if typed else f"the same with --hold-lock {enough}",
        f", if what writes waits that long (its busy timeout); or {stop}",
    )
