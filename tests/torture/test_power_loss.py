"""Power loss at any moment of any command: old or new, and every name has whole bytes.

Each of these broken variants of undrop was tried, and caught by what stands behind it:
- publish: no fsync of the copy; copied straight to the final name: a name without whole bytes
- publish: no fsync of the folder, or of the record: the run had ended and no backup holds the old
- publish: no fsync of the folder before the record; no sweep: orphans and litter, run again
- damaged set: no fsync of the copies, or of its folder: not the set that its record says
- nuke: sidecars first; no fsync between the file and its sidecars: live is neither old nor new
- install: rename before the sidecars go; no fsync between: live is neither old nor new
- install: no fsync of the work copy: live is unusable; no fsync of the folder: ended, live is old
- swap as a plain copy into the live file: live is neither old nor new
- a folder made and not fsynced into the one above: the old content is nowhere, the new not kept
- vault: no fsync of its folder: the run had ended and it has not the backup; of a copy, or of a
  set's folder there: not what its record says
- log of steps: no fsync of it, or of the folder that it is new in; the intent after the change:
  live is new, or the run had ended, and the log does not say so
"""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import power_loss
import pytest
from disk import sampled_disks
from shop import Project, add, leave_wal, make, python, wal_of
from tally import FULL, Tally

from undrop import digest, record
from undrop.errors import DamagedError
from undrop.sqlitefile import header

pytestmark = [pytest.mark.usefixtures("strace"), pytest.mark.disk]
DISKS = 24  # a sample's, for each case
# Disks of each case on which a full run starts the same command again; a sample takes one. More
# where that is quick: the other commands load Alembic.
AGAIN = {"backup": 40, "nuke-db": 16}
AGAIN_SLOW = 8


def rollback(project: Project) -> None:
    make(project.database, 60)


def crashed_wal(project: Project) -> None:
    make(project.database, 60)
    leave_wal(project.database)


def clean_wal(project: Project) -> None:
    make(project.database, 60, wal=True)


def backed_up(project: Project) -> None:
    make(project.database, 60)
    project.ok("undrop", "backup", "good")


def moved_on(project: Project) -> None:
    backed_up(project)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 30)


def moved_on_in_wal(project: Project) -> None:
    backed_up(project)
    leave_wal(project.database)


def garbage(project: Project) -> None:
    moved_on_in_wal(project)
    project.database.write_text("this is no database at all\n" * 400)
    assert wal_of(project.database).stat().st_size > 0


def missing(project: Project) -> None:
    backed_up(project)
    project.database.unlink()


def missing_with_its_folder(project: Project) -> None:
    project.database = project.root / "data" / "live" / "shop.db"
    project.environment["QUARTERMASTER_DB_URL"] = "sqlite:///data/live/shop.db"
    project.database.parent.mkdir(parents=True)
    backed_up(project)
    shutil.rmtree(project.root / "data")


def nothing(_project: Project) -> None:
    pass


class Case(NamedTuple):
    """One command on one live state."""

    command: tuple[str, ...]
    live: Callable[[Project], None]
    links: bool = True
    """Whether the vault can have hard links; else copies."""

    def __str__(self) -> str:
        words = f"{' '.join(self.command)}: {self.live.__name__.replace('_', ' ')}"
        return words if self.links else f"{words}, no links"


RESTORE = ("restore", "latest")
CASES = [
    Case(("reset-db",), nothing),
    Case(("migrate",), nothing),
    Case(RESTORE, moved_on),
    Case(RESTORE, moved_on_in_wal),
    Case(RESTORE, garbage),
    Case(RESTORE, missing),
    Case(RESTORE, missing_with_its_folder),
    Case(("nuke-db",), rollback),
    Case(("nuke-db",), crashed_wal),
    Case(("nuke-db",), garbage),
    Case(("backup",), rollback),
    Case(("backup",), clean_wal),
    Case(("backup",), crashed_wal),
    Case(("backup",), backed_up),
    Case(("backup",), rollback, links=False),
    Case(("backup", "--before", "restore", "before restore"), garbage),
]
if FULL:
    CASES = [
        Case(("migrate",), moved_on),
        Case(("reset-db",), moved_on),
        Case(("reset-db",), garbage),
        *CASES,
        Case(("nuke-db",), moved_on_in_wal),
    ]

Files = dict[str, bytes]  # a database's files by what their names end with: "", "-wal", "-journal"


