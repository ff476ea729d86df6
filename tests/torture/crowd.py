"""Other programs: processes that hold a database open, or write to it, while undrop works."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from forks import Done
from shop import Project
from tally import FULL

from undrop import settings
from undrop.errors import UndropError
from undrop.steps import verify
from undrop.store import catalog, unpacked

DEADLINE = 10.0 if FULL else 0.5  # seconds that a command waits for a lock
SLACK = 9.0  # seconds for its start and its work; less than a second deadline on top
AFTER = "INSERT INTO locations (code) VALUES ('after')"


COMMANDS = {
    "backup": ("backup",),
    "restore": ("restore", "latest"),
    "migrate": ("migrate",),
    "reset-db": ("reset-db",),
    "nuke-db": ("nuke-db",),
}


class Hold(NamedTuple):
    """How a process has the database open, and what is in its open transaction."""

    opens: str
    pending: str = ""


MINE = "INSERT INTO locations (code) VALUES ('mine')"
MANY = "UPDATE stock_movements SET note = 'spilled' || hex(zeroblob(200))"
HOLDS = {
    "an EXCLUSIVE lock": Hold("BEGIN EXCLUSIVE"),
    "locking_mode = EXCLUSIVE": Hold("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT"),
    "a write transaction": Hold(f"BEGIN IMMEDIATE; {MINE}", MINE),
    "one that has spilled": Hold(
        f"PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE; {MANY}", MANY
    ),
    "an idle connection": Hold("SELECT 1 FROM locations"),
    "an unfinished SELECT": Hold("SELECT id FROM stock_movements"),
}
LOCKED_OUT = {"an EXCLUSIVE lock", "locking_mode = EXCLUSIVE", "one that has spilled"}
WRITING = {*LOCKED_OUT, "a write transaction"}

HOLDER = """
import json, sqlite3, sys
path, opens, after = sys.argv[1:]
c = sqlite3.connect(path, timeout=5, isolation_level=None)
*first, last = opens.split("; ")
for sql in first:
    c.execute(sql).fetchall()
cursor = c.execute(last)
if "SELECT id" not in last:
    cursor.fetchall()
print("ready", flush=True)
sys.stdin.readline()
cursor.fetchall()
if c.in_transaction:
    c.execute("COMMIT")
print(json.dumps(list(c.iterdump())), flush=True)
c.execute(after)
"""

PAIR_WRITER = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
n = 0
while True:
    n += 1
    c.execute("BEGIN IMMEDIATE")
    c.execute("UPDATE a SET v = v + ? WHERE id = ?", (n, n % 100))
    c.execute("UPDATE b SET v = v + ? WHERE id = ?", (n, n * 7 % 100))
    c.execute("COMMIT")
"""

# Busy for one second of every four: a step that takes longer than a pause needs a lull.
ACKNOWLEDGING_WRITER = """
import random, sqlite3, sys, time
path, name, file = sys.argv[1:]
c = sqlite3.connect(path, timeout=0.2, isolation_level=None)
n = 0
with open(file, "a") as acknowledged:
    while True:
        n += 1
        while True:
            try:
                c.execute("INSERT OR IGNORE INTO acked VALUES (?)", (f"{name}-{n}",))
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
        acknowledged.write(f"{name}-{n}\\n")
        acknowledged.flush()
        time.sleep(random.uniform(0.02, 0.05))
        time.sleep(max(0, 3 - time.time() % 4))
"""

# Commits that often a second, and waits for a lock as long as Python's connections do.
STEADY_WRITER = """
import sqlite3, sys, time
path, rate, file = sys.argv[1:]
c = sqlite3.connect(path, timeout=5, isolation_level=None)
n = 0
with open(file, "a") as acknowledged:
    while True:
        n += 1
        began = time.monotonic()
        c.execute("INSERT INTO acked VALUES (?)", (f"steady-{n}",))
        acknowledged.write(f"steady-{n}\\n")
        acknowledged.flush()
        time.sleep(max(0, began + 1 / float(rate) - time.monotonic()))
"""


def impatient(project: Project, *arguments: str) -> Done:
    """The real command; in a sample its patience with locks is half a second."""
    if FULL:
        return project.undrop(*arguments)
    return project.impatient(*arguments)


