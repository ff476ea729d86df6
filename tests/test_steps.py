"""The log of steps: torn lines, steps that failed or changed nothing, and what undo makes of it."""

import json
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from inside import back_up, command, put_back
from shop import Project, add, content, make

from undrop import settings
from undrop.engines.sqlite import swap
from undrop.engines.sqlite.snapshot import Snapshot
from undrop.errors import CheckError, UndropError
from undrop.steps import backup, restore, undo
from undrop.store import log
from undrop.store.step import Phase
from undrop.values import Session


def log_of(project: Project) -> Path:
    return project.backups / "steps.jsonl"


def chain(project: Project) -> list[tuple[str, str]]:
    """Kinds and ends of the steps, oldest first."""
    return [(step.kind, step.phase) for step in log.steps(settings.load(project.root))]


def write(project: Project, rows: int = 3) -> None:
    """The application works."""
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, rows)


def undone(project: Project) -> str:
    """What ``undrop undo`` takes back: the kind of step."""
    with command(project) as lock:
        return undo.undo(lock).plan.taken_back[-1].kind


def is_not_undone(project: Project) -> None:
    """Undo blames no step, and leaves the application's rows alone."""
    before = content(project.database)
    with pytest.raises(CheckError, match=r"nothing to undo|others' work"):
        undone(project)
    assert content(project.database) == before


LOGGED = [("migrate", "1.db"), ("restore", "2.db"), ("undo", "3.db")]


def write_log(project: Project, *wanted: tuple[str, str]) -> None:
    project.backups.mkdir(exist_ok=True)
    for kind, before in wanted:
        log.begin(settings.load(project.root), kind, before)


@pytest.mark.more
def test_a_line_cut_short_anywhere_hides_no_other_line(project: Project) -> None:
    """A full disk or a loss of power leaves half a line: what is written next stands alone."""
    write_log(project, *LOGGED[:2])
    whole = log_of(project).read_bytes()
    start = whole.index(b"\n") + 1
    for end in range(start, len(whole) + 1):
        log_of(project).write_bytes(whole[:end])
        kept = LOGGED if end >= len(whole) - 1 else [LOGGED[0], LOGGED[2]]
        write_log(project, LOGGED[2])
        found = [(step.kind, step.state_before) for step in log.steps(settings.load(project.root))]
        assert found == kept, whole[start:end]


@pytest.mark.parametrize("room", [0, 1, 60])
def test_a_step_that_the_disk_has_no_room_to_write_down_is_refused(
    project: Project, room: int
) -> None:
    """Not begun with half a line in the log, of which undo knows nothing."""
    write_log(project, LOGGED[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log_of(project).stat().st_size + room, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_log(project, LOGGED[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    write_log(project, LOGGED[2])
    found = [step.kind for step in log.steps(settings.load(project.root))]
    assert found == [LOGGED[0][0], LOGGED[2][0]]


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize(
    "garbage",
    [b"\0" * 512, b"\xff\xfe{", b"[]", b'{"at": 1}', b"\n\n", b"[" * 5000, b'{"at": "20'],
    ids=["zeroes", "no text", "a list", "half a step", "blank lines", "depth", "cut"],
)
def test_garbage_in_the_log_hides_no_step_before_or_after_it(
    project: Project, garbage: bytes, end: bytes
) -> None:
    write_log(project, LOGGED[0])
    with log_of(project).open("ab") as file:
        file.write(garbage + end)
    write_log(project, LOGGED[1])
    assert [step.kind for step in log.steps(settings.load(project.root))] == [
        "migrate",
        "restore",
    ]
    assert json.loads(log_of(project).read_bytes().splitlines()[-1])["kind"] == "restore"


def test_a_restore_that_changed_nothing_is_not_undone_with_what_came_since(
    project: Project,
) -> None:
    make(project.database)
    put_back(project, back_up(project).name)
    assert chain(project) == [("restore", "same")]
    write(project)
    is_not_undone(project)


def test_a_nuke_with_nothing_to_remove_is_no_step(project: Project) -> None:
    with command(project) as lock:
        restore.nuke(lock)
    assert chain(project) == []
    make(project.database)
    is_not_undone(project)


def test_a_step_that_failed_is_not_undone_with_what_came_since(project: Project) -> None:
    """Somebody's transaction keeps a restore out, and then commits: nobody's step made its rows."""
    make(project.database)
    back_up(project)
    write(project)
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (v) VALUES ('theirs')")
        with pytest.raises(UndropError, match="locked"):
            put_back(project, session=Session(patience=0.05))
        connection.execute("COMMIT")
    assert chain(project) == [("restore", "failed")]
    is_not_undone(project)


def test_each_try_of_a_step_is_closed_in_the_log(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit comes in between the backup and the replacement: the first try changed nothing."""
    make(project.database)
    back_up(project)
    original = swap.swap

    def swapping(snapshot: Snapshot, source: Path) -> float:
        if not log_of(project).read_text().count("failed"):
            snapshot.release()
            write(project)
        return original(snapshot, source)

    write(project)
    monkeypatch.setattr(swap, "swap", swapping)
    put_back(project)
    assert chain(project) == [("restore", "failed"), ("restore", "done")]


@pytest.mark.parametrize("phase", ["failed", "same"])
def test_a_killed_step_is_judged_by_the_state_that_the_next_step_found(
    project: Project, phase: Phase
) -> None:
    """It had changed nothing: rows that came after the next step, long past it, are not its own."""
    make(project.database)
    snapshot = back_up(project).name
    write_log(project, ("restore", snapshot))
    loaded = settings.load(project.root)
    log.end(loaded, log.begin(loaded, "nuke-db", snapshot), phase)
    assert chain(project) == [("restore", "open"), ("nuke-db", phase)]
    write(project)
    is_not_undone(project)


@pytest.mark.parametrize("phase", ["failed", "same"])
def test_a_killed_step_that_did_change_something_is_found_behind_others(
    project: Project, phase: Phase
) -> None:
    make(project.database)
    before = content(project.database)
    snapshot = back_up(project).name
    write_log(project, ("restore", snapshot))
    write(project)
    with command(project) as lock:
        with backup.covered(lock, backup.Purpose("x", "nuke-db")) as state:
            next_one = state.name
        log.end(lock.settings, log.begin(lock.settings, "nuke-db", next_one), phase)
    assert undone(project) == "restore"
    assert content(project.database) == before
