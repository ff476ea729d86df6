"""The documents say what is there, and CI runs what they tell people to type."""

import ast
import json
import re
import subprocess
from argparse import Namespace, _SubParsersAction
from pathlib import Path

import pytest
from reference import BLOCK, reference
from shop import BIN, REPOSITORY, Project

from undrop.cli.commands import parse, parser
from undrop.cli.progress import LABELS

README = (REPOSITORY / "README.md").read_text()
CLAUDE = (REPOSITORY / "CLAUDE.md").read_text()
PACKAGE = REPOSITORY / "tools/undrop"
COMMANDS = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)


def recipes() -> list[str]:
    dump = subprocess.run(
        [BIN / "just", "--dump", "--dump-format", "json"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    found = json.loads(dump.stdout)["recipes"].values()
    return [recipe["name"] for recipe in found if not recipe["private"]]


@pytest.mark.parametrize("words", [("--before=", "--", "x"), ("--before=migrate", "--", "--json")])
def test_what_just_backup_says_is_read_by_hand_as_argparse_reads_it(words: tuple[str, ...]) -> None:
    found, wanted = Namespace(json=False, alone=False), Namespace(json=False)
    parse(["backup", *words], found)
    parser("backup").parse_args(["backup", *words], wanted)
    assert found.run.func == wanted.run.func
    assert {**vars(found), "run": found.run.args} == {**vars(wanted), "run": wanted.run.args}


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_in_the_readme(name: str) -> None:
    assert f"`just {name}" in README


def test_the_command_reference_is_what_the_commands_say() -> None:
    """``just reference`` writes it anew."""
    assert BLOCK.findall(README) == [reference()]


def test_every_command_is_in_the_readme() -> None:
    [commands] = [each for each in parser()._actions if isinstance(each, _SubParsersAction)]
    assert commands.choices
    for name in commands.choices:
        assert f"`undrop {name}" in README


def test_ci_runs_the_readmes_commands() -> None:
    assert [command.split()[-1] for command in COMMANDS] == ["tour", "test"]
    lines = (REPOSITORY / ".ci/run").read_text().splitlines()
    for command in COMMANDS:
        assert command in lines


def test_the_menu_has_groups_and_a_line_for_each(project: Project) -> None:
    menu = project.ok("just", "--list")
    assert {"[guard]", "[look]", "[example]", "[develop]"} <= set(menu.split())
    for line in menu.splitlines()[1:]:
        assert not line.strip() or line.strip().startswith("[") or "#" in line


def modules() -> list[str]:
    """The module map's rows, from the bottom of the imports to the top."""
    return re.findall(r"^\| `(\w+)/?` \|", CLAUDE, re.MULTILINE)


def test_the_module_map_is_complete_and_short() -> None:
    there = {path.stem for path in PACKAGE.glob("*.py")}
    there |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(modules()) == there - {"__init__", "__main__"}
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 250, path
    assert len(CLAUDE.splitlines()) < 80


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_a_module_imports_only_from_those_above_it(path: Path) -> None:
    order = modules()
    inside = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if inside not in order:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "undrop":
            tail = (node.module or "").split(".")[1:]
            names = tail[:1] or [alias.name for alias in node.names]
        for name in names:
            if name in order and name != inside:
                assert order.index(name) < order.index(inside), (inside, name)


def test_only_the_chooser_knows_which_engines_there_are() -> None:
    """Everything else asks ``engine.Engine``; a third engine would be one more package."""
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE).parts[0]
        if inside in {"lite", "postgres", "engines.py", "agent"}:  # agent: commands' names
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith(("undrop.lite", "undrop.postgres")), path
            if isinstance(node, ast.Compare):
                asked = ast.unparse(node).lower()
                assert "sqlite" not in asked, (path, asked)
                assert "postgres" not in asked, (path, asked)


def test_the_cli_alone_prints() -> None:
    for path in set(PACKAGE.rglob("*.py")) - set(PACKAGE.glob("cli/*.py")):
        calls = [
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        allowed = path.name in {"alembic.py"}
        assert "print" not in calls or allowed, path


def test_a_backup_imports_nothing_heavy(project: Project) -> None:
    project.database.touch()
    done = project.run("python", "-X", "importtime", "-m", "undrop", "backup")
    assert done.code == 0
    for heavy in ("sqlalchemy", "alembic", "rich", "psutil"):
        assert not re.search(rf"\| +{heavy}$", done.err, re.MULTILINE), heavy


def test_a_missing_venv_is_told_how_to_make(project: Project) -> None:
    (project.root / "bin").mkdir()
    (project.root / "bin/just").symlink_to(BIN / "just")
    done = project.just("backup", PATH=f"{project.root}/bin:/usr/bin:/bin")
    assert done.code == 2
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'" in done.err


def test_every_phase_has_a_word_on_the_progress_bar() -> None:
    code = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    phases = set(re.findall(r'\bprogress\("(\w+)"', code))
    assert {"copy", "check", "compare", "replace", "count"} == phases == set(LABELS)
