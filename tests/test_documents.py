"""The documents say what is there, and CI runs what they tell people to type."""

import ast
import json
import re
import shlex
import subprocess
from argparse import _SubParsersAction
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from reference import BLOCK, KEYS, keys, reference
from shop import BIN, REPOSITORY, Project

from undrop.cli.commands import COMMANDS, parser
from undrop.cli.progress import LABELS
from undrop.errors import UsageError

README = (REPOSITORY / "README.md").read_text("utf-8")
CLAUDE = (REPOSITORY / "CLAUDE.md").read_text("utf-8")
REFERENCE = (REPOSITORY / "docs/reference.md").read_text("utf-8")
PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), REPOSITORY / "backups/README.md"]
)
PACKAGE = REPOSITORY / "tools/undrop"
SET_UP = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINE = re.compile(r"(?:\$ )?(?:just|undrop) +([a-z][a-z-]*)(.*)")
TYPED = re.compile(r"(?<![\w/.:-])(just|undrop) +([a-z][a-z-]*)")


def recipes() -> list[str]:
    dump = subprocess.run(
        [BIN / "just", "--dump", "--dump-format", "json"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    found = json.loads(dump.stdout)["recipes"].values()
    return [recipe["name"] for recipe in found if not recipe["private"]]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_is_what_it_is_called_not_how_it_begins(name: str) -> None:
    """Or ``--a`` would accept that data is lost."""
    known = [option for option, _ in COMMANDS[name].arguments if option.startswith("--")]
    for option in (*known, "--help"):
        for wrong in (option[:3], option[:-1], f"{option}s"):
            with pytest.raises(UsageError):
                parser().parse_args([name, wrong])
    for wrong in ("--v", "--versio", "--hel"):
        with pytest.raises(UsageError):
            parser().parse_args([wrong, name])


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_in_the_readme(name: str) -> None:
    assert f"`just {name}" in README


def commands() -> set[str]:
    """What ``undrop`` may be asked to do."""
    [every] = [each for each in parser()._actions if isinstance(each, _SubParsersAction)]
    return set(every.choices)


def test_the_command_reference_is_what_the_commands_say() -> None:
    """``just reference`` writes it anew."""
    assert BLOCK.findall(REFERENCE) == [reference()]


@pytest.mark.more
def test_the_keys_in_the_reference_are_those_of_the_answers(project: Project) -> None:
    """A key that stands there stays: scripts read them. ``just reference`` writes it anew."""
    [page] = KEYS.findall(REFERENCE)
    assert page == keys(project)
    for name, command in COMMANDS.items():
        assert not command.json or f"| `undrop {name}" in page, name


def test_every_command_is_in_the_reference() -> None:
    assert commands()
    for name in commands():
        assert f"`undrop {name}" in REFERENCE


def test_the_readme_is_a_page() -> None:
    assert len(README.splitlines()) <= 150


def code(page: Path) -> Iterator[str]:
    """What a page shows in code: its blocks, a line each, and what stands between backquotes."""
    text = page.read_text("utf-8")
    for block in FENCED.findall(text):
        yield from block.splitlines()
    yield from (" ".join(each.split()) for each in re.findall(r"`([^`]+)`", FENCED.sub("", text)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_what_a_page_says_to_type_is_there(page: Path) -> None:
    known = {"just": {*recipes(), "now"}, "undrop": commands()}  # "just now" is an age
    for line in code(page):
        for program, name in TYPED.findall(line.partition("#")[0]):
            assert name in known[program], line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_line_of_a_page_has_options_and_arguments_that_there_are(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in code(page):
        if not (found := LINE.match(line)) or found[1] not in COMMANDS:
            continue
        words = shlex.split(found[2], comments=True)
        ends = (at for at, word in enumerate(words) if not word.strip("|&;>/,"))
        words = words[: next(ends, None)]
        if words and not any(word.startswith("[") for word in words):  # the reference has those
            with suppress(SystemExit):  # it is asked for help
                parser(found[1]).parse_args([found[1], *(word.rstrip(";,") for word in words)])
    capsys.readouterr()


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_what_is_there(page: Path) -> None:
    text = FENCED.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+://", target):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_page_is_linked_to_from_the_readme() -> None:
    for page in REPOSITORY.glob("docs/*.md"):
        assert f"(docs/{page.name})" in README


def test_ci_runs_the_readmes_commands() -> None:
    assert [command.split()[-1] for command in SET_UP] == ["tour", "test"]
    lines = (REPOSITORY / ".ci/run").read_text().splitlines()
    for command in SET_UP:
        assert command in lines


def test_the_menu_has_groups_and_a_line_for_each(project: Project) -> None:
    menu = project.ok("just", "--list")
    assert {"[guard]", "[look]", "[example]", "[develop]"} <= set(menu.split())
    for line in menu.splitlines()[1:]:
        assert not line.strip() or line.strip().startswith("[") or "#" in line


def rooms() -> list[str]:
    """The map's rows, from the bottom of the imports to the top."""
    return re.findall(r"^\| `(\w+)/?` \|", CLAUDE, re.MULTILINE)


def test_the_map_is_complete_and_fits_on_a_screen() -> None:
    there = {path.stem for path in PACKAGE.glob("*.py")}
    there |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(rooms()) == there - {"__init__", "__main__"}
    assert len(rooms()) <= 24


def imported(path: Path, *, for_types: bool = False) -> set[str]:
    """The modules of ours that one imports; ``for_types``: those that only checkers see, too."""
    tree = ast.parse(path.read_text())
    seen_by_checkers = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found = set()
    for node in set(ast.walk(tree)) - (set() if for_types else seen_by_checkers):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "undrop":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & MODULES.keys() or {str(node.module)}
    return found


def name_of(path: Path) -> str:
    """A module's dotted name."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def test_imports_go_down_the_map_only() -> None:
    order = [*rooms(), "__main__"]
    for name, path in MODULES.items():
        _, *inside = name.split(".")
        for other in imported(path, for_types=True):
            _, *asked = other.split(".")
            if inside and asked and inside[0] != asked[0]:
                assert order.index(asked[0]) < order.index(inside[0]), (name, other)


def test_imports_go_in_no_circle() -> None:
    """Those for type checkers count: two modules that know each other's types are one."""
    arrows = {name: imported(path, for_types=True) - {name} for name, path in MODULES.items()}
    while leaves := {name for name, asked in arrows.items() if not asked & arrows.keys()}:
        arrows = {name: asked for name, asked in arrows.items() if name not in leaves}
    assert not arrows


def test_only_the_registry_knows_which_engines_there_are() -> None:
    """Everything else asks the protocol; a third engine would be one more package."""
    known = {"undrop.engines", "undrop.engines.registry", "undrop.engines.protocol"}
    for name, path in MODULES.items():
        if name.startswith(("undrop.engines", "undrop.agent")):  # the agent: commands' names
            continue
        assert {other for other in imported(path) if "engines" in other} <= known, name
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                asked = ast.unparse(node).lower()
                assert "sqlite" not in asked, (name, asked)
                assert "postgres" not in asked, (name, asked)


def test_postgresql_is_compared_without_knowing_sqlites_engine_or_files() -> None:
    for name, path in MODULES.items():
        if name.startswith("undrop.engines.postgres"):
            reached = {other.rpartition(".")[0] for other in imported(path)}
            assert not reached & {"undrop.engines.sqlite", "undrop.sqlitefile"}, name


def test_the_cli_alone_prints() -> None:
    for path in set(PACKAGE.rglob("*.py")) - set(PACKAGE.glob("cli/*.py")):
        calls = [
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        allowed = path.name in {"hook.py"}
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
    known = {"copy", "check", "compare", "replace", "count", "merge", "read", "migrate", "load"}
    assert known == phases == set(LABELS)
