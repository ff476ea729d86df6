"""``just diff`` and ``just history`` on either engine: what changed, and how it grew."""

import json
import re
import shlex
from html import unescape
from pathlib import Path

from shop import Project


def write(project: Project, *statements: str) -> None:
    for statement in statements:
        project.sql(statement)


def test_counts_rows_added_removed_and_changed_since_the_latest(filled: Project) -> None:
    filled.ok("undrop", "backup")
    assert "no difference" in filled.just("diff").err
    write(
        filled,
        "INSERT INTO locations (code) VALUES ('new')",
        "DELETE FROM stock_movements WHERE id < 4",
        "UPDATE suppliers SET name = name || '!'",
    )
    live = filled.exact()
    rows = [line.split() for line in filled.ok("just", "diff").splitlines()[1:]]
    assert rows == [
        ["locations", "12", "->", "13", "1"],
        ["stock_movements", "300", "->", "297", "3"],
        ["suppliers", "2", "->", "2", "2"],
    ]
    found = json.loads(filled.ok("undrop", "diff", "--json"))
    assert found["same"] is False
    counts = {table["name"]: table["gone"] for table in found["tables"]}
    assert counts["stock_movements"] == 3
    assert filled.exact() == live
    assert filled.litter() == []


def test_compares_two_backups_in_either_direction(filled: Project) -> None:
    first = filled.ok("undrop", "backup").strip().rpartition("/")[2]
    filled.ok("alembic", "downgrade", "-1")
    second = filled.ok("undrop", "backup").strip()
    said = filled.just("diff", first, second)
    assert said.code == 0
    assert "-reorder_level" in said.out
    assert "index ix_items_name gone" in said.err
    assert "+reorder_level" in filled.ok("undrop", "diff", second, first)
    assert filled.just("diff", first, first).code == 2
    assert filled.just("diff", "no-such").code == 2


def test_a_definition_that_changed_is_a_difference(filled: Project) -> None:
    filled.ok("undrop", "backup")
    write(filled, "DROP VIEW stock_on_hand", "CREATE VIEW stock_on_hand AS SELECT 1")
    assert "view stock_on_hand defined anew" in filled.just("diff").err


def test_without_a_database_there_is_nothing_to_compare(filled: Project) -> None:
    filled.ok("undrop", "backup")
    filled.lose()
    done = filled.just("diff")
    assert done.code == 2
    assert len(done.err.splitlines()) == 3


def counted(project: Project) -> list[int]:
    """Rows of a table over the backups, as ``history`` has them."""
    found = json.loads(project.ok("undrop", "history", "--json"))["backups"]
    return [backup["rows"]["stock_movements"] for backup in found]


def test_history_is_a_line_for_each_state_and_for_live(filled: Project) -> None:
    saved = filled.ok("undrop", "backup").strip()
    filled.ok("alembic", "downgrade", "-1")
    write(filled, "DELETE FROM stock_movements")
    filled.ok("undrop", "backup", "all of it sold")
    drawn = filled.ok("just", "history")
    _, now, sold, migrated, first = drawn.splitlines()  # on a terminal the newest is the last
    assert Path(saved).name in first
    assert "0006" in first
    assert "alembic" in migrated
    assert "0005" in migrated
    assert "-300 stock_movements" in sold
    assert "all-of-it-sold" in sold
    assert now.startswith("now")
    assert now.endswith("live")
    found = json.loads(filled.ok("undrop", "history", "--json"))
    assert found["backups"][0]["path"] == saved
    assert counted(filled) == [300, 300, 0]  # each state once
    assert found["live"]["rows"]["stock_movements"] == 0


def test_the_page_tells_each_state_and_the_line_that_goes_back(filled: Project) -> None:
    """Of PostgreSQL by the records alone; elsewhere with rows, unless nobody wants values in it."""
    filled.ok("undrop", "backup", "stock <taken>")
    write(filled, "DELETE FROM stock_movements WHERE id < 4")
    filled.ok("undrop", "backup", "three of them sold")
    page = filled.root / "page.html"
    assert filled.ok("just", "history", "--html", "page.html").strip() == str(page)
    assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text("ascii")
    assert "stock &lt;taken&gt;" in text
    assert "stock_movements &#8722;3" in text
    line = re.search(r"<code>just (restore \S+stock-taken\S*)</code>", text)
    back = re.search(r"<code>just (recover [^<]*)</code>", text)
    assert line
    assert back
    without = filled.ok("undrop", "history", "--html", "--no-values")
    rows = filled.kind == "sqlite"
    assert ("damaged box" in text or "M\xfcller" in text or "<td>NULL</td>" in text) == rows
    assert "<td>" not in without
    assert "taken" not in without
    filled.ok("just", *shlex.split(unescape(back[1])))
    assert filled.sql("SELECT count(*) FROM stock_movements") == [(300,)]
    filled.ok("just", *line[1].split())


def test_rows_are_counted_when_a_backup_is_taken_and_where_that_was_not_done(
    filled: Project,
) -> None:
    """An undrop before 0.3 did not count SQLite's; nothing is remembered of that later."""
    filled.ok("undrop", "backup")
    write(filled, "DELETE FROM stock_movements WHERE id < 4")
    filled.ok("undrop", "backup")
    records = [path.with_suffix(".json") for path in filled.saved()]
    rows = [json.loads(record.read_text())["rows"] for record in records]
    assert [each["stock_movements"] for each in rows] == [300, 297]
    assert rows[0]["suppliers"] == filled.sql("SELECT count(*) FROM suppliers")[0][0]
    older = {**json.loads(records[0].read_text()), "rows": {}}
    records[0].write_text(json.dumps(older))
    assert counted(filled) == [300, 297]
    assert json.loads(records[0].read_text()) == older
    told = {**json.loads(records[1].read_text()), "rows": {"stock_movements": 12345}}
    records[1].write_text(json.dumps(told))
    assert counted(filled) == [300, 12345]
    assert not (filled.backups / "rows.json").exists()
