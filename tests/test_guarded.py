"""The one way to the live database: what a step is said to have done, and what is written down."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from inside import command
from shop import Project, add, make

from undrop.errors import LiveMovedError, UndropError
from undrop.steps import guarded
from undrop.steps.backup import State
from undrop.steps.guarded import Attempt
from undrop.store import log
from undrop.store.lock import Lock
from undrop.store.log import After
from undrop.store.step import Phase


def stepped(
    project: Project, change: Callable[[Attempt], guarded.Outcome | None]
) -> guarded.Change:
    """What a step of ours does."""
    with command(project) as held:
        return guarded.run(held, "restore", change)


def ending(outcome: guarded.Outcome) -> Callable[[Attempt], guarded.Outcome]:
    """A change that comes to that, and says before that it begins."""

    def change(attempt: Attempt) -> guarded.Outcome:
        with attempt.changing():
            return outcome

    return change


def chain(project: Project) -> list[tuple[str, str, list[str] | None]]:
    with command(project) as held:
        return [(each.kind, each.phase, each.filled) for each in log.steps(held.settings)]


def test_a_step_changed_something_unless_it_says_that_it_did_not(project: Project) -> None:
    make(project.database)
    done = stepped(project, ending(guarded.Outcome(0.25, ["t"], After("x.db"))))
    assert (done.seconds, done.same) == (0.25, False)
    same = stepped(project, ending(guarded.Outcome(0.0, [], After(None), same=True)))
    assert (same.seconds, same.same) == (0.0, True)
    assert [each[1:] for each in chain(project)] == [("done", ["t"]), ("same", [])]


def test_with_nothing_to_do_nothing_is_written_down(project: Project) -> None:
    make(project.database)
    done = stepped(project, lambda _: None)
    assert (done.seconds, done.same, chain(project)) == (0.0, False, [])
    assert done.backup is not None
    assert [done.backup.path] == project.saved()


@pytest.mark.more
def test_each_try_sees_the_state_that_is_there_then_and_all_are_counted(project: Project) -> None:
    make(project.database)
    seen: list[str] = []

    def moves(attempt: Attempt) -> guarded.Outcome:
        seen.append(attempt.state.name)
        with closing(sqlite3.connect(project.database)) as connection:
            add(connection, 1)
        raise LiveMovedError("somebody wrote", "the same command again", writes=2)

    with pytest.raises(UndropError, match=r"each of 3 tries: 6 transaction\(s\) came in"):
        stepped(project, moves)
    assert len(set(seen)) == 3


def failing(held: Lock, *, changed: bool) -> None:
    held.session.changed = changed
    raise OSError("the disk went away")


@pytest.mark.parametrize(("changed", "phase"), [(False, "failed"), (True, "open")])
def test_that_a_step_failed_is_written_down_unless_it_had_changed_something(
    project: Project, phase: Phase, *, changed: bool
) -> None:
    """What was changed by then, the state that comes next tells."""
    with command(project) as held:
        state = State("absent", None, None, "restore")
        with pytest.raises(OSError, match="the disk"), Attempt(held, "restore", state).changing():
            failing(held, changed=changed)
    assert [each[1] for each in chain(project)] == [phase]
