"""What happens when the database changes, or a signal comes, at the worst moment."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Timer

import inside
import pytest
from shop import Project, add, content, make, wal_of

from undrop import settings
from undrop.engines.sqlite import livefiles, replace, swap
from undrop.engines.sqlite.snapshot import Snapshot
from undrop.errors import ChangedError, LiveMovedError, UndropError
from undrop.migrations import tool
from undrop.record import Record
from undrop.steps import backup, guarded, migrate, restore
from undrop.store.lock import Lock, locked
from undrop.values import Session


def count(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


@pytest.fixture(params=[pytest.param("rollback", marks=pytest.mark.more), "wal"])
def pair(project: Project, request: pytest.FixtureRequest) -> tuple[Project, Path]:
    """A database of 400 rows in either mode, and a backup of it with 100."""
    make(project.database, 100, wal=request.param == "wal")
    saved = Path(project.ok("just", "backup").strip())
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 300)
    return project, saved


def write_before_each_swap(
    monkeypatch: pytest.MonkeyPatch, database: Path, times: int
) -> list[int]:
    """Commit a row between the covering backup and the replacement, ``times`` times."""
    original = swap.swap
    written: list[int] = []

    def swapping(snapshot: Snapshot, source: Path) -> float:
        snapshot.release()
        if len(written) < times:
            with closing(sqlite3.connect(database)) as connection:
                add(connection, 1)
            written.append(1)
        return original(snapshot, source)

    monkeypatch.setattr(swap, "swap", swapping)
    return written


def test_a_commit_in_between_starts_the_step_over(
    pair: tuple[Project, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, saved = pair
    written = write_before_each_swap(monkeypatch, project.database, 2)
    with inside.command(project) as lock:
        done = inside.restored(lock, "latest", project.root)
    assert len(written) == 2
    assert count(project.database) == 100
    assert done.source == saved
    assert done.change.backup is not None
    assert count(done.change.backup.path) == 402


@pytest.mark.more
def test_a_writer_that_never_stops_makes_it_fail_with_nothing_changed(
    pair: tuple[Project, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = pair
    written = write_before_each_swap(monkeypatch, project.database, 99)
    with pytest.raises(UndropError, match="3 tries: 3 transaction"):
        inside.put_back(project)
    assert len(written) == guarded.TRIES
    assert count(project.database) == 403


def test_a_commit_just_before_nuke_is_not_lost(
    pair: tuple[Project, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = pair
    original = livefiles.remove
    written: list[int] = []

    def remove(snapshot: Snapshot) -> None:
        if not written:
            snapshot.release()
            with closing(sqlite3.connect(project.database)) as connection:
                add(connection, 1)
            written.append(1)
        original(snapshot)

    monkeypatch.setattr(livefiles, "remove", remove)
    with inside.command(project) as lock:
        change = restore.nuke(lock)
    assert not project.database.exists()
    assert change.backup is not None
    assert count(change.backup.path) == 401


OPENS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30)
print(connection.execute("SELECT count(*) FROM t").fetchall(), flush=True)
sys.stdin.readline()
connection.execute("INSERT INTO t (v) VALUES ('in the last moment')")
connection.commit()
"""


