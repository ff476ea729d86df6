"""What a message says to type works when it is typed: in this project, by this user's shell."""

import ast
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop import BIN, REPOSITORY, Project, shown, some

from undrop.adopt import agents
from undrop.cli.commands import COMMANDS, parser
from undrop.recipes import RECIPES, Action, Prompt, actions, sentence

PACKAGE = REPOSITORY / "tools/undrop"
THEIRS = ("migrate", "restore", "backup", "verify", "list")
OWN = "\n\n".join(f"{name} *args:\n    @echo THEIRS; exit 9" for name in THEIRS) + "\n"
NO_RECIPE = {"init", "agent-hook", "after-backup", "completion"}
WORD = "op.execute('DELETE FROM stock_movements')"
TABLE = "op.create_table('colours', sa.Column('id', sa.Integer, primary_key=True))"


def paste(project: Project, line: str, cwd: Path | None = None, **variables: str) -> str:
    """Paste a line into a shell, of somebody who stands in the project; what it says."""
    done = project.run("/bin/sh", "-c", line, cwd=cwd, **variables)
    assert done.code == 0, (line, done)
    assert "THEIRS" not in done.out + done.err, line
    return done.out + done.err


def adopted(project: Project) -> Project:
    """The same with a justfile that had recipes of those names, and undrop in it."""
    (project.root / "justfile").write_text(OWN)
    project.ok("undrop", "init", "--url", project.url)
    for first in (project.backups, Path(project.environment["XDG_STATE_HOME"])):
        shutil.rmtree(first, ignore_errors=True)
    return project


@pytest.fixture(params=["ours", "theirs"])
def shop(request: pytest.FixtureRequest, filled: Project) -> Project:
    """A project whose recipes are called as in the documents, and one where some are not."""
    return adopted(filled) if request.param == "theirs" else filled


def said(text: str, around: str) -> str:
    """The line in a message, where it stands in ``around`` for the dots."""
    before, _, after = map(re.escape, around.partition("…"))
    found = re.search(f"{before} *(.+?){after or '$'}", text, re.MULTILINE)
    assert found, (around, text)
    return found[1]


def after_loss(shop: Project) -> str:
    shop.revise(WORD)
    return shop.undrop("migrate").err


def after_rehearsal(shop: Project) -> str:
    shop.revise(TABLE)
    return shop.undrop("rehearse").err


def before_migrating(shop: Project) -> str:
    shop.revise(TABLE)
    return shop.undrop("status").out


def after_shrinking(shop: Project) -> str:
    shop.ok("undrop", "backup")
    shop.sql("DELETE FROM stock_movements")
    return shop.done("undrop", "backup").err


def after_an_older_one(shop: Project) -> str:
    shop.ok("undrop", "backup")
    shop.revise(TABLE)
    shop.sql("DELETE FROM supplier_contacts")
    return shop.done("undrop", "restore", "latest").err


def without_database(shop: Project) -> str:
    shop.lose()
    shop.room()
    return shop.undrop("rehearse").err


def after_alembic_alone(shop: Project) -> str:
    shop.backups.write_text("in the way")
    shop.revise(TABLE)
    text = shop.done("alembic", "upgrade", "head").err
    shop.backups.unlink()
    return text


def hook(shop: Project, event: str, **given: object) -> dict[str, str]:
    text = json.dumps({"hook_event_name": event, "cwd": str(shop.root), **given})
    done = shop.told(text.encode(), "undrop", "agent-hook", CLAUDE_PROJECT_DIR=str(shop.root))
    return dict(json.loads(done.out)["hookSpecificOutput"])


def as_an_agent_starts(shop: Project) -> str:
    return hook(shop, "SessionStart")["additionalContext"]


def as_an_agent_is_denied(shop: Project) -> str:
    shop.ok("undrop", "backup", "kept")
    command = {"command": "rm -rf backups"}
    answer = hook(shop, "PreToolUse", tool_name="Bash", tool_input=command)
    return answer["permissionDecisionReason"].replace("NAME", shop.saved()[-1].name)


