"""Who may read what undrop writes, and where it writes when links are planted.

Each check was seen failing with the product broken on purpose: ``durable.create`` with mode 0644,
or a folder without 0700 (private); a published
backup without ``chmod`` (final modes); ``_give_owner_and_mode`` doing nothing, or the rename onto
the link instead of its target (owner, mode and link); ``durable.create`` without ``O_EXCL``,
``turn`` without ``O_NOFOLLOW`` (planted links).
"""

import os
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import inside
import pytest
from shop import Project, add, content, is_a_fault, make
from tally import FULL, Tally

from undrop import settings
from undrop.engines.sqlite import workcopy
from undrop.errors import UndropError
from undrop.steps import backup, migrate
from undrop.store.lock import Lock, locked, partial

COMMANDS = [
    ("backup",),
    ("restore", "latest"),
    ("migrate", "0005", "--accept-loss"),
    ("reset-db",),
    ("nuke-db",),
    ("undo",),
]
OPENED = re.compile(r"^(?:openat|open|creat)\(.*O_CREAT.*, (0\d*)\)\s+= \d+<(.*?)>")
CHANGED = re.compile(r"^(?:fchmod|chmod|fchmodat)\((.*), (0\d+)\)?.*= 0$")
MADE = re.compile(r"^mkdir(?:at)?\((.*), (0\d+)\)\s+= 0$")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def published(project: Project, logs: list[Path], mode: int) -> tuple[int, list[str]]:
    """How many files the traced processes created, and those that others could have opened.

    Read from the system calls themselves: no moment is missed. Opening with O_CREAT what a
    process of ours has made private before does not publish it; SQLite gives a journal of the
    live database that database's own mode. What becomes the database, where there was none, gets
    the ``mode`` that the database had before it gets its name.
    """
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    opened = [(match, "O_EXCL" in line) for line in lines if (match := OPENED.match(line))]
    ours = [(m[2], int(m[1], 8), excl) for m, excl in opened if m[2].startswith(f"{project.root}/")]
    private = {path for path, mode, excl in ours if excl and not mode & 0o077}
    sidecars = tuple(f"{project.database}-{kind}" for kind in ("journal", "wal", "shm"))
    found = [
        f"{path} created with {mode:o}"
        for path, mode, _ in ours
        if mode & 0o077 and path not in private and path not in sidecars
    ]
    inside = str(project.root)
    for pattern in (CHANGED, MADE):
        for line in lines:
            match = pattern.match(line)
            if match and inside in match[1] and int(match[2], 8) & 0o077:
                found.append(line)
    # A folder is made first and closed then: nothing of ours may be in it before that.
    work = rf'chmod\("{re.escape(str(project.root))}/\.[^/]*\.undrop-work", 0{mode:o}\)'
    harmless = re.compile(rf'^(mkdir(at)?\(.*/backups", 0777\)|{work})')
    return len(ours), [line for line in found if not harmless.match(line)]


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("wal", [False, True] if FULL else [True])
def test_nothing_is_readable_by_others_at_any_moment(
    stocked: Project, tmp_path: Path, tally: Tally, *, wal: bool
) -> None:
    if wal:
        with closing(sqlite3.connect(stocked.database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    points, found, mode = 0, [], mode_of(stocked.database)
    calls = "trace=open,openat,creat,mkdir,mkdirat,chmod,fchmod,fchmodat"
    for command in COMMANDS if FULL else COMMANDS[:3]:
        log = tmp_path / command[0]
        script = f'umask 000; exec strace -ff -y -qq -e {calls} -o "{log}" undrop "$@"'
        real = stocked.environment["PATH"]
        if command[0] == "restore":  # to another state than that which is in place
            stocked.sql("INSERT INTO suppliers (name) VALUES ('new')")
        stocked.ok("sh", "-c", script, "sh", *command, PATH=real)
        count, problems = published(stocked, list(tmp_path.glob(f"{command[0]}.*")), mode)
        assert count, "nothing was seen"
        points += count
        found += [f"{command}: {problem}" for problem in problems]
    wanted = {".db": 0o400, ".json": 0o600, ".lock": 0o600}
    for path in stocked.backups.iterdir():
        if path.suffix in wanted and mode_of(path) != wanted[path.suffix]:
            found.append(f"{path.name} is {mode_of(path):o}")
    if mode_of(stocked.backups) != 0o700:
        found.append(f"backups/ is {mode_of(stocked.backups):o}")
    tally("private: files created", points, found)


def scribble(database: Path) -> None:
    database.write_bytes(b"no database at all")


STATES: dict[str, Callable[[Path], None]] = {
    "whole": lambda _: None,
    "damaged": scribble,
    "missing": Path.unlink,
}


@pytest.mark.smoke
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("link", [False, True])
def test_owner_mode_and_link_stay_whatever_the_live_file_is(
    project: Project, tmp_path: Path, tally: Tally, state: str, *, link: bool
) -> None:
    target = project.database
    if link:
        target = tmp_path / "elsewhere" / "real.db"
        target.parent.mkdir()
        project.database.symlink_to(target)
    make(target, 30)
    target.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(target, 1234, 4321)
    owner = target.stat()
    before = content(target)
    config = settings.load(project.root)
    with locked(config, print) as lock:
        backup.take(lock, backup.Purpose("good", ""))
        STATES[state](target)
        inside.restored(lock, "latest", project.root)
    now = target.stat()
    problems = {
        "the link is gone": link and not project.database.is_symlink(),
        "the content": content(target) != before,
        "the mode": now.st_mode != owner.st_mode,
        "the owner": (now.st_uid, now.st_gid) != (owner.st_uid, owner.st_gid),
        "something is left": len(list(target.parent.glob(".*undrop*"))) > 0,
    }
    tally(
        "private: owner, mode, link", 1, [f"{state}: {w}" for w, is_so in problems.items() if is_so]
    )


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that is none of undrop's business."""
    path = tmp_path / "victim"
    path.write_text("precious")
    path.chmod(0o644)
    return path


@pytest.mark.smoke
def test_links_planted_under_the_names_of_unfinished_files_are_not_followed(
    project: Project, victim: Path, tmp_path: Path, tally: Tally
) -> None:
    make(project.database, 50)
    config = settings.load(project.root)
    with locked(config, print) as lock:
        backup.take(lock, backup.Purpose("good", ""))
    outside = tmp_path / "outside.db"
    make(outside, 5)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)
    live = content(project.database)
    hidden, work = partial(config), workcopy.beside(config.root / "quartermaster.db")
    steps: dict[str, Callable[[Lock], object]] = {
        "backup": lambda lock: backup.take(lock, backup.Purpose("x", "")),
        "restore": lambda lock: inside.restored(lock, "latest", project.root),
        "restore from outside": lambda lock: inside.restored(lock, str(outside), project.root),
        "migrate": lambda lock: inside.migrated(lock, "0001"),
        "reset": migrate.reset,
    }
    found, points = [], 0
    links = [(hidden, "backup"), (hidden, "restore"), (work, "restore from outside")]
    for link, step in [*links, (work, "migrate"), (work, "reset")]:
        for target in (victim, tmp_path / "made by following"):
            points += 1
            with locked(config, print) as lock:  # the sweep is over: somebody is quick
                link.symlink_to(target)
                try:
                    steps[step](lock)
                    found.append(f"{step}: went on over a planted link")
                except (UndropError, OSError):
                    pass
                link.unlink(missing_ok=True)
            if content(project.database) != live:
                found.append(f"{step}: the live database was changed")
    if victim.read_text() != "precious" or mode_of(victim) != 0o644 or not victim.exists():
        found.append("the victim was written to")
    if (tmp_path / "made by following").exists():
        found.append("a file was made elsewhere")
    tally("private: planted links", points, found)


@pytest.mark.parametrize("name", [".lock", ".$$.partial", ".$$.partial-journal", ".$$.partial-wal"])
def test_links_that_wait_in_backups_are_not_followed(
    project: Project, victim: Path, tally: Tally, name: str
) -> None:
    make(project.database)
    project.ok("undrop", "backup")
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)
    found = []
    for target in (victim, victim.with_name("new")):
        script = f'ln -sf {target} "backups/{name}"; exec undrop backup'
        done = project.run("sh", "-c", script)
        if done.code not in {0, 1} or is_a_fault(done.err):
            found.append(f"{name}: {done}")
    if victim.read_text() != "precious" or victim.with_name("new").exists():
        found.append(f"{name}: it was followed")
    tally("private: planted links", 2, found)