class Judge:
    """What must hold of a project, whenever the power failed."""

    def __init__(self, project: Project, scratch: Path) -> None:
        self.project, self.scratch = project, scratch
        self.contents: dict[str, str] = {}
        self.old = self.live()
        self.old_content = self.content(self.old)
        self.kept = {path for path, content in self.whole([]).items() if content}
        self.new_content = ""

    def live(self) -> Files:
        names = ("", "-wal", "-journal")
        files = {name: Path(f"{self.project.database}{name}") for name in names}
        return {name: path.read_bytes() for name, path in files.items() if path.exists()}

    def content(self, files: Files) -> str:
        """Every definition and row in a database, as SQLite finds it after a crash."""
        if not any(files.values()):
            return "absent"
        key = repr(sorted(files.items()))
        if key not in self.contents:
            copy = self.scratch / f"{len(self.contents)}.db"
            for name, data in files.items():
                Path(f"{copy}{name}").write_bytes(data)
            try:
                assert "" in files, "sidecars alone"
                with closing(sqlite3.connect(copy)) as connection:
                    self.contents[key] = "\n".join(connection.iterdump())
            except (sqlite3.DatabaseError, AssertionError) as error:
                self.contents[key] = f"unusable: {error}"
        return self.contents[key]

    def whole(self, violations: list[str]) -> dict[Path, str]:
        """The content of each backup that its record proves; what bears a name and is not whole."""
        found = {}
        for folder in (self.project.backups, Path(self.project.environment["XDG_STATE_HOME"])):
            for path in named(folder):
                entry = record.read(path.with_suffix(".json"))
                if path.is_dir():
                    files = {file.name: digest.of(file) for file in path.iterdir()}
                    if entry and entry.files == files:
                        found[path] = ""
                    elif entry:
                        violations.append(f"{path.name} is not the set that its record says")
                    continue
                try:
                    header.read(path)
                except DamagedError as damage:
                    violations.append(f"{path.name} bears a name: {damage.what}")
                    continue
                if entry and entry.check == "ok":
                    if digest.of(path) == entry.digest:
                        found[path] = self.content({"": path.read_bytes()})
                    else:
                        violations.append(f"{path.name} has not its record's digest")
        return found

    def holding_old(self, whole: dict[Path, str]) -> set[str]:
        """The backups, or sets of damaged files, that hold the state before the run."""
        name = self.project.database.name
        old = {f"{name}{kind}": data for kind, data in self.old.items()}
        return {
            path.name
            for path, content in whole.items()
            if content == self.old_content
            or (path.is_dir() and {each.name: each.read_bytes() for each in path.iterdir()} == old)
        }

    def log(self) -> list[tuple[str, str]]:
        """The log's steps: what holds the state before, and how it ended."""
        found = []
        log = self.project.backups / "steps.jsonl"
        for line in log.read_bytes().splitlines() if log.exists() else ():
            with suppress(ValueError):
                step = json.loads(line)
                found.append((step["before"], step["phase"]))
        return found

    def undoable(self, *, ended: bool) -> list[str]:
        """What undo misses of a step that changed the live database, or had ended."""
        if not ended and self.content(self.live()) == self.old_content:
            return []
        absent = {""} if self.old_content == "absent" else set()
        before = self.holding_old(self.whole([])) | absent
        phases = {phase for name, phase in self.log() if name in before}
        wanted = {"open", "done"} if ended else {"open"}
        return [f"the log of steps has no {phase!r} of it" for phase in wanted - phases]

    def second_names(self) -> list[str]:
        """What is in ``backups/`` and not in the vault."""
        whole = self.whole([])
        ours = {path.name for path in whole if path.parent == self.project.backups}
        kept = {path.name for path in whole if path.parent != self.project.backups}
        return [f"the vault has not {name}" for name in ours - kept]

    def judge(self, *, ended: bool) -> list[str]:
        violations: list[str] = []
        whole = self.whole(violations)
        violations += [f"{path.name} was whole before" for path in self.kept - set(whole)]
        live = self.live()
        content = self.content(live)
        if self.is_damaged:
            # Its files go one by one, once the set holds them all.
            is_old = live == self.old
            allowed = content == self.new_content or live.items() <= self.old.items()
        else:
            is_old = content == self.old_content
            gone = self.new_content == "absent" and "" not in live
            allowed = is_old or content == self.new_content or gone
        if not allowed:
            violations.append(f"live is neither old nor new: {content[:80]!r}")
        if ended and content != self.new_content:
            violations.append(f"it had ended, and live is not the new content: {content[:80]!r}")
        if (ended or not is_old) and self.old_content != "absent" and not self.holding_old(whole):
            violations.append("the old content is neither live nor in a whole backup")
        return violations

    @property
    def is_damaged(self) -> bool:
        return self.old_content.startswith("unusable")

    def judge_again(self, command: tuple[str, ...]) -> list[str]:
        """The same command, run once more where the power failed, must end well."""
        done = self.project.undrop(*command)
        violations = self.judge(ended=True)
        if done.code != 0:
            violations.append(f"exit {done.code}: {done.err}")
        violations += [f"litter: {name}" for name in self.project.litter()]
        notes = self.project.backups.glob("[!.]*.json")
        found = {path.stem for path in self.project.backups.iterdir() if path.suffix != ".json"}
        return violations + [f"orphan: {note.name}" for note in notes if note.stem not in found]