class Template:
    """A project one migration behind, with a backup, and what each command would make of it."""

    def __init__(self, root: Path, stocked: Path) -> None:
        root.mkdir()
        self.project = Project(root)
        shutil.copy(stocked, self.project.database)
        self.project.ok("undrop", "migrate", "0005", "--accept-loss")
        shutil.rmtree(self.project.backups)
        self.add("CREATE TABLE acked (id TEXT PRIMARY KEY)")
        self.good = Path(self.project.ok("undrop", "backup", "good").strip())
        self.add("INSERT INTO locations (code) VALUES ('since')")

    def add(self, sql: str) -> None:
        with closing(sqlite3.connect(self.project.database)) as connection, connection:
            connection.execute(sql)

    def copy(self, root: Path, mode: str = "DELETE") -> Project:
        """A project of its own with the same database, in journal mode ``mode``, and backup."""
        root.mkdir()
        project = Project(root)
        shutil.copy(self.project.database, project.database)
        shutil.copytree(self.project.backups, project.backups)
        with closing(sqlite3.connect(project.database)) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        return project

    def becomes(self, command: str, scratch: Path) -> Path:
        """The live database after ``command`` when nobody else is there."""
        if command in {"backup", "nuke-db"}:
            return self.project.database
        if command == "restore":
            return self.good
        done = scratch.with_name(f"{command}.done.db")
        if not done.exists():
            alone = self.copy(scratch)
            alone.ok("undrop", *COMMANDS[command])
            shutil.copy(alone.database, done)
        return done


class Holder:
    """A process that keeps the database open until it is told to go on."""

    def __init__(self, database: Path, hold: Hold) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(database), hold.opens, AFTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go_on(self) -> list[str]:
        """End its transaction, say what it sees then, and commit once more."""
        out, _ = self.process.communicate("\n")
        return list(json.loads(out)) if out else []


@contextmanager
def running(*command: str, stderr: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Python script in a process of its own for the block; killed at its end."""
    with (
        stderr.open("wb") as said,
        subprocess.Popen([sys.executable, "-c", *command], stderr=said) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def with_sql(database: Path, *statements: str) -> list[str]:
    """What a copy of ``database`` holds after ``statements``."""
    with (
        closing(sqlite3.connect(database)) as original,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as copy,
    ):
        original.backup(copy)
        for sql in filter(None, statements):
            copy.execute(sql)
        return list(copy.iterdump())


def kept(project: Project) -> set[str]:
    """What of the writers' commits is in the live database or in a backup."""
    ids: set[str] = set()
    loaded = settings.load(project.root)
    with closing(loaded.engine.session):
        whole = (each for each in catalog.backups(loaded) if not each.is_set)
        # One after the other: what was unpacked goes when some more were.
        for database in chain([project.database], (unpacked.plain(loaded, b) for b in whole)):
            with closing(sqlite3.connect(database)) as connection:
                ids.update(row[0] for row in connection.execute("SELECT id FROM acked"))
    return ids


def numbers(database: Path, sql: str) -> list[int]:
    """A row of integers; patient enough to get a word in between two commits."""
    with closing(sqlite3.connect(database, timeout=0)) as connection:
        for _ in range(60_000):
            try:
                return [int(value) for value in connection.execute(sql).fetchone()]
            except sqlite3.OperationalError:
                time.sleep(0.001)
    raise TimeoutError(database)


def wait_for_lock(project: Project, pid: int) -> None:
    """Until process ``pid`` is the undrop whose turn it is."""
    deadline = time.monotonic() + 20
    lock = project.backups / ".lock"
    while not lock.exists() or lock.read_text().strip() != str(pid):
        assert time.monotonic() < deadline, "it never took its turn"
        time.sleep(0.005)


def not_whole(project: Project) -> list[str]:
    """What is wrong with the backups."""
    problems, loaded = [], settings.load(project.root)
    with closing(loaded.engine.session):
        for each in catalog.backups(loaded):
            try:
                verify.verify(loaded, each)
            except UndropError as error:
                problems.append(f"{each.path.name}: {error.what}")
    return problems
