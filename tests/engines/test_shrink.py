"""The shrink alarm on either engine: an emptied table never quietly becomes ``latest``."""

import json
from pathlib import Path

import pytest
from shop import Project


def marks(path: str) -> list[str]:
    entry = json.loads(Path(path.strip()).with_suffix(".json").read_text())
    return list(entry["shrunk"])


def backed_up(project: Project) -> list[str]:
    """The marks of a backup that is taken now."""
    return marks(project.ok("undrop", "backup"))


def test_emptied_and_dropped_tables_are_said_marked_and_passed_over(filled: Project) -> None:
    before = filled.content()
    assert backed_up(filled) == []
    filled.sql("DELETE FROM stock_movements")
    filled.sql("DROP TABLE supplier_contacts")
    done = filled.just("backup", "after the accident")
    assert done.code == 0
    assert "WARNING" in done.err
    assert marks(done.out) == ["stock_movements", "supplier_contacts"]
    assert "shrunk: stock_movements, supplier_contacts" in filled.ok("just", "list")
    filled.ok("just", "restore", "latest")
    assert filled.content() == before


def test_a_mark_stays_until_the_rows_are_back(filled: Project) -> None:
    backed_up(filled)
    filled.sql("DELETE FROM stock_movements")
    for _ in range(2):
        assert backed_up(filled) == ["stock_movements"]
    filled.ok("just", "sample", "20")
    assert backed_up(filled) == []


@pytest.mark.full("postgresql")
def test_a_safety_backup_does_not_launder_it(filled: Project) -> None:
    backed_up(filled)
    filled.sql("DELETE FROM stock_movements")
    bad = Path(filled.ok("undrop", "backup", "bad").strip())
    filled.ok("undrop", "restore", "latest")
    filled.ok("undrop", "restore", bad.name)  # on purpose: the mark comes back with it
    assert backed_up(filled) == ["stock_movements"]
    filled.ok("undrop", "restore", "latest")
    assert backed_up(filled) == []


@pytest.mark.parametrize(
    "command",
    [
        ("just", "backup", "sold out", "--accept-shrink"),
        ("undrop", "backup", "--accept-shrink"),
    ],
)
def test_somebody_can_say_that_it_was_meant(filled: Project, command: tuple[str, ...]) -> None:
    backed_up(filled)
    filled.sql("DELETE FROM stock_movements")
    accepted = filled.ok(*command)
    assert marks(accepted) == []
    assert ("sold-out" in accepted) == ("sold out" in command)
    assert backed_up(filled) == []


@pytest.mark.full("postgresql")
def test_what_our_own_steps_took_away_sets_no_mark(filled: Project) -> None:
    filled.revise("op.execute('DELETE FROM stock_movements')")
    filled.ok("undrop", "migrate", "--accept-loss")
    assert backed_up(filled) == []
    filled.ok("undrop", "reset-db")
    assert backed_up(filled) == []
    filled.ok("undrop", "nuke-db")
    filled.ok("alembic", "upgrade", "head")
    assert backed_up(filled) == []


def test_a_migration_does_not_hide_what_was_lost_before(filled: Project) -> None:
    backed_up(filled)
    filled.sql("DELETE FROM stock_movements")
    filled.revise("op.add_column('items', sa.Column('colour', sa.Text))")
    filled.ok("undrop", "migrate")
    assert backed_up(filled) == ["stock_movements"]


@pytest.mark.full("postgresql")
def test_an_unfinished_line_in_the_log_of_steps_is_passed_over(filled: Project) -> None:
    filled.ok("undrop", "reset-db")
    with (filled.backups / "steps.jsonl").open("a") as log:
        log.write('{"at": "2026-01-01T00:00:0')
    assert backed_up(filled) == []


def test_a_table_that_never_had_rows_is_no_alarm(each: Project) -> None:
    each.make(rows=0)
    assert backed_up(each) == []
    assert backed_up(each) == []
