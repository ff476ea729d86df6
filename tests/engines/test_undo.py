"""``just undo`` on either engine: the state before the last step that changed something."""

import json

import pytest
from shop import Project

COLOUR = "op.add_column('items', sa.Column('colour', sa.Text))"


def lose(project: Project) -> None:
    """Rows that no backup has any more."""
    project.sql("DELETE FROM stock_movements WHERE id % 3 = 0")


def chain(project: Project) -> list[list[str]]:
    """Kinds and ends of the steps, newest first."""
    steps = json.loads(project.ok("undrop", "undo", "--list", "--json"))["steps"]
    return [[step["kind"], step["phase"]] for step in steps]


def undone(project: Project) -> str:
    """The kind of step that undo took back."""
    return str(json.loads(project.ok("undrop", "undo", "--json"))["undone"])


@pytest.mark.full("postgresql", ("undrop", "restore", "latest"))
@pytest.mark.parametrize(
    "command",
    [
        ("undrop", "migrate", "--accept-loss", "--", "-1"),
        ("undrop", "restore", "latest"),
        ("undrop", "reset-db"),
        ("undrop", "nuke-db"),
        ("alembic", "downgrade", "-1"),
    ],
    ids=lambda command: command[1],
)
def test_undo_restores_the_exact_content_and_undo_again_redoes(
    filled: Project, command: tuple[str, ...]
) -> None:
    if "restore" in command:
        filled.ok("undrop", "backup")
    lose(filled)
    before = filled.content()
    filled.ok(*command)
    after = filled.content()
    assert after != before
    assert filled.just("undo").code == 0
    assert filled.content() == before
    filled.ok("undrop", "undo")
    assert filled.content() == after
    assert filled.litter() == []


@pytest.mark.parametrize("command", [("undrop", "migrate"), ("alembic", "upgrade", "head")])
def test_no_database_is_a_state_too(each: Project, command: tuple[str, ...]) -> None:
    each.room()
    each.ok(*command)
    made = each.content()
    done = each.just("undo")
    assert done.code == 0
    assert not each.exists()
    assert "there was none before" in done.err
    each.ok("undrop", "undo")
    assert each.content() == made


def test_stops_at_others_work_and_says_where_it_is_kept_when_it_goes_too(filled: Project) -> None:
    filled.revise(COLOUR)
    filled.ok("undrop", "migrate")
    filled.sql("INSERT INTO locations (code) VALUES ('new')")
    filled.sql("UPDATE suppliers SET name = name || '!' WHERE id = 1")
    left = filled.content()
    done = filled.refused(4, "just", "undo")
    assert "locations: 1 added" in done.err
    assert filled.content() == left
    done = filled.just("undo", "--whole")
    assert "locations: 1 added" in done.err
    assert "suppliers: 1 changed" in done.err
    kept = next(path for path in filled.saved() if f"kept in {path.name}" in done.err)
    assert filled.holds(kept) == left


@pytest.mark.full("postgresql")
def test_steps_that_changed_nothing_are_passed_over(filled: Project) -> None:
    before = filled.content()
    filled.ok("undrop", "reset-db")
    empty = filled.content()
    assert empty != before
    filled.ok("undrop", "reset-db")
    filled.ok("alembic", "upgrade", "head")
    filled.ok("undrop", "migrate")
    name = filled.saved()[-1].name
    assert "what it was before" in filled.undrop("restore", name).err
    filled.revise("raise RuntimeError('no')")
    assert filled.undrop("migrate").code == 1
    assert filled.alembic("upgrade", "head").code == 1
    done = filled.just("undo")
    assert done.code == 0
    assert filled.content() == before
    for kind in ("reset-db", "alembic", "restore", "migrate"):
        assert f"passed over: {kind}" in done.err or kind == "migrate"


@pytest.mark.full("postgresql")
def test_rows_written_after_a_start_of_the_application_are_not_alembics_doing(
    filled: Project,
) -> None:
    before = filled.content()
    filled.ok("undrop", "nuke-db")
    filled.ok("undrop", "undo")
    filled.ok("alembic", "upgrade", "head")  # nothing to do, as at every start
    lose(filled)
    stopped = json.loads(filled.refused(4, "undrop", "undo", "--json").out)
    filled.ok("undrop", "restore", stopped["since"])
    assert filled.content() == before


def test_nothing_to_undo_is_said(filled: Project) -> None:
    done = filled.refused(4, "just", "undo")
    assert "nothing to undo" in done.err
    assert "no step has changed" in filled.undrop("undo", "--list").err