Situation = Callable[[Project], str]
KINDS: dict[str, tuple[Situation, str]] = {
    "undo": (lambda shop: shop.done("undrop", "nuke-db").err, "to go back:…"),
    "list": (lambda shop: shop.undrop("restore", "no such").err, "Next:…"),
    "list and diff": (lambda shop: shop.undrop("diff", "live", "live").err, "Next:…, then"),
    "migrate, accepting": (after_loss, "may go,…; or"),
    "migrate, rehearsed": (after_rehearsal, "it would succeed:…"),
    "migrate, pending": (before_migrating, "head is 9001:…"),
    "migrate, restored": (after_an_older_one, "head is 9001:…brings it forward"),
    "migrate, nothing there": (without_database, "Next:…"),
    "migrate, by alembic": (after_alembic_alone, "stop it, then:…"),
    "restore latest": (after_shrinking, "get the rows back:…"),
    "backup, accepting": (after_shrinking, "if it was meant:…"),
    "backup, not covered": (lambda shop: shop.undrop("status").out, "covered    no:…"),
    "backup, none yet": (lambda shop: shop.undrop("history").err, "Next:…"),
    "backup, a reason": (lambda shop: shop.undrop("backup", "--before", "x").err, "Next:…"),
    "agent, list": (as_an_agent_starts, "takes the last step back; `…`"),
    "agent, restore": (as_an_agent_starts, ", or…"),
    "agent, denied": (as_an_agent_is_denied, "kept for ever:…puts one back"),
}


@pytest.mark.full("postgresql", "theirs")
@pytest.mark.parametrize("kind", some(KINDS))
def test_every_kind_of_line_works_when_it_is_typed(shop: Project, kind: str) -> None:
    situation, around = KINDS[kind]
    line = said(situation(shop), around)
    assert line.startswith("just ")
    paste(shop, line)


def test_the_undo_after_a_command_is_ours(project: Project, stocked_database: Path) -> None:
    shutil.copy(stocked_database, project.database)
    adopted(project)
    before = project.content()
    text = shown(project, "sqlite3", str(project.database), "DELETE FROM stock_movements")
    paste(project, said(text, "to go back:…"))
    assert project.content() == before


def test_a_damaged_database_is_brought_back_by_the_line_it_names(stocked: Project) -> None:
    adopted(stocked)
    before = stocked.content()
    stocked.ok("undrop", "backup")
    with stocked.database.open("r+b") as file:
        file.write(b"spoilt" * 100)
    done = stocked.just("undrop-migrate")
    assert done.code == 4
    paste(stocked, said(done.err, "Next:…"))
    assert stocked.content() == before


def test_the_rules_for_agents_name_ours(stocked: Project) -> None:
    adopted(stocked)
    for name in ("CLAUDE.md", "AGENTS.md"):
        lines = re.findall(r"`(just [^`]+)`", (stocked.root / name).read_text())
        recipes = {line.split()[1] for line in lines}
        assert recipes == {
            *("undrop-backup", "run", "undrop-migrate", "rehearse", "undo", "undrop-list"),
            *("undrop-restore", "recover"),
        }
        for line in lines:
            typed = {"just run": "just run true"}.get(line, line.replace("NAME", "latest"))
            if typed != "just undo":  # there is nothing to undo yet
                paste(stocked, typed)


def test_programs_get_what_to_do_next_as_data(stocked: Project) -> None:
    adopted(stocked)
    answer = json.loads(stocked.undrop("restore", "no such", "--json").out)
    assert answer["next"] == "just undrop-list"
    assert answer["next_actions"] == [{"name": "list", "arguments": []}]
    stocked.revise(WORD)
    answer = json.loads(stocked.undrop("migrate", "--json").out)
    [action] = answer["next_actions"]
    stocked.ok("undrop", action["name"], *action["arguments"])


# Where there is no recipe, and what the user's shell finds.


def path_of(folder: Path, *programs: str) -> str:
    """A PATH with these programs of ours and no others."""
    folder.mkdir(exist_ok=True)
    for program in programs:
        (folder / program).symlink_to(BIN / program)
    return str(folder)


def own_environment(project: Project) -> Path:
    """Undrop and just in the project's own environment, as ``pip install undrop`` has them."""
    programs = project.root / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("undrop", "just"):
        (programs / name).symlink_to(BIN / name)
    return programs


def failed(project: Project, *command: str, cwd: Path | None = None, **variables: str) -> str:
    """The line that a failure says to type."""
    done = project.run(*command, cwd=cwd, **variables)
    assert done.code == 2, done
    return said(done.err, "Next:…")


def test_a_just_that_only_recipes_find_is_not_the_users(project: Project, tmp_path: Path) -> None:
    """The recipes put ``.venv/bin`` on PATH, where just is too."""
    programs = own_environment(project)
    path = f"{path_of(tmp_path / 'bin')}:/usr/bin:/bin"
    just = str(programs / "just")
    line = failed(project, just, "restore", "x", PATH=path)
    assert line == ".venv/bin/undrop list"
    paste(project, line, PATH=path)
    (below := project.root / "below").mkdir()
    line = failed(project, just, "restore", "x", cwd=below, PATH=path)
    assert line == f"{programs}/undrop list"
    paste(project, line, below, PATH=path)


