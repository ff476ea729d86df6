"""Failing disks, full disks, closed folders, signals: a run that is troubled tells the truth.

strace makes one system call of a run fail, or pretend to succeed. The model's limits: one fault
in a run; faults in the thread that runs ``quick_check`` and in memory maps are not made; a write
that is lost inside a row's payload is seen by nobody, as the design says (a lost page of a new
file is a hole, and that is seen); of long runs of one call a spread is taken.

Seen failing, each against the product broken on purpose: no check of the copy that was read back;
no removal of the partial; OSError not turned into a message; a failed replacement that ends with
0; a signal that ends the process on the spot; and, found by these tests, "was changed" said by a
nuke that could not remove the first file, and a failed read of a healthy database taken for damage.
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import promises
import pytest
import traced
from forks import Done
from scenes import Scene, copied, make_scene
from shop import Project, is_a_fault
from tally import FULL, Tally, sampled, smoked

pytestmark = pytest.mark.disk
BACKUP, NUKE = ["undrop", "backup"], ["undrop", "nuke-db"]
RESTORE = ["undrop", "restore", "latest"]
SCENES = {
    "backup rollback": (BACKUP, "rollback"),
    "backup hot-journal": (BACKUP, "hot-journal"),
    "restore rollback": (RESTORE, "rollback"),
    "restore hot-journal": (RESTORE, "hot-journal"),
    "restore partial-wal": (RESTORE, "partial-wal"),
    "restore wal-other-pages": (RESTORE, "wal-other-pages"),
    "restore garbage": (RESTORE, "garbage"),
    "restore missing": (RESTORE, "missing"),
    "nuke-db rollback": (NUKE, "rollback"),
    "nuke-db partial-wal": (NUKE, "partial-wal"),
}
SAMPLE = ["backup rollback", "restore partial-wal", "restore garbage", "nuke-db partial-wal"]
FAULTS = {
    "EIO": ["pwrite64", "pread64", "fdatasync", "fsync", "rename", "link"],
    "ENOSPC": ["pwrite64", "write", "ftruncate"],
}
NOBODY = 65534

Stage = Callable[[str], Scene]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Scenes by name, each made once for a worker."""
    made: dict[str, Scene] = {}

    def get(name: str) -> Scene:
        if name not in made:
            made[name] = make_scene(tmp_path_factory.mktemp("scene") / "scene", *SCENES[name])
        return made[name]

    return get


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", SCENES if FULL else SAMPLE)
def test_a_call_that_fails_breaks_no_promise(
    stage: Stage, tmp_path: Path, tally: Tally, name: str, fault: str
) -> None:
    traced.require_strace()
    scene = stage(name)
    recorded = copied(scene.project, tmp_path / "recorded")
    every = traced.points(recorded, scene.command, tmp_path / "log", FAULTS[fault])
    points = sampled(traced.spread(every), 3)
    violations = []
    for point in points:
        project = copied(scene.project, tmp_path / str(point))
        try:
            done = traced.inject(project, scene.command, point, f"error={fault}")
        except subprocess.TimeoutExpired:
            violations.append(f"{name}, {fault} at {point}: it hangs")
            continue
        found = judged(scene, project, done)
        violations += [f"{name}, {fault} at {point}: {what}" for what in found]
    tally(f"{fault} in {command_of(name)}", len(points), violations)


def command_of(name: str) -> str:
    return name.partition(" ")[0]


def judged(scene: Scene, project: Project, done: Done) -> list[str]:
    """Which promises the troubled run broke, or the untroubled one after it."""
    wrong = promises.after_a_fault(scene, project, done)
    wrong += promises.after_the_rerun(scene, project)
    if not wrong:
        shutil.rmtree(project.root.parent)
    return wrong


