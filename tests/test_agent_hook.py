"""``undrop agent-hook``: what an agent's tool call gets, on real projects and by real processes.

``hook_inputs.jsonl`` has the inputs, in the shape that Claude Code documents; PROJECT stands for
the project's folder, and ``from`` says which public incident, or which way of the shell, it is.
"""

import fcntl
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import agents
import pytest
from agents import bash, call, hook
from hypothesis import given, settings, strategies
from shop import BIN, REPOSITORY, Project, add, content, make, uncheckpointed

from undrop import recipes
from undrop import settings as projects
from undrop.agent import reading

INPUTS = [
    json.loads(line)
    for line in Path(__file__).with_name("hook_inputs.jsonl").read_text("utf-8").splitlines()
]
HEAVY = {"sqlalchemy", "alembic", "rich", "psutil"}


def guard(project: Project) -> None:
    """The hook in its settings, a git repository that ignores what it should, a first backup."""
    shutil.copytree(REPOSITORY / ".claude", project.root / ".claude")
    shutil.copy(REPOSITORY / ".gitignore", project.root / ".gitignore")
    project.ok("git", "init", "-q")
    project.ok("undrop", "backup")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A guarded project that nothing here changes."""
    root = tmp_path_factory.mktemp("hook") / "shop"
    root.mkdir()
    made = Project(root)
    make(made.database)
    guard(made)
    return made


@pytest.fixture
def guarded(project: Project) -> Project:
    """A guarded project of the test's own."""
    make(project.database)
    guard(project)
    return project


