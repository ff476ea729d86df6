"""The shrink alarm: an emptied table never quietly becomes ``latest``."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop import Project, content


def empty(project: Project, *tables: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection, connection:
        for table in tables:
            connection.execute(f"DELETE FROM {table}")


def marks(path: str) -> list[str]:
    entry = json.loads(Path(path.strip()).with_suffix(".json").read_text())
    return list(entry["shrunk"])


def test_emptied_and_dropped_tables_are_said_marked_and_passed_over(stocked: Project) -> None:
    before = content(stocked.database)
    assert marks(stocked.ok("just", "backup", "good")) == []
    empty(stocked, "stock_movements")
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute("DROP TABLE supplier_contacts")
    done = stocked.just("backup", "after the accident")
    assert done.code == 0
    assert "WARNING" in done.err
    assert marks(done.out) == ["stock_movements", "supplier_contacts"]
    assert "shrunk: stock_movements, supplier_contacts" in stocked.ok("just", "list")
    stocked.ok("just", "restore", "latest")
    assert content(stocked.database) == before


def test_a_mark_stays_until_the_rows_are_back(stocked: Project) -> None:
    stocked.ok("just", "backup")
    empty(stocked, "stock_movements")
    for _ in range(3):
        assert marks(stocked.ok("just", "backup")) == ["stock_movements"]
    stocked.ok("just", "sample", "20")
    assert marks(stocked.ok("just", "backup")) == []


def test_a_safety_backup_does_not_launder_it(stocked: Project) -> None:
    stocked.ok("just", "backup", "good")
    empty(stocked, "stock_movements")
    bad = Path(stocked.ok("just", "backup", "bad").strip())
    stocked.ok("just", "restore", "latest")
    stocked.ok("just", "restore", bad.name)  # on purpose: the mark comes back with it
    assert marks(stocked.ok("just", "backup")) == ["stock_movements"]
    stocked.ok("just", "restore", "latest")
    assert marks(stocked.ok("just", "backup")) == []


@pytest.mark.parametrize(
    "command",
    [
        ("just", "backup", "--accept-shrink"),
        ("just", "backup", "sold out", "--accept-shrink"),
        ("undrop", "backup", "--accept-shrink", "sold out"),
    ],
)
def test_somebody_can_say_that_it_was_meant(stocked: Project, command: tuple[str, ...]) -> None:
    stocked.ok("just", "backup")
    empty(stocked, "stock_movements")
    accepted = stocked.ok(*command)
    assert marks(accepted) == []
    assert ("sold-out" in accepted) == ("sold out" in command)
    assert marks(stocked.ok("just", "backup")) == []


@pytest.mark.parametrize("recipe", ["reset-db", "nuke-db"])
def test_what_our_own_steps_took_away_sets_no_mark(stocked: Project, recipe: str) -> None:
    stocked.ok("just", "backup")
    stocked.ok("just", recipe)
    if recipe == "nuke-db":
        stocked.ok("alembic", "upgrade", "head")
    assert marks(stocked.ok("just", "backup")) == []
    assert "WARNING" not in stocked.just("restore", "latest").err


def test_what_an_accepted_migration_took_away_sets_no_mark(stocked: Project) -> None:
    stocked.revise(
        "op.execute('DELETE FROM stock_movements')", "op.drop_table('supplier_contacts')"
    )
    stocked.ok("just", "migrate", "--accept-loss")
    assert marks(stocked.ok("just", "backup")) == []


def test_a_migration_does_not_hide_what_was_lost_before(stocked: Project) -> None:
    stocked.ok("just", "backup")
    empty(stocked, "stock_movements")
    stocked.revise("op.add_column('items', sa.Column('colour', sa.Text))")
    stocked.ok("just", "migrate")
    assert marks(stocked.ok("just", "backup")) == ["stock_movements"]


def test_an_unfinished_line_in_the_log_of_steps_is_passed_over(stocked: Project) -> None:
    stocked.ok("just", "reset-db")
    with (stocked.backups / "steps.jsonl").open("a") as log:
        log.write('{"at": "2026-01-01T00:00:0')
    assert marks(stocked.ok("just", "backup")) == []


def test_a_database_that_never_had_rows_is_no_alarm(project: Project) -> None:
    project.database.touch()
    assert marks(project.ok("just", "backup")) == []
    assert marks(project.ok("just", "backup")) == []