@pytest.mark.parametrize("wal", [False, True])
def test_who_opens_it_in_the_last_moment_before_nuke_commits_into_the_live_database(
    project: Project, monkeypatch: pytest.MonkeyPatch, *, wal: bool
) -> None:
    make(project.database, 400, wal=wal)
    original = livefiles.refuse_while_open
    command = [sys.executable, "-c", OPENS, str(project.database)]
    with ExitStack() as stack:
        programs: list[subprocess.Popen[str]] = []

        def refuse(*files: Path) -> None:
            original(*files)
            if not programs:
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
                program = stack.enter_context(subprocess.Popen(command, **pipes))  # type: ignore[call-overload]
                assert program.stdout.readline() == "[(400,)]\n"
                programs.append(program)

        monkeypatch.setattr(livefiles, "refuse_while_open", refuse)
        with inside.command(project) as lock, pytest.raises(UndropError, match="is open by") as no:
            restore.nuke(lock)
        assert no.value.exit_code == 1
        programs[0].communicate("go on\n")
    assert count(project.database) == 401
    assert project.litter() == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_around_the_change_to_another_page_size_is_not_lost(
    project: Project, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """For that the database leaves WAL mode, and for a moment nothing of ours has it open."""
    make(project.database, 100, page_size=1024)
    saved = inside.back_up(project)
    project.database.unlink()
    make(project.database, 400, wal=True, page_size=8192)
    original = swap._switch_journal_mode
    written: list[int] = []

    def changing(live: Path, mode: str) -> None:
        if moment == "after":
            original(live, mode)
        if not written:
            with closing(sqlite3.connect(live)) as connection:
                add(connection, 1)
            written.append(1)
        if moment == "before":
            original(live, mode)

    monkeypatch.setattr(swap, "_switch_journal_mode", changing)
    assert inside.put_back(project, str(saved)) == saved
    assert written
    assert content(project.database) == content(saved)
    assert project.database.read_bytes()[18:20] == b"\x02\x02"
    assert [count(path) for path in project.saved()] == [100, 400, 401]


def test_a_checkpoint_in_between_is_no_change(project: Project) -> None:
    make(project.database, wal=True)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 10)
        assert wal_of(project.database).stat().st_size > 0
        snapshot = Snapshot(project.database, Session())
        snapshot.release()
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        assert snapshot.unchanged()
        add(connection, 1)
        assert not snapshot.unchanged()
        snapshot.close()


@pytest.mark.parametrize("mode", ["rollback", "wal"])
def test_a_file_renamed_into_place_is_another_one_however_alike(
    project: Project, mode: str
) -> None:
    """Equal bytes and counters are no proof: what its owner writes next goes into that one."""
    make(project.database, wal=mode == "wal")
    snapshot = Snapshot(project.database, Session())
    snapshot.release()
    assert snapshot.unchanged()
    copy = Path(shutil.copyfile(project.database, project.root / "copy.db"))
    copy.rename(project.database)
    assert not snapshot.unchanged()
    snapshot.close()


def test_what_a_file_renamed_into_place_holds_is_backed_up_before_it_is_replaced(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program puts its own file there, by rename, between the backup and the swap."""
    make(project.database, 100)
    saved = inside.back_up(project)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 300)
    other = project.root / "other.db"
    other.write_bytes(project.database.read_bytes().replace(b"x" * 90, b"y" * 90))
    theirs = content(other)
    original = swap.swap

    def swapping(snapshot: Snapshot, source: Path) -> float:
        if other.exists():
            other.rename(project.database)
        return original(snapshot, source)

    monkeypatch.setattr(swap, "swap", swapping)
    assert inside.put_back(project) == saved
    assert content(project.database) == content(saved)
    assert theirs in [content(path) for path in project.saved()]


def test_a_database_made_meanwhile_is_not_overwritten(project: Project, tmp_path: Path) -> None:
    work = tmp_path / "work.db"
    make(work, 3)
    make(project.database, 5)
    with pytest.raises(LiveMovedError):
        livefiles.install(work, project.database, Session(), damaged=False)
    assert count(project.database) == 5


def test_damage_that_changed_meanwhile_is_kept_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(project.database)
    project.ok("just", "backup")
    project.database.write_text("garbage")
    original = replace._is_kept
    rounds: list[int] = []

    def is_kept(live: Path, entry: Record | None) -> bool:
        if not rounds:
            project.database.write_text("other garbage")
        rounds.append(1)
        return original(live, entry)

    monkeypatch.setattr(replace, "_is_kept", is_kept)
    inside.put_back(project)
    kept = {(entry / "quartermaster.db").read_text() for entry in project.backups.glob("*.damaged")}
    assert kept == {"garbage", "other garbage"}


def test_a_failure_after_the_swap_says_so(
    pair: tuple[Project, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = pair

    def fail(*_: object) -> bool:
        raise OSError("the disk went away")

    # How it is looked at, unless somebody wrote.
    monkeypatch.setattr("undrop.sqlitefile.pages.same", fail)
    with pytest.raises(ChangedError, match="the disk went away") as raised:
        inside.put_back(project)
    assert raised.value.exit_code == 3
    assert "was changed" in str(raised.value)
    assert "undrop restore quartermaster-" in str(raised.value)


def test_what_somebody_wrote_right_after_the_swap_is_checked_too(
    pair: tuple[Project, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live bytes are no longer those put in place; damage among them is not passed over."""
    project, saved = pair
    original = swap.swap

    def swapping(snapshot: Snapshot, source: Path) -> float:
        took = original(snapshot, source)
        with project.database.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 4096)
        return took

    monkeypatch.setattr(swap, "swap", swapping)
    with pytest.raises(ChangedError, match="check did not end well"):
        inside.put_back(project, saved.name)


