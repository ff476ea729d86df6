"""Which databases a tool call is taken to mean, whatever the tool is called."""

import fcntl
import json
import os
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from agents import bash, call, hook
from shop import BIN, Project, make

from undrop import adopt, recipes, settings
from undrop.store import log


def project_in(folder: Path, of: Project) -> Project:
    """Another project with a database of its own, for the same user."""
    folder.mkdir(parents=True)
    other = Project(folder)
    other.environment = of.environment
    make(other.database)
    return other


def decision(answer: dict[str, Any]) -> str:
    return str(answer.get("hookSpecificOutput", {}).get("permissionDecision", "goes on"))


def at(folder: Path, said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "cwd": str(folder)}


@pytest.mark.parametrize("below", ["", "alembic/versions"])
def test_in_a_worktree_its_database_and_the_projects_are_covered(
    project: Project, below: str
) -> None:
    """CLAUDE_PROJECT_DIR stays at the first checkout; ``cwd`` follows into the worktree."""
    make(project.database)
    tree = project_in(project.root / ".claude/worktrees/one", project)
    answer = hook(project, at(tree.root / below, call(project, "Bash", command="make reset")))
    [ours], [theirs] = project.saved(), tree.saved()
    told = answer["hookSpecificOutput"]["additionalContext"]
    assert str(ours) in told
    assert str(theirs) in told
    vaults = {settings.load(each.root).vault_folder for each in (project, tree)}
    assert all(vault and [*vault.glob("*.db")] for vault in vaults)
    assert len(vaults) == 2


@pytest.mark.parametrize(
    "command", ["cd {} && make reset", "(cd '{}'; make) | tail", "pushd {}\nmake"]
)
def test_cd_in_front_of_a_command_leads_to_another_database(
    project: Project, tmp_path: Path, command: str
) -> None:
    make(project.database)
    other = project_in(tmp_path / "other", project)
    bash(project, command.format(other.root))
    assert len(project.saved()) == len(other.saved()) == 1


@pytest.mark.parametrize(
    "folder", ["gone", "x" * 3000, "a\0b", "y/" * 2000, "$HOME_OF_MINE", "justfile"]
)
def test_cd_to_where_no_folder_is_leads_nowhere(project: Project, folder: str) -> None:
    make(project.database)
    answer = bash(project, f"cd {folder} && just list; make")
    assert decision(answer) == "goes on"
    assert "NO BACKUP" not in str(answer)


def test_backups_of_every_project_that_is_meant_are_guarded(
    project: Project, tmp_path: Path
) -> None:
    other = project_in(tmp_path / "other", project)
    make(project.database)
    for folder, command in [
        (other.root, f"rm -rf {project.root}/backups"),
        (other.root, "rm -rf backups"),
        (project.root, f"cd {other.root} && rm -rf backups"),
    ]:
        answer = hook(project, at(folder, call(project, "Bash", command=command)))
        assert answer["hookSpecificOutput"]["permissionDecision"] == "deny", command


def test_one_that_cannot_be_covered_is_asked_about_and_the_other_is_covered(
    project: Project, tmp_path: Path
) -> None:
    other = project_in(tmp_path / "other", project)
    make(project.database)
    (other.root / "backups").write_text("no folder")
    answer = hook(project, at(other.root, call(project, "Bash", command="make")))
    assert "NO BACKUP HOLDS THE PRESENT STATE" in answer["systemMessage"]
    assert answer["hookSpecificOutput"]["permissionDecision"] == "ask"
    assert len(project.saved()) == 1


@pytest.mark.parametrize(
    ("tool", "given", "line"),
    [
        (
            "mcp__db__write",
            {"a": [{"query": "DELETE  FROM items"}]},
            "mcp__db__write DELETE FROM items",
        ),
        ("mcp__files__move", {"from": "a.db"}, "mcp__files__move"),
        ("Monitor", {"command": "python sync.py"}, "python sync.py"),
        ("PowerShell", {"command": "Remove-Item x"}, "Remove-Item x"),
        ("SomethingNew", {}, "SomethingNew"),
    ],
)
def test_whatever_a_tool_is_called_its_call_is_a_step_behind_a_backup(
    project: Project, tool: str, given: dict[str, Any], line: str
) -> None:
    """With the SQL that it was given, so that a person knows what it was."""
    make(project.database)
    hook(project, call(project, tool, **given))
    [kept] = project.saved()
    [step] = log.steps(settings.load(project.root))
    assert (step.command, step.state_before) == (line, kept.name)
    reason = json.loads(kept.with_suffix(".json").read_bytes())["reason"]
    named = line if tool.startswith("mcp") else line.split(maxsplit=1)[0]
    assert reason == f"before an agent's {named}"


