"""Failing disks, full disks, closed folders, signals: a run that is troubled tells the truth.

strace makes one system call of a run fail, or pretend to succeed. The model's limits: one fault
in a run; faults in the thread that runs ``quick_check`` and in memory maps are not made; a write
that is lost inside a row's payload is seen by nobody, as the design says (a lost page of a new
file is a hole, and that is seen).
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
from scenes import Scene, copied, make_scene
from shop import Done, Project
from tally import FULL, Tally, sampled

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
    points = sampled(traced.points(recorded, scene.command, tmp_path / "log", FAULTS[fault]), 3)
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
    tally(f"{fault} in {name.split()[0]}", len(points), violations)


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
        if done.code == 0 and not promises.is_held(scene, project):
            wrong.append("it ended with 0 and no backup holds the content")
        if done.code not in {0, 1} or "Traceback" in done.err:
            wrong.append(f"it ended with {done.code}: {done.err[-300:]}")
        violations += [f"{name}, {point} lost: {what}" for what in wrong]
    tally("lost writes in backup", len(points), violations)


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("name", SCENES if FULL else SAMPLE)
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
        found = judged(scene, project, project.run(*command))
        violations += [f"{name}, files up to {limit} bytes: {what}" for what in found]
    tally(f"RLIMIT_FSIZE in {name.split()[0]}", len(limits), violations)