def test_a_rehearsal_changes_a_copy_and_says_nothing_else(project: Project) -> None:
    """It swaps as migrate does, and what fails after that must not say that live was changed."""
    with inside.command(project) as lock:
        inside.migrated(lock, "0001")
        assert lock.session.changed
    with inside.command(project) as lock, tool.of(lock.settings, []) as migrations:
        assert migrate.rehearse(lock, migrations, accept_loss=True).moved.steps > 0
        assert not lock.session.changed


def test_others_can_write_while_a_covered_state_is_worked_on(pair: tuple[Project, Path]) -> None:
    """A backup that holds the state already is found without a lock that outlasts the look."""
    project, _ = pair
    project.ok("just", "backup")
    with (
        inside.command(project) as lock,
        backup.covered(lock, backup.Purpose("x", "restore")) as state,
        closing(sqlite3.connect(project.database, timeout=0)) as connection,
    ):
        add(connection, 1)
        assert isinstance(state.snapshot, Snapshot)
        assert not state.snapshot.connection.in_transaction


def test_a_failure_half_way_through_nuke_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(project.database)

    def fail(_path: Path) -> None:
        raise OSError("the disk went away")

    monkeypatch.setattr("undrop.engines.sqlite.livefiles.durable.sync_path", fail)
    with pytest.raises(ChangedError):
        livefiles.unlink(project.database, Session())