def test_a_call_beside_one_that_is_backing_up_waits_for_it(project: Project) -> None:
    make(project.database)
    project.backups.mkdir()
    with (project.backups / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        beside = subprocess.Popen(
            [BIN / "undrop", "agent-hook"],
            cwd=project.root,
            env=project.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert beside.stdin
        beside.stdin.write(json.dumps(call(project, "Bash", command="make")).encode())
        beside.stdin.close()
        beside.stdin = None
        while not waits(beside.pid, project.backups / ".lock"):
            assert beside.poll() is None
        time.sleep(1)  # longer than it waits for a lock of others
    answer = json.loads(beside.communicate()[0])
    assert "backed up" in answer["systemMessage"]
    assert "permissionDecision" not in answer["hookSpecificOutput"]


def waits(pid: int, file: Path) -> bool:
    """Whether a process has a file open."""
    with suppress(OSError):
        return any(each.samefile(file) for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def test_a_recipe_of_the_projects_own_that_has_one_of_our_names_is_not_ours(
    project: Project,
) -> None:
    """What stands in the justfile decides, as it does for just itself."""
    make(project.database)
    assert bash(project, "just status") == {}
    assert bash(project, "cd alembic && just log items") == {}
    assert decision(bash(project, "just forget x")) == "deny"
    ours = Path(adopt.__file__).with_name(recipes.RECIPES).read_text("utf-8")
    renamed = re.sub(r"(?m)^(status|forget) ", r"undrop-\1 ", ours)  # as init does it
    (project.root / recipes.RECIPES).write_text(renamed)
    own = 'forget name="x":\n    ./forget-me {{ name }}\n\nstatus:\n    rm -f x\n'
    (project.root / "justfile").write_text(f"import '{recipes.RECIPES}'\n\n{own}")
    assert project.ok("just", "--show", "status").startswith("status:\n    rm")
    assert bash(project, "just status") != {}
    assert decision(bash(project, "just forget x")) == "goes on"
    assert bash(project, "just undrop-status; just list") == {}
    assert decision(bash(project, "just undrop-forget x")) == "deny"
    assert bash(project, "just no-such") != {}


def test_without_a_justfile_just_is_somebody_elses(project: Project) -> None:
    (project.root / "justfile").unlink()
    make(project.database)
    assert bash(project, "just status") != {}


def test_a_branch_from_before_the_adoption_is_asked_about_once(project: Project) -> None:
    """Nothing guards a database there, and what can be done is said; then nobody is asked again."""
    make(project.database)
    (project.root / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    said = call(project, "Bash", command="python work.py")
    first = hook(project, said)
    assert first["hookSpecificOutput"]["permissionDecision"] == "ask"
    assert "undrop guards no database here" in first["systemMessage"]
    assert "undrop init" in first["systemMessage"]
    assert hook(project, said) == {}
    assert hook(project, {**said, "hook_event_name": "Stop"}) == {}
    assert hook(project, {**said, "session_id": "another"}) == first
    assert not project.backups.exists()


@pytest.mark.parametrize(
    "command",
    [
        "cat > x.py <<'EOF'\nimport sqlite3\nEOF\ncd ../other && python x.py",
        "make -C ../other reset",
        "bash -c 'cd ../other && make'",
        "env -C ../other make",
        "cd $PWD/../other && make",
        "git worktree remove --force ../other",
        "sqlite3 ../other/quartermaster.db 'DELETE FROM t'",
        "cd ../other && python -c '" + "x" * 6_500 + "'",
    ],
    ids=lambda command: str(command)[:40],
)
def test_a_project_that_a_line_names_anywhere_is_covered(project: Project, command: str) -> None:
    make(project.database)
    other = project_in(project.root.parent / "other", project)
    bash(project, command)
    assert [len(each.saved()) for each in (project, other)] == [1, 1]


def test_what_is_no_file_of_settings_is_not_read(project: Project) -> None:
    """A pipe would be waited for without an end."""
    make(project.database)
    for name in ("pipe", "large"):
        (project.root / name).mkdir()
    os.mkfifo(project.root / "pipe/pyproject.toml")
    os.truncate(os.open(project.root / "large/pyproject.toml", os.O_CREAT | os.O_WRONLY), 1 << 30)
    bash(project, "cd pipe && make; cd ../large && make")
    assert len(project.saved()) == 1
