"""Looking takes no backup, writes nothing, copies nothing, and waits for no other undrop."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import confined
import inside
import pytest
from shop import BIN, Project, wal_of

LOOKS = {
    "list": 0,
    "status": 4,
    "diff": 0,
    "diff live latest": 0,
    "diff latest live --rows": 0,
    "diff live latest --sql": 0,
    "sql latest VALUES(1)": 0,
    "sql live VALUES(1)": 0,
    "history": 0,
    "verify": 0,
    "verify latest": 0,
    "audit": 0,
    "undo --list": 0,
    "restore latest --dry-run": 0,
    "log items": 0,
    "log stock_movements 7": 0,
    "log items 1": 0,
    "find bolt": 0,
    "find nowhere": 4,
}
"""What is typed, and how it ends where no backup holds the present state."""


@contextmanager
def used(project: Project, how: str) -> Iterator[None]:
    """The live database as others leave it, or have it open with something in its -wal."""
    if how == "in use":
        with closing(sqlite3.connect(project.database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("UPDATE items SET name = 'in the -wal' WHERE id = 1")
            connection.commit()
            assert wal_of(project.database).stat().st_size > 0
            yield
        return
    if how == "WAL mode":
        with closing(sqlite3.connect(project.database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    yield


MORE = [pytest.param(how, marks=pytest.mark.more) for how in ("rollback mode", "in use")]
HOW = [*MORE, "WAL mode"]


@pytest.fixture(params=HOW)
def looked_at(request: pytest.FixtureRequest, stocked: Project) -> Iterator[Project]:
    """A project with two backups and a state that none holds, in WAL mode with a -wal or not."""
    stocked.ok("undrop", "backup", "first")
    stocked.sql("DELETE FROM stock_movements WHERE id = 7")
    stocked.ok("just", "migrate")
    stocked.ok("undrop", "backup", "second")
    stocked.sql("INSERT INTO locations (code) VALUES ('new')")
    with used(stocked, request.param):
        yield stocked


def answer(text: str) -> dict[str, object]:
    """What a look says in JSON, but for what is another thing at each look: what is free."""
    said = json.loads(text)
    for key in ("open_in", "used", "age_seconds"):
        said.pop(key, None)
    said["checked"] = [each["name"] for each in said.get("checked", [])]
    return dict(said)


def answers(project: Project) -> dict[str, object]:
    """What each look says."""
    return {line: answer(project.undrop(*line.split(), "--json").out) for line in LOOKS}


@pytest.mark.full("rollback mode")
def test_looking_writes_nothing(looked_at: Project) -> None:
    """Not even what Python keeps of the migrations that it loads."""
    before = looked_at.tree()
    for line, code in LOOKS.items():
        words = ("just", *line.split())
        done = looked_at.run(*words, PATH=f"{BIN}:/usr/bin:/bin", PYTHONDONTWRITEBYTECODE="")
        assert done.code == code, (line, done)
        assert looked_at.tree() == before, line


@pytest.mark.full("rollback mode")
@pytest.mark.full("in use", "a read-only folder")
@pytest.mark.full("in use", "a full disk")
@pytest.mark.parametrize(
    "why",
    [pytest.param(why, marks=pytest.mark.more) for why in ("a read-only folder", "a full disk")],
)
def test_looking_works_where_nothing_can_be_written(looked_at: Project, why: str) -> None:
    """And says what it says elsewhere; only ``audit`` may have to copy, outside of the project."""
    state = Path(looked_at.environment["XDG_STATE_HOME"])
    said, before = answers(looked_at), looked_at.tree()
    folders, first = [looked_at.root, state], confined.as_anybody
    if why == "a full disk":
        folders, first = [], confined.without_room
        said.pop("audit")
    with confined.read_only(*folders):
        for line in said:
            done = confined.run(looked_at, first, "undrop", *line.split(), "--json")
            assert done.code == LOOKS[line], (line, done)
            assert answer(done.out) == said[line], line
    assert looked_at.tree() == before


def half_done(project: Project) -> None:
    """What a running undrop has in ``backups/``: a hidden copy, a record whose name is reserved."""
    name = f"{project.stem}-20990101-000000-coming"
    (project.backups / ".1.partial").write_text("half a copy")
    (project.backups / ".2.partial").mkdir()
    (project.backups / f"{name}.json").write_text(
        next(iter(project.backups.glob("*.json"))).read_text()
    )


@pytest.mark.more
def test_looking_does_not_wait_for_a_running_undrop(looked_at: Project) -> None:
    """It holds its lock all the time, and what it has not finished is not seen."""
    said = answers(looked_at)
    with inside.command(looked_at):
        half_done(looked_at)
        assert answers(looked_at) == said
        for line, code in LOOKS.items():
            done = looked_at.just(*line.split())
            assert done.code == code, (line, done)
            assert "waiting" not in done.err


CROWD = """
import itertools, subprocess, sys
for number in range(int(sys.argv[1])):
    path = subprocess.check_output(["undrop", "backup", f"number {number}"], text=True).strip()
    subprocess.check_call(["undrop", "forget", path.rpartition("/")[2]])
"""


@pytest.mark.more
@pytest.mark.parametrize("looked_at", ["in use"], indirect=True)
def test_looking_beside_backups_that_come_and_go(looked_at: Project) -> None:
    """A name that was there a moment ago may lead to nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", CROWD, "12"], cwd=looked_at.root, env=looked_at.environment
    ) as others:
        rounds = 0
        while others.poll() is None:
            for line in ("list", "status", "history", "verify"):
                done = looked_at.undrop(*line.split())
                assert done.code in {0, 4} if line == "status" else done.code == 0, (line, done)
            rounds += 1
    assert others.returncode == 0
    assert rounds > 1
