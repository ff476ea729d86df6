"""``just undo``: the state before the last step that changed something, and back again."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from shop import Project, content


def lose(project: Project) -> None:
    """Rows that no backup has."""
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("DELETE FROM stock_movements WHERE id % 3 = 0")


def chain(project: Project) -> list[list[str]]:
    """Kinds and ends of the steps, newest first."""
    steps = json.loads(project.ok("undrop", "undo", "--list", "--json"))["steps"]
    return [[step["kind"], step["phase"]] for step in steps]


@pytest.mark.parametrize("wal", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        ("just", "migrate", "-1", "--accept-loss"),
        ("just", "restore", "latest"),
        ("just", "reset-db"),
        ("just", "nuke-db"),
        ("alembic", "downgrade", "-1"),
    ],
    ids=lambda command: command[1],
)
def test_undo_restores_the_exact_content_and_undo_again_redoes(
    stocked: Project, command: tuple[str, ...], *, wal: bool
) -> None:
    if wal:
        with closing(sqlite3.connect(stocked.database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    stocked.ok("just", "backup")
    lose(stocked)
    before = content(stocked.database)
    stocked.ok(*command)
    after = content(stocked.database) if stocked.database.exists() else None
    assert after != before
    assert stocked.just("undo").code == 0
    assert content(stocked.database) == before
    if wal:
        with closing(sqlite3.connect(stocked.database)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    stocked.ok("just", "undo")
    assert (content(stocked.database) if stocked.database.exists() else None) == after
    stocked.ok("just", "undo")
    assert content(stocked.database) == before


@pytest.mark.parametrize("command", [("just", "migrate"), ("alembic", "upgrade", "head")])
def test_no_database_is_a_state_too(project: Project, command: tuple[str, ...]) -> None:
    project.ok(*command)
    made = content(project.database)
    done = project.just("undo")
    assert done.code == 0
    assert not project.database.exists()
    assert "there was none before" in done.err
    project.ok("just", "undo")
    assert content(project.database) == made


def test_says_what_came_since_and_where_it_is_kept(stocked: Project) -> None:
    stocked.revise("op.add_column('items', sa.Column('colour', sa.Text))")
    stocked.ok("just", "migrate")
    with closing(sqlite3.connect(stocked.database)) as connection, connection:
        connection.execute("INSERT INTO locations (code) VALUES ('new')")
        connection.execute("UPDATE suppliers SET name = name || '!' WHERE id = 1")
    done = stocked.just("undo")
    assert "locations: 1 rows added since" in done.err
    assert "suppliers: 1 changed since" in done.err
    assert "items: colour added since" in done.err
    kept = next(path for path in stocked.saved() if f"kept in {path.name}" in done.err)
    assert "'new'" in "".join(content(kept))


def test_steps_that_changed_nothing_are_passed_over(stocked: Project) -> None:
    stocked.ok("just", "backup")
    before = content(stocked.database)
    stocked.ok("just", "reset-db")
    empty = content(stocked.database)
    assert empty != before
    stocked.ok("just", "reset-db")
    stocked.ok("alembic", "upgrade", "head")
    stocked.ok("just", "migrate")
    name = stocked.saved()[-1].name
    assert "what it was before" in stocked.just("restore", name).err
    stocked.revise("raise RuntimeError('no')")
    assert stocked.just("migrate").code == 1
    assert stocked.alembic("upgrade", "head").code == 1
    stocked.ok("just", "undo")
    assert content(stocked.database) == before


def test_rows_written_after_a_start_of_the_application_are_not_alembics_doing(
    stocked: Project,
) -> None:
    before = content(stocked.database)
    stocked.ok("just", "nuke-db")
    stocked.ok("just", "undo")
    stocked.ok("alembic", "upgrade", "head")  # nothing to do, as at every start
    lose(stocked)
    done = json.loads(stocked.ok("undrop", "undo", "--json"))
    assert done["undone"] == "undo"
    assert not stocked.database.exists()
    stocked.ok("just", "undo")
    assert content(stocked.database) != before


def test_nothing_to_undo_is_said(stocked: Project) -> None:
    live = stocked.database.read_bytes()
    done = stocked.just("undo")
    assert done.code == 4
    assert "nothing to undo" in done.err
    assert stocked.database.read_bytes() == live


def test_another_databases_steps_are_not_undone(stocked: Project) -> None:
    stocked.ok("just", "reset-db")
    done = stocked.just("undo", QUARTERMASTER_DB_URL="sqlite:///other.db")
    assert done.code == 4
    assert not (stocked.root / "other.db").exists()


def test_a_damaged_state_is_not_put_back(stocked: Project) -> None:
    stocked.ok("just", "backup")
    stocked.database.write_text("no database")
    stocked.ok("just", "restore", "latest")
    live = stocked.database.read_bytes()
    done = stocked.just("undo")
    assert done.code == 4
    assert ".damaged" in done.err
    assert stocked.database.read_bytes() == live


def test_a_state_whose_backup_is_gone_is_not_put_back(stocked: Project) -> None:
    stocked.ok("just", "reset-db")
    [first, *_] = stocked.saved()
    stocked.ok("just", "forget", first.name)
    live = content(stocked.database)
    done = stocked.just("undo")
    assert done.code == 4
    assert first.name in done.err
    assert content(stocked.database) == live


def test_undo_works_on_a_damaged_database(stocked: Project) -> None:
    before = content(stocked.database)
    stocked.ok("just", "migrate", "-1", "--accept-loss")
    stocked.database.write_text("no database")
    stocked.ok("just", "undo")
    assert content(stocked.database) == before


def test_undo_after_the_whole_tree_of_backups_was_wiped(stocked: Project) -> None:
    before = content(stocked.database)
    stocked.ok("just", "nuke-db")
    log = (stocked.backups / "steps.jsonl").read_text()
    shutil.rmtree(stocked.backups)
    stocked.backups.mkdir()
    (stocked.backups / "steps.jsonl").write_text(log)
    stocked.ok("just", "undo")
    assert content(stocked.database) == before


def test_the_chain_is_listed_and_says_where_undo_goes(stocked: Project) -> None:
    assert "no step has changed" in stocked.just("undo", "--list").err
    stocked.ok("just", "migrate", "-1", "--accept-loss")
    stocked.ok("alembic", "upgrade", "head")
    stocked.ok("alembic", "upgrade", "head")
    assert chain(stocked) == [["alembic", "open"], ["alembic", "open"], ["migrate", "done"]]
    lines = stocked.ok("just", "undo", "--list").splitlines()
    assert [line.endswith("goes back there") for line in lines] == [False, False, True, False]
    assert "goes back before alembic" in stocked.just("status").out


def test_a_log_of_nonsense_is_passed_over(stocked: Project) -> None:
    before = content(stocked.database)
    stocked.ok("just", "reset-db")
    with (stocked.backups / "steps.jsonl").open("a") as log:
        log.write('[]\n{"at": 1}\n"x"\n' + "[" * 5000 + '\n{"at": "20')
    stocked.ok("just", "undo")
    assert content(stocked.database) == before
    assert chain(stocked)[0] == ["undo", "done"]


def write(project: Project, script: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.executescript(script)


def undone(project: Project) -> str:
    return str(json.loads(project.ok("undrop", "undo", "--json"))["undone"])


def test_statistics_are_not_alembics_doing(stocked: Project) -> None:
    stocked.revise("op.add_column('items', sa.Column('colour', sa.Text))")
    stocked.ok("just", "migrate")
    stocked.ok("alembic", "upgrade", "head")
    write(stocked, "ANALYZE")
    assert undone(stocked) == "migrate"


def test_a_database_that_alembic_did_not_make_is_not_removed(project: Project) -> None:
    project.ok("alembic", "upgrade", "head", "--sql")
    write(project, "CREATE TABLE mine (id INTEGER PRIMARY KEY)")
    assert project.just("undo").code == 4
    assert project.database.exists()


def test_a_reset_that_changed_only_definitions_is_undone(stocked: Project) -> None:
    stocked.ok("just", "reset-db")
    first = stocked.root / "alembic/versions/0002_movements.py"
    assert "<> 0" in first.read_text()
    first.write_text(first.read_text().replace("<> 0", "> 0"))
    before = content(stocked.database)
    stocked.ok("just", "reset-db")
    assert content(stocked.database) != before
    stocked.ok("just", "undo")
    assert content(stocked.database) == before


def test_what_cannot_be_compared_can_be_undone(project: Project) -> None:
    script = "PRAGMA encoding = 'UTF-16le'; CREATE TABLE q (t TEXT); INSERT INTO q VALUES ('hello')"
    write(project, script)
    before = content(project.database)
    project.ok("just", "reset-db")
    project.ok("just", "undo")
    assert content(project.database) == before


def test_a_state_put_back_by_hand_is_not_put_back_again(stocked: Project) -> None:
    before = content(stocked.database)
    stocked.ok("just", "migrate", "-1", "--accept-loss")
    stocked.ok("just", "nuke-db")
    stocked.ok("just", "restore", stocked.saved()[-1].name)
    stocked.database.unlink()
    kept = json.loads(stocked.ok("undrop", "undo", "--list", "--json"))
    assert kept["undo"]["kind"] == "nuke-db"
    stocked.ok("just", "undo")
    stocked.ok("just", "undo")
    assert not stocked.database.exists()
    assert content(stocked.saved()[0]) == before


def test_two_projects_that_share_a_folder_undo_their_own_steps(
    stocked: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Project(tmp_path_factory.mktemp("other"))
    shared = tmp_path_factory.mktemp("shared")
    for each in (stocked, other):
        file = each.root / "pyproject.toml"
        text = file.read_text().replace('backups = "backups"', f'backups = "{shared}"')
        file.write_text(text)
        each.ok("just", "migrate")
    stocked.ok("just", "reset-db")
    assert undone(other) == "migrate"
    assert not other.database.exists()
    assert undone(stocked) == "reset-db"


def test_a_revision_that_the_code_does_not_have_is_no_obstacle(stocked: Project) -> None:
    stocked.revise("op.add_column('items', sa.Column('colour', sa.Text))")
    stocked.ok("just", "migrate")
    (stocked.root / "alembic/versions/9001_test.py").unlink()
    assert "revision   9001" in stocked.just("status").out
    assert chain(stocked) == [["migrate", "done"]]
    stocked.ok("just", "undo")
