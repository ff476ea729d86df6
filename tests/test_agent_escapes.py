"""Escapes from the judge, really run behind the hook: the vault brings every row back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from agents import bash, ended
from shop import REPOSITORY, Project, content, half, make

from undrop import settings
from undrop.store import log

INPUTS = Path(__file__).with_name("hook_inputs.jsonl").read_text("utf-8").splitlines()
ESCAPES = [each for each in map(json.loads, INPUTS) if each.get("escape")]
TOOLS = {"node", "ruby", "rsync", "docker", "busybox", "uv", "su", "zip", "perl", "make", "python"}
ABSENT = {name for name in TOOLS if not shutil.which(name)} | {"docker", "su"}
"""What is not here; the last need a daemon, and another user."""
CHANGE = "import sqlite3; c = sqlite3.connect('quartermaster.db'); c.execute({!r}); c.commit()"
RUNS = [each for each in ESCAPES if not ABSENT & {*each["input"]["tool_input"]["command"].split()}]


@pytest.mark.more
@pytest.mark.parametrize("each", half(RUNS), ids=lambda each: str(each["input"]["tool_input"])[:99])
def test_what_takes_the_backups_away_takes_no_row(project: Project, each: dict[str, Any]) -> None:
    """Nor any step: ``undo`` and ``restore latest`` go back to what was there before the call."""
    home = project.root.parent / "home"
    state = home / ".local/state"
    state.mkdir(parents=True)
    names = {"NAME": "x", "EMAIL": "x@example.org"}
    git = {f"GIT_{who}_{name}": names[name] for who in ("AUTHOR", "COMMITTER") for name in names}
    project.environment |= {"HOME": str(home), "XDG_STATE_HOME": str(state), **git}
    (project.root / "tools").unlink()  # leads to this repository
    shutil.copytree(REPOSITORY / "tools/undrop/adopt", project.root / "tools/undrop/adopt")
    make(project.database, rows=20)
    shutil.copytree(REPOSITORY / ".claude", project.root / ".claude")
    shutil.copy(REPOSITORY / ".gitignore", project.root / ".gitignore")
    project.ok("sh", "-c", "git init -q && git add . && git commit -qm x")
    files = project.root.parent / "files"
    ignored = shutil.ignore_patterns("backups", "quartermaster.db*")
    shutil.copytree(project.root, files, symlinks=True, ignore=ignored)
    for number in range(3):
        project.sql(f"UPDATE t SET v = {number} WHERE id = 3")
        project.ok("undrop", "backup")
    change = CHANGE.format("UPDATE t SET v = upper(v) WHERE id = 7")
    project.ok("undrop", "run", "--", sys.executable, "-c", change)
    before = content(project.database)
    command = each["input"]["tool_input"]["command"].replace("PROJECT", str(project.root))
    ours = settings.load(project.root)
    for way in (["undo"], ["restore", "latest"]):
        answer = bash(project, command)
        assert "permissionDecision" not in answer["hookSpecificOutput"]
        had = project.saved()
        for file in had:
            os.utime(file, (0, 0))  # old enough for whoever takes old ones
        subprocess.run(
            ["bash", "-c", command], cwd=project.root, env=project.environment, check=False
        )
        assert project.saved() != had or not [*state.glob("undrop/*/*.db")]
        is_gone = not project.root.exists()  # another clone is another folder: no step was its own
        shutil.copytree(files, project.root, symlinks=True, dirs_exist_ok=True)
        if project.exists():
            project.sql("DELETE FROM t")
        ended(project, command)
        project.ok("undrop", *(["restore", "latest"] if is_gone else way))
        assert content(project.database) == before
        first, *others = log.told_in(ours, project.backups)
        assert (first.kind, first.phase) == ("run", "done"), "both of its lines are there"
        assert "agent" in {step.kind for step in others}
        if is_gone:
            break