def named(folder: Path) -> Iterator[Path]:
    """What bears a final name: backups and sets of damaged files, also in folders below."""
    for path in sorted(folder.glob("[!.]*")):
        if path.suffix in {".db", ".damaged"}:
            yield path
        elif path.is_dir():
            yield from named(path)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_old_or_new_after_a_loss_of_power(
    case: Case, tmp_path_factory: pytest.TempPathFactory, tally: Tally
) -> None:
    disk, aside, scratch = map(tmp_path_factory.mktemp, ("disk", "aside", "scratch"))
    (disk / "shop").mkdir()
    project = Project(disk / "shop")
    Path(project.environment["XDG_STATE_HOME"]).mkdir()
    case.live(project)
    judge = Judge(project, scratch)
    command = [sys.executable, "-P", "-m", "undrop", *case.command]
    recording = power_loss.record(
        command,
        project.environment,
        cwd=project.root,
        live=project.database,
        at=aside,
        links=case.links,
    )
    judge.new_content = judge.content(judge.live())
    tried = sampled_disks(recording.before, recording.operations, DISKS)
    violations = []
    for lost in tried:
        lost.disk.write(disk)
        found = judge.judge(ended=lost.ended)
        if case.command[0] != "backup":
            found += judge.undoable(ended=lost.ended)
        if lost.ended:
            found += judge.second_names()
        violations += [f"{case}: {lost.how}: {what}" for what in found]
    tally("power loss", len(tried), violations)
    most = AGAIN.get(case.command[0], AGAIN_SLOW)
    few = tried[:: -(-len(tried) // most)] if FULL else [tried[len(tried) * 2 // 3]]
    for lost in few:
        lost.disk.write(disk)
        found = judge.judge_again(case.command)
        violations += [f"{case}, again: {lost.how}: {what}" for what in found]
    tally("power loss, then the same again", len(few), violations)
    shutil.rmtree(disk)


SWAP = """
import sys
from pathlib import Path
from undrop.engines.sqlite import swap
from undrop.engines.sqlite.snapshot import Snapshot
from undrop.values import Session
held = Snapshot(Path(sys.argv[1]), Session())
swap.swap(held, Path(sys.argv[2]))
held.close()
"""


@pytest.mark.parametrize("mode", ["rollback", "wal"])
def test_what_sqlite_writes_in_place_is_forced_to_the_disk_in_its_order(
    tmp_path: Path, mode: str
) -> None:
    """The model takes SQLite's commits as its promise: with synchronous = OFF it makes none.

    The journal is on the disk before a page of the file is overwritten, the file before the
    journal goes; in WAL mode the commit is there at the end, although somebody else, who has the
    database open, keeps us from a checkpoint.
    """
    live, source, trace = (tmp_path / name for name in ("live.db", "source.db", "trace"))
    make(live, 60, wal=mode == "wal")
    make(source, 500)
    with closing(sqlite3.connect(live)) as somebody:
        somebody.execute("SELECT count(*) FROM t").fetchone()
        calls = "trace=pwrite64,fsync,fdatasync,unlink"
        strace = ["strace", "-y", "-s", "0", "--seccomp-bpf", "-f", "-o", str(trace), "-e", calls]
        subprocess.run([*strace, *python(SWAP, str(live), str(source))], check=True)
        assert somebody.execute("SELECT count(*) FROM t").fetchone() == (500,)
    written: set[str] = set()
    seen = set()
    for line in trace.read_text().splitlines():
        if not (call := re.search(rf"(\w+)\(.*{live}(-journal|-wal)?[>\"]", line)):
            continue
        name = call[2] or "the file"
        seen.add(f"{call[1]} {name}")
        if call[1] == "pwrite64":
            assert name != "the file" or written <= {name}, f"{written} is not on the disk yet"
            written.add(name)
        elif call[1] == "unlink":
            assert not written, f"{written} is not on the disk when {name} goes"
        else:
            written.discard(name)
    assert not written, f"{written} is not on the disk at the end"
    assert seen >= (
        {"pwrite64 -wal"} if mode == "wal" else {"pwrite64 the file", "unlink -journal"}
    )
