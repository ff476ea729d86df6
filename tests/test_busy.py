"""A step beside programs that go on writing: its last try makes them wait, and lets them go on."""

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread, Timer

import inside
import pytest
from shop import Project, make, python

from undrop import settings
from undrop.compare import files
from undrop.compare.comparison import Comparison
from undrop.engines.sqlite import livefiles
from undrop.engines.sqlite.snapshot import Snapshot
from undrop.engines.sqlite.writelock import WriteLock
from undrop.errors import UndropError
from undrop.sqlitefile import connect
from undrop.steps import guarded, live, restore
from undrop.steps.backup import State
from undrop.store import catalog
from undrop.values import Progress, Session

ONE_ROW = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=float(sys.argv[2]), isolation_level=None)
print(connection.execute("SELECT count(*) FROM t").fetchone()[0])
connection.execute("INSERT INTO t (v) VALUES ('theirs')")
"""
WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
while True:
    connection.execute("INSERT INTO locations (code) VALUES (hex(randomblob(8)))")
    time.sleep(0.02)
"""


@pytest.fixture(params=["rollback", "wal"])
def shop(project: Project, request: pytest.FixtureRequest) -> Project:
    """A database of 400 rows in either mode, and a backup of it with 100."""
    make(project.database, 100, wal=request.param == "wal")
    inside.back_up(project)
    project.add(300)
    return project


def writes(project: Project, seconds: float = 0) -> str:
    """Another program counts the rows and adds one; it waits that long for a lock.

    What it said: the number, and what kept it from writing.
    """
    done = project.run(*python(ONE_ROW, str(project.database), str(seconds)))
    return " ".join((done.out + done.err).split()[:1] + done.err.split()[-3:])


def put_back(
    project: Project, meanwhile: Callable[[State], None], session: Session | None = None
) -> guarded.Change:
    """Restore the first backup; ``meanwhile`` happens in each try, before the replacement."""
    with inside.command(project, session) as lock:
        chosen = catalog.named(lock.settings, project.saved()[0].name)
        with restore.admitted(lock.settings, chosen) as content:

            def change(attempt: guarded.Attempt) -> guarded.Outcome:
                meanwhile(attempt.state)
                return restore.replace(attempt, chosen, content)

            return guarded.run(lock, "restore", change)


def session(hold_lock: float) -> Session:
    made = Session()
    made.hold_lock = hold_lock
    return made


