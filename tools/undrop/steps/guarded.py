"""What every destructive step shares: a covered state, one way in, starting over if it moved."""

import math
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import ChangedError, LiveMovedError, UndropError
from undrop.recipes import Action
from undrop.steps import backup
from undrop.store import log
from undrop.store.log import After

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.engines.protocol import Replacement
    from undrop.recipes import Part, Text
    from undrop.steps.backup import State
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock
    from undrop.store.step import Phase, Step
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
        self._step: Step | None = None
        self.change: Change | None = None
        """What it did, once that is written down."""
        self.has_moved = False
        """Whether somebody wrote to the database before it could be changed."""

    def put_in_place(self, content: "Replacement") -> float:
        """Replace the live content; how long, in seconds, others were locked out.

        Raises LiveMovedError and UndropError with live as it was, ChangedError when it is not.
        """
        content.carry_over(self.state)
        snapshot, known = self.state.snapshot, content.facts.content or content.facts.digest
        mode = snapshot.origin().journal_mode if snapshot and content.journal_mode else ""
        mode_before = "" if mode == content.journal_mode else mode
        try:
            return content.replace_live(self.state, self.changing(known, mode_before))
        except LiveMovedError:
            self.has_moved = True
            raise

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

    def end(self, outcome: Outcome | None) -> "Change":
        """Write down how it ended, once: None where there was nothing to do. Raises OSError."""
        if self.change is None:
            if self._step is not None and outcome is not None:
                phase: Phase = "same" if outcome.same else "done"
                log.end(self.lock.settings, self._step, phase, outcome.filled, outcome.after)
            kept = self.state.backup
            self.change = Change(kept, 0.0)
            if outcome is not None:
                seconds, same = outcome.seconds, outcome.same
                self.change = Change(kept, seconds, same, self.state.hold, note=outcome.note)
        return self.change


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
    [done] = together([lock], kind, lambda attempts: [change(attempts[0])], hold=hold)
    return done


def together(
    locks: "list[Lock]",
    kind: str,
    change: "Callable[[list[Attempt]], list[Outcome | None]]",
    *,
    hold: bool = True,
) -> list[Change]:
    """The same on several databases of a project: ``change`` has an attempt for each.

    It changes one after the other, and ends each attempt by itself. Where one fails behind others
    that are done, these stay so: ChangedError says which. What is done is not tried again.
    """
    purpose = backup.Purpose(f"before {kind}", kind, migrates=kind == "migrate")
    writes = tries = 0
    left, last = locks[0].session.hold_lock if hold else 0.0, None
    moved_from = [""] * len(locks)
    done: dict[int, Change] = {}
    while tries < TRIES or (tries < MOST_TRIES and last and last.lasted and last.seconds < left):
        tries += 1
        states: list[State] = []
        attempts: list[Attempt] = []
        try:
            with ExitStack() as stack:
                for lock in locks:
                    waits = left if tries >= TRIES else 0.0
                    with about(lock, locks[0]):
                        states.append(stack.enter_context(backup.covered(lock, purpose, waits)))
                pairs = zip(locks, states, strict=True)
                attempts += [Attempt(lock, kind, state) for lock, state in pairs]
                with ExitStack() as comparing:
                    for lock, state in zip(locks, states, strict=True):
                        comparing.enter_context(compared(lock, state))
                    outcomes = change(attempts)
                changes = [a.end(o) for a, o in zip(attempts, outcomes, strict=True)]
                changes = [done.get(n, each) for n, each in enumerate(changes)]
                return [
                    each._replace(moved_from=moved)
                    for each, moved in zip(changes, moved_from, strict=True)
                ]
        except LiveMovedError as moved:
            for n, attempt in enumerate(attempts):
                if attempt.has_moved or len(locks) == 1:
                    moved_from[n] = moved_from[n] or attempt.state.name or "no database"
            writes += moved.writes
            last = next((state.hold for state in states if state.hold), None)
            left -= last.seconds if last else 0.0
            done = _done(attempts) | done
        except (UndropError, OSError) as error:
            if len(locks) > 1 and (done := _done(attempts) | done):
                raise _partly(locks, attempts, done, kind, error) from error
            if isinstance(error, UndropError) and moved_from[0] and not locks[0].session.changed:
                error.moved_from = moved_from[0]
            raise
    label = ", ".join(lock.settings.engine.label for lock in locks)
    what = f"{label} was written to during each of {tries} tries: {writes} transaction(s) came in"
    overtaken = _overtaken(locks[0], what, last)
    if done:
        raise _partly(locks, attempts, done, kind, overtaken) from overtaken
    overtaken.moved_from = moved_from[0]
    raise overtaken


def _done(attempts: list[Attempt]) -> dict[int, Change]:
    """What is done already, by which attempt."""
    ended = enumerate(attempt.change for attempt in attempts)
    return {n: change for n, change in ended if change and attempts[n].lock.session.changed}


def _partly(
    locks: "list[Lock]",
    attempts: list[Attempt],
    done: dict[int, Change],
    kind: str,
    error: "UndropError | OSError",
) -> ChangedError:
    """The error for a step that some of the databases have taken, and another one has not."""
    settings = [lock.settings for lock in locks]
    names = ", ".join(settings[n].name for n in sorted(done))
    failed = next((a.lock.settings.name for a in attempts if a.change is None), "the rest")
    what = str(error)
    parts: list[Part] = ["the same command again"]
    if isinstance(error, UndropError):
        what, parts = error.what, [*error.next_parts]
    told = [settings[n].told for n in sorted(done)]
    back = [part for name in told for part in (Action("undo").of_database(name), "and")][:-1]
    said = f"{kind} is done on {names} and not on {failed}: {what}"
    return ChangedError(said, *parts, "; or back to before it on what is done:", *back)


@contextmanager
def about(lock: "Lock", asked: "Lock") -> "Iterator[None]":
    """What an error of the block says to type is about the database of that lock.

    ``asked``: the one that the command is about, whose name every line has anyhow.
    """
    try:
        yield
    except UndropError as error:
        name = lock.settings.name if lock is not asked else ""
        error.next_parts = tuple(
            part.of_database(name) if isinstance(part, Action) else part
            for part in error.next_parts
        )
        raise


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