def test_another_databases_steps_are_not_undone(filled: Project) -> None:
    filled.ok("undrop", "reset-db")
    after, other = filled.content(), filled.beside()
    assert other.just("undo").code == 4
    assert not other.exists()
    assert filled.content() == after


def test_a_state_whose_backup_is_gone_is_not_put_back(filled: Project) -> None:
    filled.ok("undrop", "reset-db")
    first = filled.saved()[0]
    filled.ok("just", "forget", first.name)
    done = filled.refused(4, "undrop", "undo")
    assert first.name in done.err


@pytest.mark.full("postgresql")
def test_the_chain_is_listed_and_says_where_undo_goes(filled: Project) -> None:
    filled.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    for _ in range(2):
        filled.ok("alembic", "upgrade", "head")
    assert chain(filled) == [["alembic", "same"], ["alembic", "done"], ["migrate", "done"]]
    lines = filled.ok("undrop", "undo", "--list").splitlines()
    marked = [line.endswith("goes back there") for line in lines]
    assert marked == [False, False, False, True, False]
    assert "goes back before alembic" in filled.undrop("status").out


@pytest.mark.full("postgresql")
def test_a_log_of_nonsense_is_passed_over(filled: Project) -> None:
    before = filled.content()
    filled.ok("undrop", "reset-db")
    with (filled.backups / "steps.jsonl").open("a") as log:
        log.write('[]\n{"at": 1}\n"x"\n' + "[" * 5000 + '\n{"at": "20')
    filled.ok("undrop", "undo")
    assert filled.content() == before
    assert chain(filled)[0] == ["undo", "done"]


@pytest.mark.full("postgresql")
def test_statistics_are_not_alembics_doing(filled: Project) -> None:
    filled.revise(COLOUR)
    filled.ok("undrop", "migrate")
    filled.ok("alembic", "upgrade", "head")
    filled.sql("ANALYZE")
    assert undone(filled) == "migrate"


def test_a_database_that_alembic_did_not_make_is_not_removed(each: Project) -> None:
    each.ok("alembic", "upgrade", "head", "--sql")
    each.make()
    each.refused(4, "undrop", "undo")


def test_a_reset_that_changed_only_definitions_is_undone(filled: Project) -> None:
    filled.ok("undrop", "reset-db")
    second = filled.root / "alembic/versions/0002_movements.py"
    assert "<> 0" in second.read_text()
    second.write_text(second.read_text().replace("<> 0", "> 0"))
    before = filled.content()
    filled.ok("undrop", "reset-db")
    assert filled.content() != before
    filled.ok("undrop", "undo")
    assert filled.content() == before


@pytest.mark.full("postgresql")
def test_a_state_put_back_by_hand_is_not_put_back_again(filled: Project) -> None:
    before = filled.content()
    filled.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    filled.ok("undrop", "nuke-db")
    made = filled.saved()[-1]
    filled.ok("undrop", "restore", made.name)
    filled.lose()
    kept = json.loads(filled.ok("undrop", "undo", "--list", "--json"))
    assert kept["undo"] is None
    for _ in range(2):
        filled.ok("undrop", "undo")
        assert filled.content() == filled.holds(made) or not filled.exists()
    assert filled.holds(filled.saved()[0]) == before


@pytest.mark.full("postgresql")
def test_two_projects_that_share_a_folder_undo_their_own_steps(
    each: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = each.another(tmp_path_factory.mktemp("other") / "shop")
    shared = tmp_path_factory.mktemp("shared")
    for project in (each, other):
        file = project.root / "pyproject.toml"
        text = file.read_text().replace('backups = "backups"', f'backups = "{shared}"')
        file.write_text(text)
        project.ok("undrop", "migrate")
    each.ok("undrop", "nuke-db")
    assert undone(other) == "migrate"
    assert not other.exists()
    assert undone(each) == "nuke-db"
    assert each.exists()


def test_a_revision_that_the_code_does_not_have_is_no_obstacle(filled: Project) -> None:
    before = filled.content()
    filled.revise(COLOUR)
    filled.ok("undrop", "migrate")
    (filled.root / "alembic/versions/9001_test.py").unlink()
    assert "revision   9001" in filled.undrop("status").out
    assert chain(filled) == [["migrate", "done"]]
    filled.ok("undrop", "undo")
    assert filled.content() == before
