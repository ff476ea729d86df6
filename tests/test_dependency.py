"""What just tells a backup of the step that comes; what is typed wrong changes nothing at all."""

import json
from pathlib import Path

import pytest
from shop import Project, content, make

from undrop.cli.commands import COMMANDS

TYPOS = """
backup --accept-shrnk
backup lunch --acept-shrink
backup --a
backup --reason lunch
backup -r lunch
backup --before=lunch
restore nowhere
restore lates
restore --latest
restore latest --forse
restore latest --disconnect
restore latest latest
restore backups/nowhere.db
restore backups
restore justfile
restore quartermaster.db
restore --from-litestrem
restore latest --timestamp 2026-03-07T14:15:00Z
restore --from-litestream --timestamp yesterday
migrate --accept-los
migrate head --acept-loss
migrate head head
migrate --disconnect
migrate --a
rehearse --acept-loss
undo --lst
undo 2
undo -n
undo --disconnect
reset-db --yes
reset-db now
reset-db --disconnect
nuke-db --force
nuke-db please
nuke-db -y
nuke-db --disconnect
list --al
verify nowhere
verify --al
status --jso
audit --fast
diff nowhere
diff live live
diff --jsn
history --csv
log itms
log items 1 2
log --csv items
find
find --cvs x
forget nowhere
forget --force
run
stats
""".strip().splitlines()
"""What somebody's fingers typed behind ``just`` or ``undrop``."""


@pytest.fixture(params=["never backed up", pytest.param("with backups", marks=pytest.mark.more)])
def shop(request: pytest.FixtureRequest, stocked: Project) -> Project:
    """A project whose present state no backup holds."""
    if request.param == "with backups":
        stocked.ok("undrop", "backup")
        stocked.sql("DELETE FROM stock_movements WHERE id = 7")
    return stocked


@pytest.mark.parametrize("program", [pytest.param("just", marks=pytest.mark.more), "undrop"])
def test_what_is_typed_wrong_leaves_everything_as_it_was(shop: Project, program: str) -> None:
    assert len(TYPOS) >= 30
    before = shop.tree()
    for line in TYPOS:
        done = shop.run(program, *line.split())
        assert done.code in {1, 2, 4}, (line, done)
        assert "about to" not in done.err, line
        assert "backed up" not in done.err, line
        assert shop.tree() == before, line


@pytest.mark.parametrize("program", [pytest.param("just", marks=pytest.mark.more), "undrop"])
def test_help_of_every_command_leaves_everything_as_it_was(shop: Project, program: str) -> None:
    before = shop.tree()
    recipes = COMMANDS.keys() - {"init", "agent-hook", "after-backup", "completion"}
    for name in recipes if program == "just" else COMMANDS:
        for option in ("--help", "-h"):
            done = shop.run(program, name, option)
            assert (done.code, done.err) == (0, ""), (name, done)
            assert f"usage: undrop {name} " in done.out
            assert shop.tree() == before, name


# What the step that comes is told to its backup by.


def backups(project: Project) -> set[str]:
    """The names of the backups."""
    return {path.name for path in project.saved()}


@pytest.fixture
def uncovered(stocked: Project) -> Project:
    """A project with a backup of an older state, and one whose name needs a second look."""
    stocked.ok("undrop", "backup", "older")
    [older] = stocked.saved()
    odd = stocked.root / "it's --help  $(touch canary).db"
    odd.write_bytes(older.read_bytes())
    stocked.sql("DELETE FROM stock_movements WHERE id = 7")
    return stocked


STARTS = {
    "no arguments": ("migrate",),
    "an empty one": ("migrate", ""),
    "dashes": ("migrate", "--", "-1"),
    "an option, and dashes": ("migrate", "--accept-loss", "--", "-1"),
    "a path with blanks, quotes, dashes": ("restore", "ODD"),
    "the same, with an option": ("restore", "--json", "ODD"),
    "the same below": ("restore", "./ODD"),
    "more words than are told apart": ("restore", *["a", "b", "c", "d", "e", "f", "g", "h"]),
    "undo": ("undo",),
    "reset-db": ("reset-db",),
    "nuke-db": ("nuke-db", "--json"),
}
NO_START = {
    "help": ("nuke-db", "--help"),
    "help, last": ("restore", "latest", "--help"),
    "an option that is none": ("migrate", "head", "--accept-los"),
    "a word too many": ("undo", "now"),
    "an empty FILE": ("restore", ""),
    "blanks for FILE": ("restore", "  "),
    "two FILEs": ("restore", "latest", "latest"),
    "a list": ("undo", "--list"),
    "a list in JSON": ("undo", "--json", "--list"),
    "no FILE, quoted": ("restore", "it's no 'file'"),
    "nothing to be restored": ("restore", "alembic.ini"),
    "a rehearsal": ("restore", "latest", "--dry-run"),
    "a FILE with too long a name": ("restore", "x" * 300),
}