def rows(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


def test_in_the_last_try_others_read_on_and_cannot_commit(shop: Project) -> None:
    """A program without a busy timeout is told so by SQLite, and can write again afterwards."""
    said: list[str] = []
    done = put_back(shop, lambda _: said.append(writes(shop)), session(60))
    assert said == ["400", "401", "402 database is locked"]
    assert done.hold is not None
    assert done.backup is not None
    assert rows(done.backup.path) == 402
    assert writes(shop) == "100"
    assert rows(shop.database) == 101


def test_a_first_try_that_nobody_overtakes_makes_nobody_wait(shop: Project) -> None:
    done = put_back(shop, lambda _: None)
    assert done.hold is None


def test_with_no_time_to_hold_it_everybody_commits_in_every_try(shop: Project) -> None:
    said: list[str] = []
    with pytest.raises(UndropError, match=r"3 tries: 3 transaction.*in\n[^;]*\nNext: stop the"):
        put_back(shop, lambda _: said.append(writes(shop)), session(0))
    assert said == ["400", "401", "402"]


def test_once_the_time_is_over_others_commit_and_it_says_how_much_more_it_takes(
    shop: Project,
) -> None:
    """The one that waits, for as long as its busy timeout, is overtaken by nothing of ours."""
    said: list[str] = []
    with pytest.raises(UndropError, match="would have needed") as raised:
        put_back(shop, lambda _: said.append(writes(shop, 60)), session(0.01))
    assert said == ["400", "401", "402"]
    assert raised.value.exit_code == 1
    assert "--hold-lock" in raised.value.next_step
    assert rows(shop.database) == 403


def overtaken(
    monkeypatch: pytest.MonkeyPatch, project: Project, times: int, seconds: float = 0
) -> Callable[[State], None]:
    """Another program writes in each try, and ``times`` just when the lock is let go of.

    Each of those took that many seconds. The lock's connection cannot be the one that replaces:
    for a moment nobody has it.
    """
    original = WriteLock.end
    let_in: list[str] = []

    def end(self: WriteLock) -> None:
        mine = self._ended is None  # and not closed after that
        original(self)
        if mine and len(let_in) < times:
            let_in.append(writes(project))
            assert "locked" not in let_in[-1]

    def meanwhile(state: State) -> None:
        if state.hold is None:
            writes(project)
        else:
            time.sleep(seconds)

    monkeypatch.setattr(WriteLock, "end", end)
    return meanwhile


def test_a_commit_between_the_lock_and_the_replacement_starts_the_step_over(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = put_back(shop, overtaken(monkeypatch, shop, 1))
    assert done.backup is not None
    assert rows(done.backup.path) == 403
    assert rows(shop.database) == 100


@pytest.mark.parametrize(("seconds", "tries"), [(60, guarded.MOST_TRIES), (0.3, guarded.TRIES)])
def test_who_always_comes_in_between_makes_it_fail_with_nothing_changed(
    shop: Project, monkeypatch: pytest.MonkeyPatch, seconds: float, tries: int
) -> None:
    """Nobody is made to wait for longer than was allowed, however many tries that takes."""
    meanwhile = overtaken(monkeypatch, shop, 99, 0.2)
    with pytest.raises(UndropError, match=f"{tries} tries: {tries} .* came in") as raised:
        put_back(shop, meanwhile, session(seconds))
    assert raised.value.exit_code == 1
    assert rows(shop.database) == 400 + tries


def test_others_can_commit_until_the_last_try_has_the_lock(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In rollback mode they could not beside a snapshot, and each would wait for the other."""
    original = connect.begin
    said: list[str] = []

    def begin(connection: sqlite3.Connection, patience: float, *statements: str) -> None:
        if statements == ("BEGIN IMMEDIATE",):
            said.append(writes(shop))
        original(connection, patience, *statements)

    monkeypatch.setattr(connect, "begin", begin)
    done = put_back(shop, lambda state: None if state.hold else shop.add(1))
    assert said == ["402"]
    assert done.backup is not None
    assert rows(done.backup.path) == 403


def test_while_the_replacement_waits_for_a_reader_no_writer_comes_in(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has to in rollback mode, and has taken the write lock by then."""
    make(project.database, 100)
    inside.back_up(project)
    project.add(300)
    original = WriteLock.end

    def commits(connection: sqlite3.Connection, statement: str) -> bool:
        with suppress(sqlite3.OperationalError):  # database is locked
            connection.execute(statement)
            return True
        return False

    def write(reading: sqlite3.Cursor) -> None:
        with closing(sqlite3.connect(project.database, timeout=0, isolation_level=None)) as writer:
            while commits(writer, "BEGIN IMMEDIATE"):
                writer.execute("ROLLBACK")
            reading.close()
            reading.connection.close()
            while not commits(writer, "INSERT INTO t (v) VALUES ('theirs')"):
                pass

    writers: list[Thread] = []

    def end(self: WriteLock) -> None:
        original(self)
        if not writers:
            reader = sqlite3.connect(project.database, check_same_thread=False)
            reading = reader.execute("SELECT * FROM t")
            writers.append(Thread(target=write, args=[reading], daemon=True))
            writers[0].start()

    monkeypatch.setattr(WriteLock, "end", end)
    done = put_back(project, lambda state: None if state.hold else project.add(1))
    writers[0].join()
    assert done.backup is not None
    assert rows(done.backup.path) == 402
    assert rows(project.database) == 101


def test_what_a_restore_would_cost_is_found_out_beside_who_is_just_committing(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In rollback mode nobody can read then, and nobody can commit while somebody reads."""
    original = files.compare

    def compare(old: Path, new: Path, progress: Progress, **known: str) -> Comparison:
        theirs = sqlite3.connect(
            shop.database, timeout=0, isolation_level=None, check_same_thread=False
        )
        theirs.execute("BEGIN EXCLUSIVE")
        passing = Timer(0.2, theirs.close)
        passing.start()
        try:
            return original(old, new, progress, **known)  # type: ignore[arg-type]  # as they were given
        finally:
            passing.join()

    monkeypatch.setattr(files, "compare", compare)
    [table] = live.compare(settings.load(shop.root), shop.saved()[0]).tables
    assert table.added == 300


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("the disk went away")])
def test_whatever_ends_the_last_try_others_can_write_again(
    shop: Project, error: BaseException
) -> None:
    def meanwhile(state: State) -> None:
        if state.hold is not None:
            assert writes(shop).endswith("database is locked")
            raise error
        writes(shop)

    with pytest.raises((KeyboardInterrupt, OSError)):
        put_back(shop, meanwhile)
    assert writes(shop) == "402"


def test_a_change_of_page_size_still_goes_in(project: Project) -> None:
    """For that the database leaves WAL mode, which it cannot while we hold its lock."""
    make(project.database, 100, page_size=1024)
    inside.back_up(project)
    project.database.unlink()
    make(project.database, 400, wal=True, page_size=8192)
    said: list[str] = []
    done = put_back(project, lambda _: said.append(writes(project)))
    assert said == ["400", "401", "402 database is locked"]
    assert done.hold is not None
    assert rows(project.database) == 100


def test_who_writes_now_and_then_is_not_kept_waiting_for_a_removal(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits has the database open, and what is open is not removed."""
    original = livefiles.remove
    said: list[str] = []

    def remove(snapshot: Snapshot) -> None:
        said.append(writes(shop))
        original(snapshot)

    monkeypatch.setattr(livefiles, "remove", remove)
    with inside.command(shop) as lock, pytest.raises(UndropError, match="3 tries"):
        restore.nuke(lock)
    assert said == ["400", "401", "402"]


@pytest.fixture(params=[pytest.param("DELETE", marks=pytest.mark.more), "WAL"])
def busy(stocked: Project, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A shop with a migration that takes a while, and an application that writes all the time."""
    stocked.sql(f"PRAGMA journal_mode = {request.param}")
    stocked.revise("time.sleep(0.5)", "op.add_column('items', sa.Column('colour', sa.Text))")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(stocked.database)]) as process:
        try:
            yield stocked
        finally:
            process.kill()


@pytest.mark.more
@pytest.mark.full("DELETE")
def test_the_line_that_it_says_to_type_gives_it_the_time_that_it_takes(busy: Project) -> None:
    """Whatever else was typed stays, another value of the option does not."""
    for option in (("--hold-lock", "0.01"), ("--hold-lock=0.01",)):
        refused = busy.just("migrate", *option, "9001", "--json")
        assert refused.code == 1, refused
        assert "was changed meanwhile, by others" in refused.err
        assert json.loads(refused.out)["live_changed"] is False
    line = refused.err.partition("Next: ")[2].partition(", if")[0]
    words = line.split()
    assert words[:3] == ["just", "migrate", "--hold-lock"]
    assert words[4:] == ["9001", "--json"]
    [action, *_] = json.loads(refused.out)["next_actions"]
    assert action == {"name": "migrate", "arguments": words[2:]}
    done = busy.run("/bin/sh", "-c", line)
    assert done.code == 0, done
    told = re.search(r"the last one made them wait up to ([\d.]+) s", done.err)
    assert told
    assert float(told[1]) == pytest.approx(json.loads(done.out)["seconds_held"], abs=0.01)
    assert "colour" in "".join(busy.content())


@pytest.mark.parametrize("value", ["-1", "nan", "86401", "soon", ""])
def test_what_is_no_time_is_refused(shop: Project, value: str) -> None:
    done = shop.undrop("restore", "latest", f"--hold-lock={value}")
    assert done.code == 2, done
    assert "no number of seconds" in done.err
    assert rows(shop.database) == 400


def test_a_server_has_locks_of_its_own(shop: Project) -> None:
    url = "postgresql://localhost:1/shop"
    done = shop.undrop("migrate", "--hold-lock", "3", QUARTERMASTER_DB_URL=url)
    assert done.code == 2, done
    assert "is on a server" in done.err
