"""Killed by SIGKILL just before each system call that changes a file: nothing is ever lost.

A run of each command, in each state of the live database, is recorded with strace; then it runs
again once for each (call, ordinal) and dies there. The promises are in ``promises``.

The model's limits: the process dies, the machine does not (what was written stays written); only
the main thread is killed by its own calls; Alembic's child under ``migrate`` and ``reset-db`` is
not swept (it writes a work copy, which its parent throws away when it dies), and of their runs of
page writes a spread is taken; creations after the first look at other processes are not points.

Seen failing, each against the product broken on purpose: the copy written straight to its final
name; nuke with the -wal before the main file; sidecars removed after the rename; a rename over a
healthy live database; no sweep of left-overs, in the vault either; the damaged set not kept; the
vault's record linked before what it describes; Alembic without transactional DDL; the rows that
``undo --keep`` takes away committed before those that it brings back.
"""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import promises
import pytest
import traced
from scenes import ASKING, STATES, Scene, copied, make_scene
from tally import FULL, Tally, sampled, smoked

LATEST = ["undrop", "restore", "latest"]
FOR_RESTORE = ["undrop", "backup", "--before", "restore", "before restore"]
OPENABLE = ("rollback", "hot-journal", "wal", "partial-wal")
SCENES = {
    **{f"backup {state}": (["undrop", "backup"], state) for state in OPENABLE},
    "backup garbage": (FOR_RESTORE, "garbage"),
    **{f"restore {state}": (LATEST, state) for state in STATES},
    **{f"undo {state}": (["undrop", "undo"], state) for state in (*OPENABLE, "missing", "garbage")},
    "undo partial-wal": (["undrop", "undo", "--whole"], "partial-wal"),  # over others' work
    # Row by row in live, and the whole file.
    **{f"keep {state}": (["undrop", "undo", "--keep"], state) for state in OPENABLE},
    "keep-whole rollback": (["undrop", "undo", "--keep", "--before"], "rollback"),
    "keep-whole partial-wal": (["undrop", "undo", "--keep", "--before"], "partial-wal"),
    **{f"recover {state}": (["undrop", "recover", "rows t"], state) for state in OPENABLE},
    "recover-whole partial-wal": (["undrop", "recover", "table t"], "partial-wal"),
    **{f"nuke-db {state}": (["undrop", "nuke-db"], state) for state in (*OPENABLE, "garbage")},
    "reset-db partial-wal": (["undrop", "reset-db"], "partial-wal"),
    "reset-db garbage": (["undrop", "reset-db"], "garbage"),
    "reset-db missing": (["undrop", "reset-db"], "missing"),
    "migrate hot-journal": (["undrop", "migrate"], "hot-journal"),
    "migrate partial-wal": (["undrop", "migrate"], "partial-wal"),
    **{f"migrate {state}": (["undrop", "migrate"], state) for state in ASKING},
    **{f"alembic {state}": (["alembic", "upgrade", "head"], state) for state in OPENABLE},
}
SAMPLE = {  # and how many points of each
    "backup partial-wal": 3,
    "restore hot-journal": 3,
    "restore partial-wal": 3,
    "restore garbage": 3,
    "nuke-db partial-wal": 3,
    "undo partial-wal": 3,
    "keep rollback": 3,
    "keep partial-wal": 3,
    "keep-whole partial-wal": 3,
    "recover rollback": 3,
    "recover partial-wal": 3,
    "migrate hot-journal": 2,
    "alembic partial-wal": 2,
}
SLOW = {"migrate", "reset-db"}
CHUNKS = 4 if FULL else 1

Stage = Callable[[str], tuple[Scene, list[traced.Point]]]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Scenes by name with the points of their command, each made once for a worker."""
    made: dict[str, tuple[Scene, list[traced.Point]]] = {}

    def get(name: str) -> tuple[Scene, list[traced.Point]]:
        if name not in made:
            folder = tmp_path_factory.mktemp("scene")
            command, state = SCENES[name]
            scene = make_scene(folder / "scene", command, state)
            recorded = copied(scene.project, folder / "recorded")
            points = traced.points(recorded, command, folder / "log", traced.CHANGING)
            # These two run Alembic twice for a point.
            made[name] = scene, traced.spread(points) if command[1] in SLOW else points
        return made[name]

    return get


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", SCENES if FULL else smoked(SAMPLE, "backup partial-wal"))
def test_killed_anywhere_live_is_old_or_new_and_the_next_run_succeeds(
    stage: Stage, tmp_path: Path, tally: Tally, name: str, chunk: int
) -> None:
    traced.require_strace()
    scene, points = stage(name)
    points = sampled(points[chunk::CHUNKS], SAMPLE.get(name, 0))
    violations = []
    for point in points:
        found = killed_at(scene, point, tmp_path / str(point))
        violations += [f"{name}, killed before {point}: {what}" for what in found]
    tally(f"kill points of {name.partition(' ')[0]}", len(points), violations)


def killed_at(scene: Scene, point: traced.Point, folder: Path) -> list[str]:
    """Which promises a run broke that was killed just before ``point``."""
    project = copied(scene.project, folder)
    done = traced.inject(project, scene.command, point, "signal=KILL")
    if done.code != -signal.SIGKILL:
        return [f"it was not killed but ended with {done.code}: {done.err[-300:]}"]
    wrong = promises.after_a_kill(scene, project) + promises.after_the_rerun(scene, project)
    if not wrong:
        shutil.rmtree(folder)
    return wrong
