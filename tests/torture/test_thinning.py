"""Thinning killed before each call that changes a file: whatever has a name is whole.

What was to stay, stays with its exact bytes, packed against what went or not; what was killed while
it went goes the next time, for the log names it.

Seen failing with a base removed before what is packed against it is made anew.
"""

import json
import shutil
import signal
from pathlib import Path

import pytest
import traced
from scenes import copied
from shop import Project, make
from tally import FULL, Tally, sampled

from undrop import settings
from undrop.store import catalog

THIN = ["undrop", "thin", "--yes"]
POINTS = 12


@pytest.fixture(scope="module")
def thick(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """States that are packed against one another, of which a rule keeps some."""
    root = tmp_path_factory.mktemp("thick") / "shop"
    root.mkdir()
    project = Project(root)
    (root / "alembic.ini").unlink()
    file = root / "pyproject.toml"
    own = '[tool.undrop]\nplain = 1\nkeep = {automatic = "2 last"}\n'
    file.write_text(file.read_text().replace("[tool.undrop]\n", own))
    make(project.database, 300)
    for number in range(12):
        project.sql(f"UPDATE t SET v = 'new' WHERE id = {number}")
        project.ok("undrop", "run", "true")
        if number in {4, 9}:  # these stay, and need one that goes
            project.ok("undrop", "backup", f"mine {number}")
    project.ok("undrop", "pack")
    return project


def names(project: Project) -> set[str]:
    return {backup.path.name for backup in catalog.backups(settings.load(project.root))}


def broken(project: Project, stay: set[str]) -> list[str]:
    """What is not whole, or gone; what goes loses its record first."""
    wrong = [f"{name} is gone" for name in stay - names(project)]
    proofs = json.loads(project.run("undrop", "verify", "--json").out)["verified"]
    known = [each for each in proofs if Path(each["path"]).with_suffix(".json").exists()]
    return wrong + [each["problem"] for each in known if not each["whole"]]


def test_killed_anywhere_what_stays_is_whole_and_the_next_run_thins(
    thick: Project, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced.require_strace()
    recorded = copied(thick, tmp_path / "recorded")
    monkeypatch.setenv("XDG_STATE_HOME", recorded.environment["XDG_STATE_HOME"])
    points = traced.points(recorded, THIN, tmp_path / "log", traced.CHANGING)
    stay = names(recorded)
    assert len(stay) < len(names(thick)) - 5
    assert not broken(recorded, stay)
    violations = []
    points = sampled(points, 0 if FULL else POINTS)
    for point in points:
        project = copied(thick, tmp_path / str(point))
        monkeypatch.setenv("XDG_STATE_HOME", project.environment["XDG_STATE_HOME"])
        done = traced.inject(project, THIN, point, "signal=KILL")
        found = [] if done.code == -signal.SIGKILL else [f"it ended with {done.code}: {done.err}"]
        found += broken(project, stay)
        again = project.run(*THIN)
        found += [again.err] * bool(again.code) + broken(project, stay)
        if names(project) != stay:
            found.append(f"left: {names(project) ^ stay}")
        violations += [f"killed before {point}: {what}" for what in found]
        shutil.rmtree(tmp_path / str(point))
    tally("kill points of thin", len(points), violations)
