"""The recipes stand once, here and for adopters; what is typed reaches undrop as it is.

All through the real just, in both layouts.
"""

import json
import shlex
import sqlite3
import subprocess
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from shop import BIN, REPOSITORY, Project, Runner, content, make, some
from test_init import Elsewhere

TEXT = REPOSITORY / "tools/undrop/adopt/undrop.just"
OLDER = sorted(Path(__file__).with_name("older").glob("*.just"))  # what an init of then wrote
ODD = ("two words", 'it\'s "odd"', "$(touch canary)", "`touch canary`", "; touch canary", "", "*")
ECHO = """#!/bin/sh
printf '%s\\0' "$PWD" "$UNDROP_INVOKED_FROM" "$@"
echo
"""


def dumped(*words: str | Path) -> dict[str, Any]:
    """What just says of a justfile's recipes."""
    line = (BIN / "just", "--dump", "--dump-format", "json", *words)
    found: dict[str, Any] = json.loads(subprocess.check_output(line, cwd=REPOSITORY))["recipes"]
    return found


@cache
def recipes() -> dict[str, Any]:
    """Every recipe that adopters get."""
    return {name: one for name, one in dumped("-f", TEXT).items() if not one["private"]}


def guarded() -> set[str]:
    """The recipes that have ``backup`` as a dependency."""
    return {
        name
        for name, recipe in recipes().items()
        if "backup" in {each["recipe"] for each in recipe["dependencies"]}
    }


class Place:
    """A project with the recipes, and a database that has rows."""

    def __init__(self, runner: Runner, database: Path) -> None:
        self.runner, self.database = runner, database

    def backups(self) -> set[str]:
        return {path.name for path in (self.runner.root / "backups").glob("*.db")}

    def echoing(self) -> None:
        """See to it that ``undrop`` only says what it is given."""
        stand_in = self.runner.root / ".venv/bin/undrop"
        stand_in.parent.mkdir(parents=True)
        stand_in.write_text(ECHO)
        stand_in.chmod(0o755)

    def without_undrop(self) -> str:
        """A PATH that has ``just`` and no ``undrop``."""
        (self.runner.root / "bin").mkdir()
        (self.runner.root / "bin/just").symlink_to(BIN / "just")
        return f"{self.runner.root}/bin:/usr/bin:/bin"