def typed(project: Project, words: tuple[str, ...]) -> list[str]:
    [odd] = project.root.glob("it's*")
    return [word.replace("ODD", odd.name) for word in words]


@pytest.mark.parametrize("kind", STARTS)
def test_what_may_start_has_a_backup_before_it(uncovered: Project, kind: str) -> None:
    before, live = backups(uncovered), uncovered.content()
    done = uncovered.just(*typed(uncovered, STARTS[kind]))
    new = [path for path in uncovered.saved() if path.name not in before]
    assert live in [uncovered.holds(path) for path in new], done
    reasons = [json.loads(path.with_suffix(".json").read_text())["reason"] for path in new]
    assert f"before {STARTS[kind][0]}" in reasons
    assert f"backed up to {new[0]}" in done.err
    assert not list(uncovered.root.rglob("canary"))


@pytest.mark.parametrize("kind", NO_START)
def test_what_plainly_does_not_start_has_none(uncovered: Project, kind: str) -> None:
    uncovered.ok("undrop", "list")
    before, live = backups(uncovered), uncovered.exact()
    done = uncovered.just(*typed(uncovered, NO_START[kind]))
    assert backups(uncovered) == before, done
    assert uncovered.exact() == live
    assert "backed up" not in done.err
    assert not list(uncovered.root.rglob("canary"))


def test_a_file_with_blanks_in_its_name_is_restored_behind_a_backup(uncovered: Project) -> None:
    [odd] = uncovered.root.glob("it's*")
    wanted = content(odd)
    assert uncovered.content() != wanted
    uncovered.ok("just", "restore", odd.name)
    assert uncovered.content() == wanted


def test_what_a_restore_says_is_not_said_by_its_backup_as_well(uncovered: Project) -> None:
    uncovered.ok("just", "backup", "newer")
    done = uncovered.done("just", "restore", "latest")
    assert done.err.count("latest passes over") == 1
    assert uncovered.done("just", "restore", "latest").err.count("already in place") == 1


def test_where_no_just_takes_the_backup_the_step_itself_does(uncovered: Project) -> None:
    """What it is told by is a hint only."""
    live = uncovered.content()
    uncovered.ok("just", "--no-deps", "nuke-db")
    assert live in [uncovered.holds(path) for path in uncovered.saved()]


def test_a_state_that_is_held_gets_no_second_name_from_a_dependency(stocked: Project) -> None:
    stocked.ok("just", "backup", "held")
    names = backups(stocked)
    done = stocked.done("just", "migrate")
    assert "backed up" not in done.err
    stocked.ok("just", "nuke-db")
    stocked.ok("just", "undo")
    assert backups(stocked) == names
    stocked.ok("just", "backup", "held")
    stocked.ok("alembic", "upgrade", "head")
    assert len(backups(stocked)) == len(names) + 2
    assert len({path.stat().st_ino for path in stocked.saved()}) == 1


# The reason of a backup.


def test_a_reason_is_all_the_words_that_are_no_options(project: Project) -> None:
    make(project.database)
    for words, reason in {
        ("before", "lunch"): "before lunch",
        ("a  b", "c"): "a  b c",
        ("--", "--odd"): "--odd",
        ("--accept-shrink", "lunch"): "lunch",
        (): "manual",
    }.items():
        path = Path(project.ok("just", "backup", *words).strip())
        assert json.loads(path.with_suffix(".json").read_text())["reason"] == reason


def test_json_is_an_option_of_backup_and_an_unknown_one_names_the_nearest(project: Project) -> None:
    make(project.database)
    answer = json.loads(project.ok("just", "backup", "--json"))
    assert Path(answer["backup"]).is_file()
    names = backups(project)
    done = project.just("backup", "--accept-shrnk")
    assert (done.code, done.out) == (2, "")
    assert "the nearest is --accept-shrink" in done.err
    assert done.err.endswith("Next: just backup --accept-shrink\n")
    done = project.undrop("backup", "--json", "lunch", "--acept-shrink")
    assert json.loads(done.out)["next_actions"] == [
        {"name": "backup", "arguments": ["--json", "lunch", "--accept-shrink"]}
    ]
    done = project.undrop("nuke")
    assert "the nearest is nuke-db" in done.err
    assert done.err.endswith("Next: just nuke-db --help\n")
    assert backups(project) == names
