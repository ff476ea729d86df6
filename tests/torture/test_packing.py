"""Packing, forgetting what others are packed against, and a backup that packs behind its answer.

Killed by SIGKILL just before each system call that changes a file, with a call that fails, on a
full disk, and without power from any moment on: every state that had a name, but for the one that
is to be forgotten, can be had with its exact bytes, in ``backups/`` alone and in the vault alone.
The models' limits are those of ``test_kill_points``, ``test_faults`` and ``test_power_loss``; of
commands that make many states anew a spread of the points is taken.

Seen failing, each against the product broken on purpose: the frame's bytes not fsynced before the
plain file goes; the vault's plain file removed before the frame is there; the record told when the
plain file has gone. And, found by these tests, a forget that was killed between a frame and its
record, which no second one could end, and one that left half of the records naming what went.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import packed
import power_loss
import pytest
import scenes
import traced
from disk import sampled_disks
from packed import Scene
from tally import FULL, Tally, sampled

pytestmark = pytest.mark.disk
SCENES = ["pack", "forget 10", "forget 0", "thin", "backup"]
MANY = {"forget 0", "thin"}
SAMPLE = ["pack", "forget 10"]
NO_POWER = [f"{name}{links}" for name in SCENES for links in ("", ", no links")]
POINTS = 3  # a sample's, for each scene
DISKS = 24
AGAIN = 40  # disks of a full run after which the same is done again; a sample takes one
CHUNKS = 4 if FULL else 1
FAULTS = {
    "EIO": ["write", "fsync", "rename", "link"],
    "ENOSPC": ["write", "link", "rename", "mkdir", "openat", "sendfile", "pwrite64"],
}

Stage = Callable[[str], tuple[Scene, list[traced.Point]]]


def command_of(name: str) -> str:
    return name.partition(" ")[0]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Scenes by name with the points of their command, each made once for a worker."""
    made: dict[str, tuple[Scene, list[traced.Point]]] = {}

    def get(name: str) -> tuple[Scene, list[traced.Point]]:
        if name not in made:
            folder = tmp_path_factory.mktemp("scene")
            scene = packed.make_scene(folder / "scene", name)
            recorded = packed.copied(scene, folder / "recorded")
            log = folder / "log"
            points = traced.points(recorded.project, scene.command, log, traced.CHANGING)
            assert packed.after_the_rerun(recorded) == [], "untroubled"
            # These make many states anew, one like another.
            made[name] = scene, traced.spread(points) if name in MANY else points
        return made[name]

    return get


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", SCENES)
def test_killed_anywhere_every_state_can_be_had(
    stage: Stage, tmp_path: Path, tally: Tally, name: str, chunk: int
) -> None:
    traced.require_strace()
    scene, points = stage(name)
    points = sampled(points[chunk::CHUNKS], POINTS)
    violations = []
    for point in points:
        twin = packed.copied(scene, tmp_path / str(point))
        done = traced.inject(twin.project, scene.command, point, "signal=KILL")
        if done.code != -signal.SIGKILL:
            wrong = [f"it was not killed but ended with {done.code}: {done.err[-300:]}"]
        else:
            wrong = packed.after_a_kill(twin) + packed.after_the_rerun(twin)
        if not wrong:
            shutil.rmtree(tmp_path / str(point))
        violations += [f"{name}, killed before {point}: {what}" for what in wrong]
    tally(f"packing, kill points of {command_of(name)}", len(points), violations)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", SCENES if FULL else SAMPLE)
def test_a_call_that_fails_loses_no_state(
    stage: Stage, tmp_path: Path, tally: Tally, name: str, fault: str
) -> None:
    traced.require_strace()
    scene, _ = stage(name)
    recorded = packed.copied(scene, tmp_path / "recorded")
    every = traced.points(recorded.project, scene.command, tmp_path / "log", FAULTS[fault])
    points = sampled(traced.spread(every), POINTS)
    violations = []
    for point in points:
        twin = packed.copied(scene, tmp_path / str(point))
        done = traced.inject(twin.project, scene.command, point, f"error={fault}")
        wrong = packed.after_a_fault(twin, done) + packed.after_the_rerun(twin)
        if not wrong:
            shutil.rmtree(tmp_path / str(point))
        violations += [f"{name}, {fault} at {point}: {what}" for what in wrong]
    tally(f"packing, {fault} in {command_of(name)}", len(points), violations)