@pytest.fixture
def at_home(shop: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project that nothing here changes, for decisions inside this process.

    Its vault is where it usually is, in the home.
    """
    home = shop.root.parent / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME")
    return shop


def decision(answer: dict[str, Any]) -> str:
    return str(answer.get("hookSpecificOutput", {}).get("permissionDecision", "goes on"))


def here(project: Project, each: dict[str, Any]) -> dict[str, Any]:
    """A recorded input in this project's folder."""
    text = json.dumps(each["input"]).replace("PROJECT", str(project.root))
    return dict(json.loads(text))


@pytest.mark.parametrize("each", INPUTS, ids=lambda each: str(each["input"]["tool_input"])[:99])
def test_what_only_reads_goes_on_what_takes_the_guard_away_is_denied(
    at_home: Project, each: dict[str, Any]
) -> None:
    said = here(at_home, each)
    project = projects.load(at_home.root)
    found = agents.judged(project, said["tool_name"], said["tool_input"], Path(said["cwd"]))
    assert found.kind == each["decision"], (found, each["from"])
    assert bool(found.safer) == (found.kind == "denied")


def decided(project: projects.Settings, command: str, folder: Path | None = None) -> str:
    given = {"command": command}
    return agents.judged(project, "Bash", given, folder or project.root).kind


def reads(command: str) -> bool:
    what = {"tool_name": "Bash", "tool_input": {"command": command}, "cwd": "/"}
    return reading.reads(agents.adapted({"hook_event_name": "PreToolUse", **what}))


def some(kind: str, count: int) -> list[dict[str, Any]]:
    """A few of the recorded inputs with that decision, evenly spread."""
    of_kind = [each for each in INPUTS if each["decision"] == kind]
    ours = [
        x for x in of_kind if (x["input"]["tool_name"], x["input"]["cwd"]) == ("Bash", "PROJECT")
    ]
    return ours[:: len(ours) // count][:count]


@pytest.mark.parametrize("each", some("reads", 3))
def test_a_reading_command_is_not_spoken_about(shop: Project, each: dict[str, Any]) -> None:
    assert hook(shop, here(shop, each)) == {}


@pytest.mark.parametrize("each", some("goes on", 5))
def test_another_goes_on_by_the_usual_permissions_and_the_agent_learns_the_way_back(
    shop: Project, each: dict[str, Any]
) -> None:
    """No ``permissionDecision``: whom the user wants to be asked about, they are asked about."""
    [kept] = shop.saved()
    assert hook(shop, here(shop, each)) == {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "additionalContext": f"undrop: the state before this is kept in {kept}; "
            f"to go back: just undo, or just restore {kept.name}",
        }
    }


@pytest.mark.parametrize("each", some("denied", 5))
def test_a_denied_one_gets_the_reason_and_the_safer_way(
    shop: Project, each: dict[str, Any]
) -> None:
    answer = hook(shop, here(shop, each))
    assert list(answer) == ["hookSpecificOutput"]
    said = answer["hookSpecificOutput"]
    assert said["hookEventName"] == "PreToolUse"
    assert said["permissionDecision"] == "deny"
    assert set(said) == {"hookEventName", "permissionDecision", "permissionDecisionReason"}
    assert re.fullmatch(r"undrop: .+\. Instead: .+", said["permissionDecisionReason"])


def imported(project: Project, command: str) -> set[str]:
    """The top-level modules that a process loads for a command."""
    done = subprocess.run(
        [BIN / "python", "-X", "importtime", "-m", "undrop", "agent-hook"],
        input=json.dumps(call(project, "Bash", command=command)).encode(),
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        check=True,
    )
    return set(re.findall(r"\| +(\w+)[\w.]*$", done.stderr.decode(), re.MULTILINE))


def test_a_reading_command_takes_no_backup_and_loads_next_to_nothing(project: Project) -> None:
    """An agent waits for the hook before its every command."""
    make(project.database)
    loaded = imported(project, "git status")
    assert "undrop" in loaded
    assert not loaded & HEAVY
    assert not project.backups.exists()


def test_a_state_that_has_its_backup_loads_nothing_heavy_either(guarded: Project) -> None:
    settle(guarded)
    assert not imported(guarded, "rm quartermaster.db") & HEAVY


def settle(project: Project) -> None:
    """Let the hook run until it knows the present state by the files' times alone."""
    for _ in range(20):
        bash(project, "make")
        note = project.backups / "covered.json"
        if note.exists() and '"files"' in note.read_text():
            return
    pytest.fail("the hook never remembered that the state has a backup")


def test_an_unchanged_database_waits_for_nobody(project: Project) -> None:
    """Not for another undrop, and not for a program that holds a lock and has written nothing."""
    make(project.database)
    settle(project)
    with (
        (project.backups / ".lock").open("w") as lock,
        closing(sqlite3.connect(project.database, isolation_level=None)) as other,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        other.execute("BEGIN EXCLUSIVE")
        answer = bash(project, "rm x")
    assert decision(answer) == "goes on"
    assert "systemMessage" not in answer


def more_rows(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 3)


def same_size(project: Project) -> None:
    size = project.database.stat().st_size
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("UPDATE t SET v = upper(v) WHERE id = 7")
    assert project.database.stat().st_size == size


def other_file(project: Project) -> None:
    aside = project.root / "aside.db"
    make(aside, rows=50)
    with closing(sqlite3.connect(aside)) as connection, connection:
        connection.execute("UPDATE t SET v = 'other'")
    aside.replace(project.database)


@pytest.mark.parametrize("change", [more_rows, same_size, other_file])
def test_a_changed_database_in_wal_mode_is_backed_up_again(
    project: Project, change: Callable[[Project], None]
) -> None:
    make(project.database, wal=True)
    settle(project)
    before = content(project.database)
    change(project)
    bash(project, "rm x")
    [first, second] = project.saved()
    assert content(first) == before != content(project.database) == content(second)


def test_a_commit_that_is_only_in_the_wal_is_backed_up(project: Project) -> None:
    make(project.database, wal=True)
    with uncheckpointed(project.database) as connection:
        settle(project)
        file = project.database.read_bytes()
        with connection:
            connection.execute("UPDATE t SET v = upper(v) WHERE id = 7")
        assert project.database.read_bytes() == file
        bash(project, "rm x")
        [_, second] = project.saved()
        assert content(second) == content(project.database)


def test_a_database_held_open_in_wal_mode_is_backed_up_once(project: Project) -> None:
    """As a development server holds it all day."""
    make(project.database, wal=True)
    with uncheckpointed(project.database):
        settle(project)
        bash(project, "rm x")
        bash(project, "rm y")
    assert len(project.saved()) == 1


@pytest.mark.parametrize("tool", ["Write", "Edit", "MultiEdit", "NotebookEdit"])
@pytest.mark.parametrize("place", ["backups", "vault", "link"])
def test_no_tool_writes_where_backups_are(guarded: Project, tool: str, place: str) -> None:
    kept = projects.load(guarded.root).vault_folder
    assert kept is not None
    (guarded.root / "link").symlink_to(guarded.backups)
    path = {"backups": Path("backups"), "vault": kept, "link": guarded.root / "link"}[place]
    key = "notebook_path" if tool == "NotebookEdit" else "file_path"
    what = {key: str(path / guarded.saved()[0].name), "content": ""}
    assert decision(hook(guarded, call(guarded, tool, **what))) == "deny"


def judged(project: Project, name: str, tool: str, **what: object) -> str:
    given = {"file_path": str(project.root / name), **what}
    return agents.judged(projects.load(project.root), tool, given, project.root).kind


PYPROJECT = [
    ("goes on", {"old_string": "line-length = 100", "new_string": "line-length = 120"}),
    ("goes on", {"old_string": "no such text", "new_string": "[tool.undrop]"}),
    ("denied", {"old_string": "[tool.undrop]", "new_string": "[tool.other]"}),
    ("denied", {"old_string": 'backups = "backups"', "new_string": 'backups = "/tmp/b"'}),
    ("denied", {"old_string": "quartermaster.db", "new_string": "other.db"}),
    ("goes on", {"old_string": "[tool.ruff]", "new_string": "[tool.ruff", "replace_all": True}),
]


@pytest.mark.parametrize(("kind", "edit"), PYPROJECT)
def test_the_settings_are_a_persons_and_other_lines_of_their_file_are_not(
    at_home: Project, kind: str, edit: dict[str, object]
) -> None:
    text = (at_home.root / "pyproject.toml").read_text()
    assert judged(at_home, "pyproject.toml", "Edit", **edit) == kind
    other = {"old_string": 'name = "undrop"', "new_string": 'name = "shop"'}
    assert judged(at_home, "pyproject.toml", "MultiEdit", edits=[other, edit]) == kind
    count = -1 if edit.get("replace_all") else 1
    whole = text.replace(str(edit["old_string"]), str(edit["new_string"]), count)
    assert judged(at_home, "pyproject.toml", "Write", content=whole) == kind


def test_a_file_of_settings_that_is_gone_or_emptied_guards_nothing(guarded: Project) -> None:
    for name in ("pyproject.toml", ".claude/settings.json"):
        assert judged(guarded, name, "Write", content="") == "denied"


def test_broken_settings_may_be_mended(guarded: Project) -> None:
    name = ".claude/settings.json"
    text = (guarded.root / name).read_text()
    (guarded.root / name).write_text(text[:-3])
    assert judged(guarded, name, "Write", content=text) == "goes on"


def test_where_the_projects_settings_are_broken_the_user_is_asked(guarded: Project) -> None:
    file = guarded.root / "pyproject.toml"
    text = file.read_text()
    file.write_text(text.replace("[tool.ruff]", "[tool.ruff"))
    answer = hook(guarded, call(guarded, "Write", file_path=str(file), content=text))
    assert decision(answer) == "ask"
    assert "is not valid TOML" in answer["systemMessage"]


def hooks(change: Callable[[dict[str, Any]], object]) -> str:
    """This repository's ``.claude/settings.json``, changed."""
    found = json.loads((REPOSITORY / ".claude/settings.json").read_text())
    change(found)
    return json.dumps(found, indent=2)


CLAUDE = {
    "other settings": ("goes on", hooks(lambda all_: all_.update(permissions={"allow": ["Bash"]}))),
    "another hook": ("goes on", hooks(lambda all_: all_["hooks"].update(Setup=[{"hooks": []}]))),
    "hooks stay enabled": ("goes on", hooks(lambda all_: all_.update(disableAllHooks=False))),
    "all hooks off": ("denied", hooks(lambda all_: all_.update(disableAllHooks=True))),
    "no hooks": ("denied", hooks(lambda all_: all_.pop("hooks"))),
    "not at the start": ("denied", hooks(lambda all_: all_["hooks"].pop("SessionStart"))),
    "not before a tool": ("denied", hooks(lambda all_: all_["hooks"].pop("PreToolUse"))),
    "before another tool": (
        "denied",
        hooks(lambda all_: all_["hooks"]["PreToolUse"][0].update(matcher="WebFetch")),
    ),
    "broken": ("denied", "{"),
}


@pytest.mark.parametrize(("kind", "text"), CLAUDE.values(), ids=CLAUDE)
def test_the_hook_is_a_persons_and_other_settings_are_not(
    at_home: Project, kind: str, text: str
) -> None:
    assert judged(at_home, ".claude/settings.json", "Write", content=text) == kind


def test_hooks_are_not_turned_off_in_other_settings_either(at_home: Project) -> None:
    for name in (".claude/settings.local.json", f"{os.environ['HOME']}/.claude/settings.json"):
        assert judged(at_home, name, "Write", content='{"disableAllHooks": true}') == "denied"
        assert judged(at_home, name, "Write", content='{"model": "opus"}') == "goes on"


def test_other_files_of_the_same_folder_or_name_are_anybodys(at_home: Project) -> None:
    for name in (".claude/CLAUDE.md", ".claude/agents/one.md", "sub/pyproject.toml", "backups.md"):
        assert judged(at_home, name, "Write", content="hello") == "goes on"


def test_an_edit_of_the_settings_is_denied_by_the_process_too(guarded: Project) -> None:
    edit = {"old_string": "[tool.undrop]", "new_string": "[tool.other]"}
    file = str(guarded.root / "pyproject.toml")
    assert decision(hook(guarded, call(guarded, "Edit", file_path=file, **edit))) == "deny"


def test_a_write_anywhere_else_goes_on_behind_a_backup(project: Project) -> None:
    make(project.database)
    answer = hook(project, call(project, "Write", file_path="quartermaster.db", content=""))
    assert decision(answer) == "goes on"
    assert len(project.saved()) == 1


def start(project: Project, **variables: str) -> dict[str, Any]:
    said = {"hook_event_name": "SessionStart", "source": "startup", "cwd": str(project.root)}
    return hook(project, said, **variables)


BROKEN: dict[str, object] = {
    "nothing": b"",
    "no json": b"rm -rf backups",
    "no utf-8": b'{"hook_event_name": "\xff"}',
    "a list": [],
    "null": None,
    "endless": b"[" * 100_000,
    "only the event": {"hook_event_name": "PreToolUse"},
    "no input": {"hook_event_name": "PreToolUse", "tool_name": "Bash"},
    "input is text": {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": "ls"},
    "no command": {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {}},
    "a number": {
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "tool_input": {"command": 1},
    },
    "no path": {"hook_event_name": "PreToolUse", "tool_name": "Write", "tool_input": {}},
    "folder is a number": {
        **{"hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": 7},
        "tool_input": {"command": "rm x"},
    },
}


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)
def test_input_of_another_shape_goes_on_behind_a_backup_and_is_told(
    project: Project, said: object
) -> None:
    """The shape may change with a release: then nothing goes on in silence."""
    make(project.database)
    answer = hook(project, said)
    assert re.search("not understand the hook's input: .* is kept in", answer["systemMessage"])
    assert decision(answer) == "goes on"
    [kept] = project.saved()
    assert content(kept) == content(project.database)


def test_a_payload_that_is_too_long_to_be_looked_at_goes_on_behind_a_backup(
    project: Project,
) -> None:
    make(project.database)
    said = call(project, "Write", file_path="x", content="x" * 3_000_000)
    answer = hook(project, said)
    assert "understand the hook's input: the input of Write" in answer["systemMessage"]
    assert answer["hookSpecificOutput"]["hookEventName"] == "PreToolUse"
    assert len(project.saved()) == 1
    long = {**said, "hook_event_name": "PostToolUse", "tool_response": "x" * 3_000_000}
    assert hook(project, long) == {}


def test_another_event_is_none_of_our_business(shop: Project) -> None:
    assert hook(shop, {"hook_event_name": "Stop", "cwd": str(shop.root)}) == {}


@pytest.mark.parametrize(
    "text", ["rm \0 x", "rm \ud800", "rm ~nobody-of-that-name/x", "rm " + "x" * 5000]
)
def test_odd_texts_are_commands_as_well(shop: Project, text: str) -> None:
    assert decision(bash(shop, text)) == "goes on"


def unable(project: Project, answer: dict[str, Any], why: str) -> None:
    """Nothing goes on in silence: the user sees why, and is asked."""
    assert "undrop: NO BACKUP" in answer["systemMessage"] or "guards no database" in why
    assert re.search(why, answer["systemMessage"])
    assert decision(answer) == "ask"
    assert answer["hookSpecificOutput"]["permissionDecisionReason"] == answer["systemMessage"]
    assert bash(project, "git status") == {}


@pytest.mark.more
def test_another_undrop_that_stays_at_work_is_asked_about(project: Project) -> None:
    make(project.database)
    project.backups.mkdir()
    with (project.backups / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unable(project, bash(project, "rm x"), "another undrop")


def test_backups_that_are_a_link_to_elsewhere_are_asked_about(
    project: Project, tmp_path: Path
) -> None:
    make(project.database)
    (tmp_path / "elsewhere").mkdir()
    project.backups.symlink_to(tmp_path / "elsewhere")
    unable(project, bash(project, "rm x"), "link out of the project")


def test_backups_that_cannot_be_written_are_asked_about(project: Project) -> None:
    make(project.database)
    full = "ulimit -f 0; exec undrop agent-hook"  # for root, too, and like a full disk
    said = call(project, "Bash", command="rm x")
    real = project.environment["PATH"]  # a process of its own, which a limit binds
    unable(project, hook(project, said, ("bash", "-c", full), PATH=real), "large|space")
    assert project.saved() == []


def test_another_engine_is_asked_about(project: Project) -> None:
    """A shell with the production URL in it: undrop cannot help there."""
    url = "mysql://db.example.org/shop"
    answer = bash(project, "alembic downgrade base", QUARTERMASTER_DB_URL=url)
    unable(project, answer, "mysql is not supported")
    assert decision(start(project, QUARTERMASTER_DB_URL=url)) == "goes on"


def test_no_project_is_asked_about(project: Project) -> None:
    (project.root / "pyproject.toml").unlink()
    unable(project, bash(project, "rm x"), "undrop guards no database here")


def test_a_damaged_database_is_shouted_about_and_its_files_are_kept(project: Project) -> None:
    """The command goes on: it may be the one that mends it."""
    project.database.write_text("no database")
    for _ in range(2):
        answer = bash(project, "python mend.py")
        assert f"THE DATABASE {project.database} IS DAMAGED" in answer["systemMessage"]
        assert "IS DAMAGED" in answer["hookSpecificOutput"]["additionalContext"]
        assert decision(answer) == "goes on"
    [kept] = project.backups.glob("*.damaged")
    assert (kept / project.database.name).read_text() == "no database"


def test_the_project_is_the_agents_wherever_it_stands(project: Project, tmp_path: Path) -> None:
    make(project.database)
    elsewhere = {**call(project, "Bash", command=f"rm -rf {project.backups}"), "cwd": str(tmp_path)}
    assert decision(hook(project, elsewhere)) == "deny"
    from_below = {**call(project, "Bash", command="rm x"), "cwd": str(project.root / "alembic")}
    assert "systemMessage" in hook(project, from_below, CLAUDE_PROJECT_DIR="")


def test_the_vault_is_guarded_where_it_usually_is(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    project = projects.load(shop.root)
    for text in ("rm -rf ~/.local/state/undrop", "rm -r ~/.local", "mv ~/.local/state /tmp/"):
        assert decided(project, text) == "denied"
    assert decided(project, "rm -rf ~/.local/share/x") == "goes on"


def installed(project: Project, event: str, path: str) -> subprocess.CompletedProcess[bytes]:
    """Run the line in this repository's ``.claude/settings.json`` as Claude Code does."""
    found = json.loads((REPOSITORY / ".claude/settings.json").read_text())["hooks"][event]
    line = found[0]["hooks"][0]["command"]
    said = {**call(project, "Bash", command="rm -rf backups"), "hook_event_name": event}
    folder = str(project.root)
    return subprocess.run(
        ["/bin/sh", "-c", line],
        input=json.dumps(said).encode(),
        cwd=project.root,
        env={**project.environment, "PATH": path, "CLAUDE_PROJECT_DIR": folder},
        capture_output=True,
        check=True,
    )


def test_the_installed_hook_denies(project: Project) -> None:
    (project.root / ".venv").symlink_to(BIN.parent)
    answer = json.loads(installed(project, "PreToolUse", "/usr/bin:/bin").stdout)
    assert decision(answer) == "deny"


@pytest.mark.parametrize("event", ["SessionStart", "PreToolUse"])
def test_the_installed_hook_says_so_when_undrop_is_not_installed(
    project: Project, event: str, tmp_path: Path
) -> None:
    answer = json.loads(installed(project, event, str(tmp_path)).stdout)
    assert "does not guard the database" in answer["systemMessage"]


WORDS = """rm -rf -f ls cat backups backups/x.db * ./* ; && || | & > >> < << <<< $( ) ` ' { } ( EOF
for in do done while if then fi case esac find . -name -delete -exec {} xargs sqlite3 python -c
DELETE cd .. ~ $X ${X:-y} ${ git clean -fdx -e stash -a sed -i mv cp -t tar -C [[ ]] = ! \\ bash
eval X=backups f() function coproc time {a,b} {a, just run forget -- -m 2>&1 " \\n"""
ANY = strategies.text(strategies.characters(), max_size=60)
TEXTS = strategies.one_of(
    ANY, strategies.lists(strategies.sampled_from(WORDS.split()), max_size=14).map(" ".join)
)


@given(before=TEXTS, sign=strategies.sampled_from([*";&|<>$`(){}\n"]), after=TEXTS)
@settings(deadline=None)
def test_a_sign_of_the_shell_makes_nothing_else_a_reading_command(
    before: str, sign: str, after: str
) -> None:
    """Whatever stands around it; a quote may be in it, and then it is a word."""
    quoted = re.search(r"['\"\\#]", before + after)
    assert quoted or not reads(f"ls {before}{sign}{after}; rm x")
    assert sign == "<" or not reads(f"cat x{sign}rm x")


@pytest.mark.parametrize("name", ["WRITEFILE", "Load_Extension", "eDiT"])
def test_what_writes_in_capitals_does_not_only_read(name: str) -> None:
    assert not reads(f"sqlite3 -readonly app.db \"SELECT {name}('app.db', '')\"")
    assert reads('sqlite3 -readonly app.db "SELECT name FROM items"')


@pytest.mark.parametrize(
    "recipe",
    ["status *args: reset\n    undrop status $@", "status:\n    rm x\n    undrop status $@"],
)
def test_a_recipe_of_ones_own_that_does_more_is_not_ours(project: Project, recipe: str) -> None:
    (project.root / "justfile").write_text(f"{recipe}\n\nreset:\n    rm quartermaster.db\n")
    assert recipes.command_of("status", project.root) == ""
    (project.root / "justfile").write_text("status *args:\n    undrop status $@\n")
    assert recipes.command_of("status", project.root) == "status"


def test_a_line_that_is_put_in_elsewhere_is_no_change_of_the_guard(project: Project) -> None:
    patch = "*** Update File: pyproject.toml\n@@ version\n+description = 'shop'\n*** End Patch"
    said = call(project, "apply_patch", command=f"*** Begin Patch\n{patch}")
    assert decision(hook(project, said)) == "goes on"
    said = call(
        project, "apply_patch", command=patch.replace("description = 'shop'", "[tool.undrop]")
    )
    assert decision(hook(project, said)) == "deny"


@pytest.mark.parametrize(
    "command",
    [
        "cp -t out backups/x.db",
        "ln -s backups/x.db",
        "rsync -a ./ /x --exclude backups",
        "undrop forget --help",
        "undrop init --remove --dry-run",
    ],
)
def test_what_only_reads_a_backup_is_not_denied(project: Project, command: str) -> None:
    assert decided(projects.load(project.root), command) != "denied"