@pytest.fixture(params=[pytest.param("here", marks=pytest.mark.more), "adopted"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """This repository's project, and one that ``undrop init`` adopted."""
    if request.param == "here":
        project = Project(tmp_path / "project")
        make(project.database)
        return Place(project, project.database)
    return adopted(tmp_path)


def adopted(tmp_path: Path, justfile: str = "") -> Place:
    elsewhere = Elsewhere(tmp_path / "theirs")
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    if justfile:
        elsewhere.write("justfile", justfile)
    elsewhere.ok("undrop", "init")
    return Place(elsewhere, elsewhere.root / "app.db")


def test_a_recipe_says_what_the_contract_asks_of_it() -> None:
    assert "{{" not in TEXT.read_text()
    assert guarded() == {"restore", "recover", "migrate", "undo", "reset-db", "nuke-db"}
    for name, recipe in recipes().items():
        by_position = "positional-arguments" in recipe["attributes"]
        assert by_position or all(each["export"] for each in recipe["parameters"]), name
        assert "no-exit-message" in recipe["attributes"], name
        assert len(recipe["body"]) == 1, name


def test_this_repository_adds_no_recipe_that_adopters_have() -> None:
    own = (REPOSITORY / "justfile").read_text()
    assert "import 'tools/undrop/adopt/undrop.just'" in own
    assert recipes().keys() < dumped().keys()
    assert not [name for name in recipes() if f"\n{name} " in own]


def test_arguments_arrive_as_they_were_typed(place: Place) -> None:
    """With the project's folder as the place, and the user's said."""
    place.echoing()
    below = place.runner.root / "below"
    below.mkdir()
    said = [str(place.runner.root), str(below)]
    for name in recipes():
        *_, last = place.runner.ok("just", name, "--help", *ODD, cwd=below).splitlines()
        assert last.split("\0")[:-1] == [*said, name, "--help", *ODD], name
    assert not list(place.runner.root.rglob("canary"))


def test_a_dependency_backs_up_before_its_recipe_and_is_told_the_words_of_that(
    place: Place,
) -> None:
    """Which just joins with blanks; that they may be asked for help, or be wrong, is no option."""
    place.echoing()
    for name in guarded():
        for words in (("x",), ("--help",), ODD):
            first, _ = place.runner.ok("just", name, *words).splitlines()
            hint = " ".join(words)
            assert first.split("\0")[2:-1] == ["backup", f"--before={name}", "--", hint]
    assert not list(place.runner.root.rglob("canary"))


@pytest.mark.more
def test_nothing_happens_for_help_a_wrong_option_or_odd_words(place: Place) -> None:
    """Nor is there a backup before help, or before an option that is not known."""
    live = place.database.read_bytes()
    for name in sorted(recipes().keys() - {"backup"}):
        ends = {126, 127} if name == "run" else {2}
        odd = {4} if name == "find" else ends  # that text is nowhere
        for words, codes in {
            ("--help",): {0},
            ("--no-such",): {2},
            ("",): ends,
            ("$(touch canary)", ";"): odd,
        }.items():
            before = place.backups()
            done = place.runner.just(name, *words)
            assert done.code in codes, (name, words, done)
            assert (f"usage: undrop {name} " in done.out) == (words == ("--help",))
            assert place.database.read_bytes() == live, (name, words)
            may_start = not words[0].startswith("--") and name in guarded()
            guards = may_start or codes == {126, 127}
            assert len(place.backups() - before) <= guards, (name, words)
    assert not list(place.runner.root.rglob("canary"))


def test_a_reason_is_data(place: Place) -> None:
    for reason in (*ODD, "--help", "--no-such", "--"):
        path = Path(place.runner.ok("just", "backup", "--", reason).removesuffix("\n"))
        assert path.parent == place.runner.root / "backups"
        assert json.loads(path.with_suffix(".json").read_text())["reason"] == reason
    assert not list(place.runner.root.rglob("canary"))


def test_a_missing_undrop_is_said_with_how_to_install_it(place: Place) -> None:
    here = isinstance(place.runner, Project)
    how = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'"
    path = place.without_undrop()
    for name in recipes():
        done = place.runner.just(name, "x", PATH=path)
        line = how if here else "uv add --dev undrop, or pip install undrop"
        assert done == (2, "", f"undrop is not installed here. Run:  {line}\n"), name


def test_the_menu_says_what_each_of_ours_does(tmp_path: Path) -> None:
    place = adopted(tmp_path, "# Say hello\nhello:\n    @echo hello\n")
    _, theirs, gap, group, *ours = place.runner.ok("just", "--list").splitlines()
    assert (theirs.split(), gap, group.strip()) == (
        ["hello", "#", "Say", "hello"],
        "",
        "[undrop]",
    )
    assert {line.split()[0] for line in ours} == recipes().keys()
    assert all(" # " in line for line in ours)


@pytest.mark.parametrize(
    "setting",
    [
        "positional-arguments",
        "export",
        "quiet",
        "shell := ['bash', '-euo', 'pipefail', '-c']",
        "working-directory := 'migrations'",
    ],
)
def test_settings_of_their_justfile_change_nothing(tmp_path: Path, setting: str) -> None:
    place = adopted(tmp_path, f"set {setting}\nhello *words:\n    @echo '{{{{words}}}}'\n")
    rows = content(place.database)
    assert place.runner.ok("just", "hello", "you") == "you\n"
    assert place.runner.ok("just", "nuke-db", "--help").find("usage: undrop nuke-db") >= 0
    assert content(place.database) == rows
    place.runner.ok("just", "nuke-db")
    place.runner.ok("just", "undo")
    assert content(place.database) == rows


THEIRS = """
backup:
    @echo theirs

restore migrate="":
    @echo theirs

alias verify := backup

mod run 'run.just'
"""


def test_ours_have_other_names_where_theirs_clash(tmp_path: Path) -> None:
    """Also one that they have as an alias or as a module, and in what depends on it."""
    elsewhere = Elsewhere(tmp_path / "theirs")
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.write("justfile", THEIRS)
    elsewhere.write("run.just", "it:\n    @echo theirs\n")
    said = elsewhere.done("undrop", "init").err
    taken = {"backup", "restore", "verify", "run"}
    for name in recipes():
        assert (f"ours is undrop-{name}\n" in said) == (name in taken)
    text = (elsewhere.root / "undrop.just").read_text()
    assert "just undrop-run rm app.db" in text
    for words in (("backup",), ("restore",), ("verify",), ("run", "it")):
        assert elsewhere.ok("just", *words) == "theirs\n"
    rows = content(elsewhere.root / "app.db")
    elsewhere.ok("just", "undrop-run", "rm", "app.db")
    elsewhere.ok("just", "undrop-restore", "latest")
    assert content(elsewhere.root / "app.db") == rows
    elsewhere.ok("just", "undrop-verify")
    elsewhere.ok("undrop", "init")
    assert (elsewhere.root / "undrop.just").read_text() == text


@pytest.fixture(params=OLDER, ids=lambda path: path.stem)
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A project that an older ``init`` adopted."""
    place = adopted(tmp_path)
    begin, *_, end = (place.runner.root / "undrop.just").read_text().splitlines()
    text = f"{begin}\n{request.param.read_text().rstrip()}\n{end}\n"
    (place.runner.root / "undrop.just").write_text(text)
    return place


def test_recipes_that_an_older_init_wrote_work_on(older: Place) -> None:
    just = older.runner.just
    rows = content(older.database)
    saved = Path(older.runner.ok("just", "backup", "two words").strip())
    for line in ("nuke-db", f"restore {saved.name}", "run rm app.db", "undo", "undo", "undo"):
        assert just(*line.split()).code == 0, line
    assert content(older.database) == rows
    for line in ("rehearse", "migrate", "list", "verify", "status", "diff", "history"):
        assert just(line).code == 0, line
    assert content(older.database) == rows
    assert just("forget", saved.name).code == 0
    assert not saved.exists()


OLD_WAYS = {
    (): ("manual", ""),
    ("",): ("", ""),
    ("two words",): ("two words", ""),
    ("--help",): ("--help", ""),
    ("--accept-shrink",): ("manual", ""),
    ("lunch", "--accept-shrink"): ("lunch", ""),
    ("before lunch", "migrate"): ("before lunch", "migrate"),
}
"""What was typed behind ``just backup``, and the reason and the step that its record has."""


@pytest.mark.parametrize("typed", some(OLD_WAYS), ids=" ".join)
def test_the_backup_that_an_older_init_wrote_takes_what_it_took(
    older: Place, typed: tuple[str, ...]
) -> None:
    with closing(sqlite3.connect(older.database)) as connection, connection:
        connection.execute("INSERT INTO notes (text) VALUES ('three')")
    before = older.backups()
    older.runner.ok("just", "backup", *typed)
    [name] = older.backups() - before
    record = json.loads((older.runner.root / "backups" / name).with_suffix(".json").read_text())
    assert (record["reason"], record["before"]) == OLD_WAYS[typed]


def test_a_loss_that_was_meant_is_said_as_before_where_the_recipes_are_older(older: Place) -> None:
    older.runner.ok("just", "backup")
    with closing(sqlite3.connect(older.database)) as connection, connection:
        connection.execute("DELETE FROM notes")
    assert "WARNING" in older.runner.just("backup", "lunch").err
    assert "WARNING" not in older.runner.just("backup", "lunch", "--accept-shrink").err


def test_init_renews_them_and_keeps_what_was_added(older: Place) -> None:
    file = older.runner.root / "undrop.just"
    old = file.read_text()
    older.runner.ok("undrop", "init")
    new = file.read_text()
    assert older.runner.ok("just", "nuke-db", "--help").find("usage: undrop nuke-db") >= 0
    file.write_text(f"{old}\nhello:\n    @echo hello\n")
    older.runner.ok("undrop", "init")
    assert older.runner.ok("just", "hello") == "hello\n"
    assert older.runner.ok("just", "nuke-db", "--help").find("usage: undrop nuke-db") >= 0
    assert older.runner.ok("undrop", "init", "--dry-run").strip() == ""
    older.runner.ok("undrop", "init", "--remove")
    assert file.read_text().strip() == "hello:\n    @echo hello"
    file.unlink()
    older.runner.ok("undrop", "init")
    assert file.read_text() == new


def test_an_undrop_just_that_is_not_ours_stays(tmp_path: Path) -> None:
    elsewhere = Elsewhere(tmp_path / "theirs")
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.write("undrop.just", "status:\n    @echo theirs\n")
    elsewhere.ok("undrop", "init")
    assert elsewhere.ok("just", "status") == "theirs\n"


def test_the_agents_hook_here_is_what_init_writes(tmp_path: Path) -> None:
    root = adopted(tmp_path).runner.root
    name = ".claude/settings.json"
    assert (root / name).read_bytes() == (REPOSITORY / name).read_bytes()


@pytest.mark.more
def test_a_recipe_prints_one_object_alone_where_a_script_asks(stocked: Project) -> None:
    """The backup before it says what it did elsewhere."""
    for line in (
        *("status", "list", "verify", "audit", "diff", "history", "recover", "rehearse", "migrate"),
        *("backup before lunch", "log items 2", "find bolt", "sql live 'SELECT 1'", "undo --list"),
        *("reset-db", "undo", "nuke-db", "restore latest", "pack", "thin"),
    ):
        done = stocked.just(*shlex.split(line), "--json")
        assert json.loads(done.out), (line, done)
