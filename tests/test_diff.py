"""``just diff`` and ``just history``: what changed, and how it grew."""

import json
import sqlite3
from contextlib import closing

from shop import Project


def write(project: Project, *statements: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_counts_rows_added_removed_and_changed_since_the_latest(stocked: Project) -> None:
    stocked.ok("just", "backup")
    assert "no difference" in stocked.just("diff").err
    write(
        stocked,
        "INSERT INTO locations (code) VALUES ('new')",
        "DELETE FROM stock_movements WHERE id < 4",
        "UPDATE suppliers SET name = name || '!'",
    )
    live = stocked.database.read_bytes()
    rows = [line.split() for line in stocked.ok("just", "diff").splitlines()[1:]]
    assert rows == [
        ["locations", "12", "->", "13", "1"],
        ["stock_movements", "300", "->", "297", "3"],
        ["suppliers", "2", "->", "2", "2"],
    ]
    assert stocked.database.read_bytes() == live
    assert stocked.litter() == []
    found = json.loads(stocked.ok("just", "diff", "--json"))
    assert found["same"] is False
    counts = {each["name"]: each["gone"] for each in found["tables"]}
    assert counts["stock_movements"] == 3


def test_compares_two_backups_in_either_direction(stocked: Project) -> None:
    first = stocked.ok("just", "backup").strip().rpartition("/")[2]
    stocked.ok("just", "migrate", "-1", "--accept-loss")
    second = stocked.ok("just", "backup").strip()
    said = stocked.just("diff", first, second)
    assert "-reorder_level" in said.out
    assert "index ix_items_name gone" in said.err
    assert "+reorder_level" in stocked.ok("just", "diff", second, first)
    assert stocked.just("diff", first, first).code == 2
    assert stocked.just("diff", "no-such").code == 2


def test_a_definition_that_changed_is_a_difference(stocked: Project) -> None:
    stocked.ok("just", "backup")
    write(stocked, "DROP VIEW stock_on_hand", "CREATE VIEW stock_on_hand AS SELECT 1")
    assert "view stock_on_hand defined anew" in stocked.just("diff").err


def test_a_number_that_json_has_not_is_a_text(stocked: Project) -> None:
    stocked.ok("just", "backup")
    write(stocked, "INSERT INTO locations (code, description) VALUES (9e999, 9e999)")
    stocked.ok("just", "backup")
    found = stocked.ok("just", "diff", "latest", stocked.saved()[0].name, "--json")
    assert "Infinity" not in found
    assert json.loads(found)["same"] is False


def test_a_damaged_backup_is_not_compared(stocked: Project) -> None:
    saved = stocked.ok("just", "backup").strip()
    stocked.run("chmod", "u+w", saved)
    with open(saved, "r+b") as file:  # noqa: PTH123
        file.seek(5000)
        file.write(b"\xff" * 100)
    assert stocked.just("diff", saved).code == 4


def test_without_a_database_there_is_nothing_to_compare(stocked: Project) -> None:
    stocked.ok("just", "nuke-db")
    assert stocked.just("diff").code == 2


def test_history_draws_rows_and_marks_revisions(stocked: Project) -> None:
    assert stocked.just("history").code == 2
    stocked.ok("just", "backup")
    one = stocked.ok("just", "history")
    assert "revision 0006" in one
    stocked.ok("just", "migrate", "-1", "--accept-loss")
    write(stocked, "DELETE FROM stock_movements")
    stocked.ok("just", "backup")
    drawn = stocked.ok("just", "history")
    assert "o stock_movements" in drawn
    assert "revision 0005" in drawn
    found = json.loads(stocked.ok("just", "history", "--json"))["backups"]
    assert [each["rows"]["stock_movements"] for each in found] == [300, 300, 0]


def test_history_counts_a_backup_once_and_survives_a_bad_memory(stocked: Project) -> None:
    saved = stocked.ok("just", "backup").strip()
    stocked.ok("just", "history")
    kept = json.loads((stocked.backups / "rows.json").read_text())
    [counts] = kept.values()
    counts["stock_movements"] = 12345  # what is remembered is not counted again
    (stocked.backups / "rows.json").write_text(json.dumps(kept))
    again = json.loads(stocked.ok("just", "history", "--json"))["backups"]
    assert again[0]["rows"]["stock_movements"] == 12345
    (stocked.backups / "rows.json").write_text("[1]")
    found = json.loads(stocked.ok("just", "history", "--json"))["backups"]
    assert found[0]["rows"]["stock_movements"] == 300
    assert found[0]["path"] == saved