MOVED = f"""
import pathlib, sys
sys.path[:0] = {sys.path!r}
import scenes
scenes.move_home(pathlib.Path(sys.argv[1]))
"""
FILLED = """
set -e
there=$1 aside=$2 room=$3
shift 3
mkdir "$aside"
mount -t tmpfs none "$there.disk"
cp -a "$there/." "$there.disk"
"$1" -c "$2" "$there.disk/shop"
shift 2
mount -o remount,size=$(($(du -sk "$there.disk" | cut -f1) + room))k "$there.disk"
mount --move "$there.disk" "$there"
cd "$there/shop"
code=0
"$@" || code=$?
cp -a "$there/." "$aside"
exit $code
"""


@pytest.mark.parametrize("name", SCENES if FULL else [*SAMPLE, "thin"])
def test_a_full_disk_loses_no_state(stage: Stage, tmp_path: Path, tally: Tally, name: str) -> None:
    """A small file system of its own, with so much room left; none of it at first."""
    space = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*space, "true"], check=False).returncode:
        pytest.skip("no file systems of one's own here (unshare)")
    scene, _ = stage(name)
    violations = []
    rooms = sampled([0, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128], 2)
    for room in rooms:
        there, aside = tmp_path / str(room), tmp_path / f"{room} aside"
        twin = packed.copied(scene, there)
        there.with_name(f"{there.name}.disk").mkdir()
        script = ["sh", "-c", FILLED, "sh", str(there), str(aside), str(room)]
        script += [sys.executable, MOVED]
        command = [*space, *script, *traced.python(*scene.command)]
        done = twin.project.run(*command, PATH=twin.project.environment["PATH"])
        assert (aside / "shop").is_dir(), done
        shutil.rmtree(there)
        aside.rename(there)
        scenes.move_home(twin.project.root)
        wrong = packed.after_a_fault(twin, done) + packed.after_the_rerun(twin)
        if not wrong:
            shutil.rmtree(there)
        violations += [f"{name}, {room} KiB free: {what} [{done.err[-300:]}]" for what in wrong]
    tally(f"packing, full disk in {command_of(name)}", len(rooms), violations)


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("case", NO_POWER if FULL else ["pack", "forget 10, no links"])
def test_a_loss_of_power_loses_no_state(tmp_path: Path, tally: Tally, case: str) -> None:
    disk, aside, temporary = (tmp_path / each for each in ("disk", "aside", "tmp"))
    aside.mkdir()
    name, _, without = case.partition(", ")
    scene = packed.make_scene(disk, name, links=not without)
    temporary.mkdir()
    scene.project.environment["TMPDIR"] = str(temporary)
    recording = power_loss.record(
        [sys.executable, "-P", "-m", *scene.command],
        scene.project.environment,
        cwd=scene.project.root,
        live=scene.project.database,
        at=aside,
        links=not without,
    )
    tried = sampled_disks(recording.before, recording.operations, DISKS)
    violations = []
    for lost in tried:
        lost.disk.write(disk)
        wrong = packed.after_a_kill(scene)
        if lost.ended:
            wrong += packed.told(scene)
        violations += [f"{case}: {lost.how}: {what}" for what in wrong]
    tally(f"packing, power loss in {command_of(name)}", len(tried), violations)
    few = tried[:: -(-len(tried) // AGAIN)] if FULL else [tried[len(tried) * 2 // 3]]
    for lost in few:
        lost.disk.write(disk)
        wrong = packed.after_the_rerun(scene)
        violations += [f"{case}, again: {lost.how}: {what}" for what in wrong]
    tally("packing, power loss, then the same again", len(few), violations)