def test_a_just_that_the_user_has_is_named(project: Project, tmp_path: Path) -> None:
    own_environment(project)
    path = f"{path_of(tmp_path / 'bin', 'just')}:/usr/bin:/bin"
    for command in ("just", str(project.root / ".venv/bin/undrop")):
        line = failed(project, command, "restore", "x", PATH=path)
        assert line == "just list"
        paste(project, line, PATH=path)


def test_without_a_justfile_it_is_undrop(project: Project, tmp_path: Path) -> None:
    (project.root / "justfile").unlink()
    path = path_of(tmp_path / "bin", "undrop", "just")
    line = failed(project, "undrop", "restore", "x", PATH=path)
    assert line == "undrop list"
    paste(project, line, PATH=path)


def test_a_justfile_without_our_recipes_is_theirs(project: Project) -> None:
    (project.root / "justfile").write_text(OWN)
    line = failed(project, "undrop", "restore", "x")
    assert line == "undrop list"
    paste(project, line)


def test_a_recipe_that_goes_before_ours_is_theirs(stocked: Project) -> None:
    """Written after ``init``, where the justfile lets a later one be in the place of ours."""
    (stocked.root / "justfile").unlink()
    stocked.ok("undrop", "init", "--url", stocked.url)
    justfile = stocked.root / "justfile"
    text = justfile.read_text()
    justfile.write_text(f"set allow-duplicate-recipes\n{text}\nlist:\n    @echo THEIRS; exit 9\n")
    line = failed(stocked, "undrop", "restore", "x")
    assert line == "undrop list"
    paste(stocked, line)


@pytest.mark.parametrize("script", ["exit 1", "echo '{'", "echo '[]'", "echo '{\"recipes\": 1}'"])
def test_a_just_that_does_not_answer_is_none(project: Project, tmp_path: Path, script: str) -> None:
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin/just"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    path = f"{tmp_path / 'bin'}:{BIN}"
    assert failed(project, "undrop", "restore", "x", PATH=path) == "undrop list"


def test_undrop_by_its_path_alone(project: Project, tmp_path: Path) -> None:
    (project.root / "justfile").unlink()
    path = path_of(tmp_path / "bin")
    line = failed(project, str(BIN / "undrop"), "restore", "x", PATH=path)
    assert re.fullmatch(r"/\S+/bin/undrop list", line)
    paste(project, line, PATH=path)


def test_from_below_and_from_elsewhere(project: Project, tmp_path: Path) -> None:
    """Another justfile may be nearer than the project's."""
    below, other = project.root / "below", project.root / "other"
    for folder in (below, other, tmp_path / "elsewhere"):
        folder.mkdir()
    (other / "justfile").write_text(OWN)
    there = f"cd {project.root} && just list"
    cases = {below: "just list", other: there, tmp_path / "elsewhere": there}
    for folder, wanted in cases.items():
        justfile = ("just", "--justfile", str(project.root / "justfile"))
        line = failed(project, *justfile, "restore", "x", cwd=folder)
        assert line == wanted
        paste(project, line, folder)
    line = failed(project, "undrop", "restore", "x", cwd=other)
    assert line == there


def test_an_agents_shell_has_not_the_path_of_our_hook(project: Project, tmp_path: Path) -> None:
    """The hook's line puts ``.venv/bin`` before PATH, for the hook alone."""
    project.make()
    own_environment(project)
    path = f"{path_of(tmp_path / 'bin')}:/usr/bin:/bin"
    said_to_it = json.dumps({"hook_event_name": "SessionStart", "cwd": str(project.root)})
    done = project.told(
        said_to_it.encode(),
        *("/bin/sh", "-c", agents.command("claude")),
        PATH=path,
        CLAUDE_PROJECT_DIR=str(project.root),
    )
    text = json.loads(done.out)["hookSpecificOutput"]["additionalContext"]
    line = said(text, ", or…")
    assert line.startswith(".venv/bin/undrop restore ")
    paste(project, line, PATH=path)


@pytest.mark.more
def test_a_rule_where_there_is_no_just(project: Project, tmp_path: Path) -> None:
    (project.root / "justfile").write_text(OWN)
    own_environment(project)
    path = path_of(tmp_path / "bin")
    project.ok(str(project.root / ".venv/bin/undrop"), "init", PATH=path)
    rule = (project.root / "CLAUDE.md").read_text()
    assert "`.venv/bin/undrop migrate`" in rule
    assert "just" not in rule
    assert project.just("undrop-list").code == 0  # for whoever has one