def test_an_interrupt_after_the_commit_says_that_it_is_changed(pair: tuple[Project, Path]) -> None:
    project, saved = pair

    def interrupt(_phase: str, done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    snapshot = Snapshot(project.database, Session(interrupt))
    with pytest.raises(ChangedError):
        swap.swap(snapshot, saved)
    snapshot.close()
    assert count(project.database) == 100


def test_an_interrupt_before_the_commit_changes_nothing(pair: tuple[Project, Path]) -> None:
    project, saved = pair

    def interrupt(_phase: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    snapshot = Snapshot(project.database, Session(interrupt))
    with pytest.raises(KeyboardInterrupt):
        swap.swap(snapshot, saved)
    snapshot.close()
    assert count(project.database) == 400


def test_a_lock_that_is_let_go_of_again_is_waited_for(
    pair: tuple[Project, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In rollback mode whoever commits lets nobody read for a moment."""
    project, _ = pair
    original = swap.swap

    def swapping(snapshot: Snapshot, source: Path) -> float:
        snapshot.release()
        theirs = sqlite3.connect(
            project.database, timeout=0, isolation_level=None, check_same_thread=False
        )
        theirs.execute("BEGIN EXCLUSIVE")
        passing = Timer(0.2, theirs.close)
        passing.start()
        try:
            return original(snapshot, source)
        finally:
            passing.join()

    monkeypatch.setattr(swap, "swap", swapping)
    inside.put_back(project)
    assert count(project.database) == 100


@pytest.mark.parametrize("recipe", ["restore", "reset-db"])
def test_a_write_lock_ends_a_step_in_time(pair: tuple[Project, Path], recipe: str) -> None:
    project, _ = pair
    steps: dict[str, Callable[[Lock], object]] = {
        "restore": lambda lock: inside.restored(lock, "latest", project.root),
        "reset-db": migrate.reset,
    }
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "c.execute('BEGIN IMMEDIATE'); c.execute(\"INSERT INTO t (v) VALUES ('mine')\");"
            "print('locked', flush=True); sys.stdin.read(); c.execute('COMMIT')",
            str(project.database),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    with (
        inside.command(project, Session(patience=0.3)) as lock,
        pytest.raises(UndropError, match=f"pid {holder.pid}") as raised,
    ):
        steps[recipe](lock)
    holder.communicate()
    assert raised.value.exit_code == 1
    assert count(project.database) == 401


def test_nuke_ends_in_time_when_somebody_whom_it_cannot_see_writes(
    pair: tuple[Project, Path],
) -> None:
    """Another user's program is in no list of open files; that it has a lock shows all the same."""
    project, _ = pair
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (v) VALUES ('theirs')")
        with (
            inside.command(project, Session(patience=0.1)) as lock,
            pytest.raises(UndropError, match="was locked for") as raised,
        ):
            restore.nuke(lock)
        connection.execute("COMMIT")
    assert raised.value.exit_code == 1
    assert count(project.database) == 401


@pytest.fixture
def running(project: Project) -> Iterator[subprocess.Popen[str]]:
    """A backup that waits for a lock, ready to be told to stop."""
    make(project.database)
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with subprocess.Popen(
            ["undrop", "backup"],
            cwd=project.root,
            env=project.environment,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            deadline = time.monotonic() + 10
            while not (project.backups / ".lock").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_with_nothing_left(
    running: subprocess.Popen[str], project: Project, number: signal.Signals
) -> None:
    running.send_signal(number)
    _, said = running.communicate(timeout=5)
    assert running.returncode == 128 + number
    assert "stopped by SIG" in said
    assert "was not changed" in said
    assert project.litter() == []


def test_another_undrop_is_waited_for_and_named(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup")
    with locked(settings.load(project.root), print):
        process = subprocess.Popen(
            ["undrop", "backup"],
            cwd=project.root,
            env=project.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert f"waiting for another undrop (pid {os.getpid()})" in process.stderr.readline()
    process.communicate()
    assert process.returncode == 0


def test_one_that_never_ends_is_given_up_on(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup")
    project_settings = settings.load(project.root, Session(patience_with_undrop=0.1))
    with (
        locked(project_settings, print),
        pytest.raises(UndropError, match="at work"),
        locked(project_settings, print),
    ):
        pass


def test_ten_backups_at_once_are_ten_whole_files(project: Project) -> None:
    make(project.database)
    running = [
        subprocess.Popen(["undrop", "backup", "at once"], cwd=project.root, env=project.environment)
        for _ in range(10)
    ]
    assert [process.wait() for process in running] == [0] * 10
    assert len(project.saved()) == 10
    assert all(content(path) == content(project.database) for path in project.saved())


def test_no_space_is_said_before_anything_starts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(project.database)
    project.ok("just", "backup")
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 5)
    before = content(project.database)
    full = type("Full", (), {"f_bavail": 1, "f_frsize": 4096})
    monkeypatch.setattr("os.statvfs", lambda _folder: full)
    with pytest.raises(OSError, match="bytes free"):
        inside.put_back(project)
    assert content(project.database) == before


def test_a_copy_that_the_disk_did_not_keep_is_not_the_databases_damage(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost write must neither pass for a backup nor for a damaged live database."""
    make(project.database, rows=500)
    original = Snapshot.copy_to

    def copy_to(self: Snapshot, target: Path) -> None:
        original(self, target)
        with target.open("r+b") as file:
            file.seek(4096)
            file.write(bytes(4096))

    monkeypatch.setattr(Snapshot, "copy_to", copy_to)
    project.backups.mkdir()
    with (
        inside.command(project) as lock,
        pytest.raises(UndropError, match="did not keep") as raised,
    ):
        restore.nuke(lock)
    assert raised.value.exit_code == 1
    assert project.saved() == []
    assert len(content(project.database)) > 500
