"""``undrop diff A B --rows``: the rows themselves, paired as the comparison pairs them."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import inside
import pytest
from shop import Project, wal_of
from test_looks import on_a_terminal

TABLES = (
    "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC);"
    "INSERT INTO items VALUES (1, 'bolt', 5), (2, 'nut', 7), (3, 'hook', 9);"
    "CREATE TABLE log (what TEXT, n);"
    "INSERT INTO log VALUES ('a', 1), ('a', 1), ('a', 1), ('b', NULL);"
    "CREATE TABLE codes (code TEXT PRIMARY KEY, v) WITHOUT ROWID;"
    "INSERT INTO codes VALUES ('x', x'00ff'), ('y', '');"
    "CREATE TABLE same (v); INSERT INTO same VALUES (1);"
)


@pytest.fixture
def kept(project: Project) -> Project:
    """A backup of a few small tables."""
    project.script(TABLES)
    inside.back_up(project)
    return project


def rows(project: Project, *words: str) -> dict[str, dict[str, Any]]:
    found = json.loads(project.ok("undrop", "diff", *words, "--json", "--rows"))
    return {table["now"] or table["name"]: table for table in found["tables"]}


def test_rows_are_removed_added_and_changed_by_key(kept: Project) -> None:
    kept.script(
        "DELETE FROM items WHERE id = 3; INSERT INTO items VALUES (4, 'x''y', NULL);"
        "UPDATE items SET price = 8, name = NULL WHERE id = 2;"
        "UPDATE codes SET v = 'new' WHERE code = 'x'"
    )
    assert kept.ok("undrop", "diff", "--rows").splitlines() == [
        "codes  2 -> 2",
        "  ~ code='x': v=x'00ff' -> 'new'",
        "items  3 -> 3",
        "  - id=3, name='hook', price=9",
        '  + id=4, name="x\'y", price=NULL',
        "  ~ id=2: name='nut' -> NULL, price=7 -> 8",
    ]
    found = rows(kept, "latest", "live")
    assert found.keys() == {"codes", "items"}
    assert found["items"]["removed"] == [{"id": 3, "name": "hook", "price": 9}]
    assert found["items"]["added"] == [{"id": 4, "name": "x'y", "price": None}]
    assert found["items"]["changed"] == [
        {
            "key": {"id": 2},
            "columns": {
                "name": {"before": "nut", "after": None},
                "price": {"before": 7, "after": 8},
            },
        }
    ]
    back = rows(kept, "live", "latest")["items"]
    assert (back["removed"], back["added"]) == (found["items"]["added"], found["items"]["removed"])
    only = kept.ok("undrop", "diff", "latest", "live", "--rows", "CODES")
    assert only.splitlines()[0] == "codes  2 -> 2"
    assert "items" not in only


@pytest.mark.more
def test_without_a_key_each_row_counts_as_often_as_it_is_there(kept: Project) -> None:
    kept.script(
        "DELETE FROM log; INSERT INTO log VALUES ('c', 9e999), ('c', 9e999), ('b', NULL), ('a', 1)"
    )
    found = rows(kept)["log"]
    assert found["removed"] == [{"what": "a", "n": 1}] * 2
    assert found["added"] == [{"what": "c", "n": "inf"}] * 2


def test_renamed_tables_and_columns_are_paired(kept: Project) -> None:
    kept.script(
        "ALTER TABLE log RENAME TO journal; INSERT INTO journal VALUES ('new', 1);"
        "ALTER TABLE items RENAME COLUMN price TO cents; UPDATE items SET name = '' WHERE id = 1;"
        "ALTER TABLE codes ADD COLUMN more; DROP TABLE same"
    )
    assert kept.ok("undrop", "diff", "--rows").splitlines() == [
        *("codes  2 -> 2  +more", "items  3 -> 3  price -> cents", "  ~ id=1: name='bolt' -> ''"),
        *("log -> journal  4 -> 5", "  + what='new', n=1", "same -> (gone)  1 -> 0", "  - v=1"),
    ]
    for name in ("log", "JOURNAL"):
        said = kept.ok("undrop", "diff", "latest", "live", "--rows", name).splitlines()
        assert said == ["log -> journal  4 -> 5", "  + what='new', n=1"]
    done = kept.refused(2, "undrop", "diff", "latest", "live", "--rows", "nothing")
    assert "there is no table 'nothing': codes, items, journal, same" in done.err


@pytest.mark.more
def test_people_see_twenty_rows_of_a_table(kept: Project) -> None:
    kept.script(
        "WITH RECURSIVE c (x) AS (SELECT 100 UNION ALL SELECT x + 1 FROM c WHERE x < 1100) "
        "INSERT INTO items SELECT x, 'many', x FROM c; DELETE FROM items WHERE id = 1"
    )
    lines = kept.ok("undrop", "diff", "--rows").splitlines()
    assert len(lines) == 22
    assert lines[1].startswith("  - id=1,")
    assert lines[-1] == "    and 982 more (--json has all)"
    assert len(rows(kept)["items"]["added"]) == 1001


def test_no_difference_is_said(kept: Project) -> None:
    done = kept.done("undrop", "diff", "--rows")
    assert (done.out, done.err) == ("", "undrop: no rows differ between latest and live\n")
    assert json.loads(kept.ok("undrop", "diff", "--rows", "--json"))["same"] is True


@pytest.mark.more
def test_what_is_only_in_the_wal_is_seen(kept: Project) -> None:
    with closing(sqlite3.connect(kept.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("DELETE FROM items WHERE id = 1")
        connection.commit()
        assert wal_of(kept.database).stat().st_size > 0
        assert rows(kept)["items"]["removed"] == [{"id": 1, "name": "bolt", "price": 5}]


def test_a_long_value_is_shortened_on_a_terminal_alone(kept: Project) -> None:
    kept.sql("UPDATE items SET name = printf('%.99c', 'x') WHERE id = 1")
    assert "x" * 99 in kept.ok("undrop", "diff", "--rows")
    shown = on_a_terminal(kept, "undrop", "diff", "--rows")
    assert "…" in shown
    assert "x" * 60 not in shown


@pytest.mark.more
def test_a_table_of_many_columns_and_one_of_text(project: Project) -> None:
    columns = ", ".join(f"c{n}" for n in range(1200))
    project.script(
        f"CREATE TABLE wide ({columns}); INSERT INTO wide (c0) VALUES (1);"
        "CREATE VIRTUAL TABLE notes USING fts5 (t); INSERT INTO notes VALUES ('one'), ('two')"
    )
    inside.back_up(project)
    project.script("UPDATE wide SET c1199 = 2; UPDATE notes SET t = 'three' WHERE rowid = 2")
    found = rows(project)
    assert found["wide"]["changed"][0]["columns"] == {"c1199": {"before": None, "after": 2}}
    assert found["notes"]["changed"] == [
        {"key": {"rowid": 2}, "columns": {"t": {"before": "two", "after": "three"}}}
    ]