def test_a_rule_where_a_folder_above_has_a_justfile(project: Project) -> None:
    (project.root / "justfile").rename(project.root.parent / "justfile")
    project.ok("undrop", "init")
    assert "`just migrate`" in (project.root / "CLAUDE.md").read_text()


# Names that a shell would take apart.


@given(st.lists(st.text(st.characters(blacklist_characters="\0", codec="utf-8"))))
def test_arguments_are_quoted(arguments: list[str]) -> None:
    assert shlex.split(str(Action("restore", *arguments))) == ["undrop", "restore", *arguments]


def test_a_name_with_blanks_and_quotes(project: Project, stocked_database: Path) -> None:
    """In the folder's name, the database's, a backup's."""
    root = project.root.parent / 'it\'s a $(shop) of "ours"'
    project.root.rename(root)
    odd = Project.__new__(Project)
    odd.__dict__.update(project.__dict__)
    odd.root, odd.backups, odd.database = root, root / "backups", root / 'Bob\'s "stock".db'
    shutil.copy(stocked_database, odd.database)
    odd.environment["QUARTERMASTER_DB_URL"] = f"sqlite:///{odd.database}"
    before = odd.content()
    text = as_an_agent_starts(odd)
    odd.sql("DELETE FROM stock_movements")
    paste(odd, said(text, ", or…"))
    assert odd.content() == before
    line = failed(odd, "just", "--justfile", str(root / "justfile"), "restore", "x", cwd=Path("/"))
    paste(odd, line, Path("/"))
    copy = root / "a copy's.db"
    shutil.copy(stocked_database, copy)
    copy.with_name(f"{copy.name}-wal").write_bytes(b"x" * 100)
    done = odd.undrop("restore", str(copy))
    assert done.code == 4, done
    assert f"sqlite3 {shlex.quote(str(copy))} '.backup whole.db', then just" in done.err


def test_what_is_to_be_filled_in_is_no_action_for_programs() -> None:
    parts = (Action("list"), ", then", Action("restore", "NAME…", typed=False), "with yours")
    assert sentence(parts) == "undrop list, then undrop restore NAME… with yours"
    assert actions(parts) == [{"name": "list", "arguments": []}]


def test_a_folder_that_is_gone_gives_a_line_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.delenv("UNDROP_INVOKED_FROM", raising=False)
    gone.rmdir()
    assert Prompt(tmp_path).line(Action("list")).endswith("list")


# Every action in the code.


def calls() -> list[ast.Call]:
    """Every ``Action(…)`` in the package."""
    trees = [ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return [
        node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "Action"
    ]


def recipes(folder: Path, file: str) -> set[str]:
    done = subprocess.run(
        [BIN / "just", "--justfile", folder / file, "--summary"],
        capture_output=True,
        check=True,
        text=True,
    )
    return set(done.stdout.split())


def test_every_action_is_a_command_and_has_a_recipe() -> None:
    names = {word.value for call in calls() if isinstance(word := call.args[0], ast.Constant)}
    assert {"undo", "restore", "migrate", "list"} <= names <= COMMANDS.keys()
    ours = recipes(REPOSITORY, "justfile") & recipes(PACKAGE / "adopt", RECIPES)
    assert names - NO_RECIPE <= ours


@pytest.mark.parametrize(
    "call", [call for call in calls() if isinstance(call.args[0], ast.Constant)], ids=ast.unparse
)
def test_the_command_takes_the_arguments(call: ast.Call) -> None:
    """Any text stands for what is only known when it is said."""
    words = [
        str(word.value) if isinstance(word, ast.Constant) else "x"
        for word in call.args
        if not isinstance(word, ast.Name) or word.id != "ACCEPT_SHRINK"
    ]
    parser().parse_args(words)


def test_nothing_else_in_the_core_says_what_to_type() -> None:
    line = re.compile(rf"\bjust (undrop-)?({'|'.join(COMMANDS)})\b")
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        # Those of attributes, too.
        docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node in docstrings or not line.search(node.value), (path, node.value)


def test_every_recipe_of_ours_is_known_by_what_it_calls() -> None:
    found = Prompt(REPOSITORY, REPOSITORY, str(BIN)).recipes
    ours = COMMANDS.keys() - NO_RECIPE
    assert {name: found.get(name) for name in ours} == {name: name for name in ours}