@pytest.mark.parametrize("name", ["backup rollback", "backup hot-journal"])
def test_a_write_that_the_disk_loses_is_found(
    stage: Stage, tmp_path: Path, tally: Tally, name: str
) -> None:
    traced.require_strace()
    scene = stage(name)
    recorded = copied(scene.project, tmp_path / "recorded")
    points = sampled(traced.points(recorded, BACKUP, tmp_path / "log", ["pwrite64"]), 4)
    violations = []
    for point in points:
        project = copied(scene.project, tmp_path / str(point))
        done = traced.inject(project, BACKUP, point, "retval=4096")
        wrong = promises.unsound_backups(project) + promises.left_over(project)
        # SQLite rolls a hot journal back into the live file itself: a write lost there changes or
        # damages that, and damage is to be called so.
        in_live = "hot-journal" in name
        if done.code == 0 and not in_live and not promises.is_held(scene, project):
            wrong.append("it ended with 0 and no backup holds the content")
        honest = {0, 1, 4} if in_live else {0, 1}
        if done.code not in honest or is_a_fault(done.err):
            wrong.append(f"it ended with {done.code}: {done.err[-300:]}")
        violations += [f"{name}, {point} lost: {what}" for what in wrong]
    tally("lost writes in backup", len(points), violations)


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("name", SCENES if FULL else smoked(SAMPLE, "backup rollback"))
def test_a_file_that_may_not_grow_breaks_no_promise(
    stage: Stage, tmp_path: Path, tally: Tally, name: str
) -> None:
    scene = stage(name)
    size = sum(map(len, scene.files.values())) or 50_000
    violations = []
    limits = sampled([0, 3, 1000, 4096, 10_000, size // 3, size // 2, size - 4096, size + 100], 3)
    for limit in limits:
        project = copied(scene.project, tmp_path / str(limit))
        command = [sys.executable, "-c", LIMITED, str(limit), *traced.python(*scene.command)]
        pipes = project.environment["PATH"]  # a fork's messages go to files, which are limited
        found = judged(scene, project, project.run(*command, PATH=pipes))
        violations += [f"{name}, files up to {limit} bytes: {what}" for what in found]
    tally(f"RLIMIT_FSIZE in {command_of(name)}", len(limits), violations)


def closed_project(project: Project) -> None:
    project.root.chmod(0o500)


def closed_backups(project: Project) -> None:
    project.backups.mkdir(exist_ok=True)
    project.backups.chmod(0o500)


def closed_file(project: Project) -> None:
    project.database.chmod(0o400)


CLOSED = {
    "the project's folder": closed_project,
    "backups": closed_backups,
    "the file": closed_file,
}


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that every user may enter (pytest's own is closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="undrop-torture-"))
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)


class Ordinary:
    """Runs commands as a user whom permissions bind, not as root."""

    def __init__(self, project: Project) -> None:
        self.who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        self.environment = {**project.environment, "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        ours = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
        for self.interpreter in (sys.executable, ours):
            try:
                tried = self.run(project.root, "-c", "import undrop.cli, blake3, psutil")
            except OSError:
                continue
            if tried.code == 0:
                return
        pytest.skip(f"no interpreter that uid {NOBODY} may run reaches undrop")

    def run(self, folder: Path, *arguments: str) -> Done:
        done = subprocess.run(
            [self.interpreter, *arguments],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=traced.TIMEOUT,
            check=False,
            **self.who,  # type: ignore[call-overload]  # all or nothing
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.full("nuke-db rollback")
@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("name", ["backup rollback", "restore rollback", "nuke-db rollback"])
def test_a_closed_folder_or_file_breaks_no_promise(
    stage: Stage, elsewhere: Path, tally: Tally, name: str, closed: str
) -> None:
    scene = stage(name)
    project = copied(scene.project, elsewhere / "copy")
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", str(NOBODY), str(elsewhere)], check=True)
    ordinary = Ordinary(project)
    CLOSED[closed](project)
    done = ordinary.run(project.root, *traced.python(*scene.command)[1:])
    wrong = promises.after_a_fault(scene, project, done)
    for path in (project.root, project.backups, project.database):
        if path.exists():
            path.chmod(0o700)
    again = ordinary.run(project.root, *traced.python(*scene.command)[1:])
    if again.code:
        wrong.append(f"opened again it ends with {again.code}: {again.err[-300:]}")
    wrong += promises.unsound_backups(project) + promises.left_over(project)
    tally("closed folders and files", 1, [f"{name}, {closed}: {what}" for what in wrong])


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a database of about 60 MB."""
    root = tmp_path_factory.mktemp("large") / "shop"
    root.mkdir()
    project = Project(root)
    (root / "alembic.ini").unlink()
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)")
        connection.executemany("INSERT INTO t (v) VALUES (randomblob(?))", [(4000,)] * 15_000)
    assert project.database.stat().st_size > 60_000_000
    project.ok(*traced.python(*BACKUP))
    return project


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_backup_at_once_and_leaves_nothing(
    large: Project, tally: Tally, number: signal.Signals
) -> None:
    pick = random.Random(int(number))  # noqa: S311 - moments, not secrets
    started = time.monotonic()
    stopped_after(large, number, 60)
    whole = time.monotonic() - started
    violations = []
    moments = [pick.uniform(0, whole) for _ in range(80 if FULL else 4)]
    for moment in moments:
        count = len(large.saved())
        code, err, seconds = stopped_after(large, number, moment)
        wrong = promises.left_over(large)
        finished = len(large.saved()) - count
        if code == 0 and not finished:
            wrong.append("it ended with 0 and there is no backup")
        if code not in {0, 128 + number} or is_a_fault(err):
            wrong.append(f"it ended with {code}: {err[-900:]}")
        if seconds > 2:
            wrong.append(f"it took {seconds:.1f} s to end")
        violations += [f"{number.name} after {moment:.3f} s: {what}" for what in wrong]
        for path in large.saved()[1:]:
            path.unlink()
            path.with_suffix(".json").unlink()
    tally(f"{number.name} in backup", len(moments), violations)


def stopped_after(
    project: Project, number: signal.Signals, moment: float
) -> tuple[int, str, float]:
    """Signal a backup ``moment`` seconds after it listens: its exit code, message and end."""
    with subprocess.Popen(
        traced.python(*BACKUP),
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        while process.poll() is None and not _catches(process.pid, signal.SIGTERM):
            time.sleep(0.001)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        sent = time.monotonic()
        err = process.communicate(timeout=traced.TIMEOUT)[1].decode()
        return process.returncode, err, time.monotonic() - sent


def _catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal (proc(5), SigCgt)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)
