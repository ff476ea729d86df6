"""What a comparison says in full: which table is which afterwards, how many, in which words."""

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from undrop.compare import files, losses
from undrop.compare.comparison import ColumnChange, Comparison, TableChange
from undrop.values import quiet

T = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INT); "
ROWS = "INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30); "
WORDS = "CREATE VIRTUAL TABLE words USING fts5 (body); INSERT INTO words VALUES ('oak'), ('ash'); "
FORGET = "PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name LIKE '{}%'; "


def run(database: Path, script: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(script)
        connection.commit()


def compared(folder: Path, setup: str, change: str) -> Comparison:
    before, after = folder / "before.db", folder / "after.db"
    run(before, setup)
    shutil.copyfile(before, after)
    run(after, change)
    return files.compare(before, after, quiet)


def report(folder: Path, setup: str, change: str) -> losses.Report:
    return losses.report(compared(folder, setup, change))


def rebuilt(columns: str, select: str, name: str = "t") -> str:
    """What makes a table anew of what there is, as a batch migration does."""
    return (
        f"CREATE TABLE fresh ({columns}; INSERT INTO fresh SELECT {select} FROM t;"
        f"DROP TABLE t; ALTER TABLE fresh RENAME TO {name};"
    )


CHANGES = {
    "a column": (T + ROWS, "ALTER TABLE t ADD COLUMN more TEXT", ["t.more added"]),
    "a table renamed, and more rows": (
        T + ROWS,
        "ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (4, 'd', 40)",
        ["table t is now u", "1 rows added to u"],
    ),
    "a table made anew under another name with a column of another type": (
        T + ROWS,
        rebuilt("id INTEGER PRIMARY KEY, v TEXT, n TEXT)", "*", "u"),
        ["table t is now u"],
    ),
    "one with a row of NULLs likewise": (
        T + "INSERT INTO t VALUES (0, NULL, NULL)",
        rebuilt("id INTEGER PRIMARY KEY, v INT, n TEXT)", "*", "u"),
        ["table t is now u"],
    ),
    "a table made anew under another name with a column renamed": (
        T + ROWS,
        rebuilt("id INTEGER PRIMARY KEY, w TEXT, n INT)", "*", "u"),
        ["table t is now u", "u.v is now w"],
    ),
    "a table made anew under another name with a column more": (
        T + ROWS,
        rebuilt("id INTEGER PRIMARY KEY, v TEXT, n INT, more TEXT)", "*, 'x'", "u"),
        ["table t is now u", "u.more added"],
    ),
    "a table and its column renamed, and a column added": (
        T + ROWS,
        "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME v TO w; ALTER TABLE u ADD COLUMN more",
        ["table t is now u", "u.v is now w", "u.more added"],
    ),
    "a table and a column that were empty": (
        T + "INSERT INTO t (id, n) VALUES (1, 10); CREATE TABLE old (x)",
        "DROP TABLE old; ALTER TABLE t DROP COLUMN v",
        ["table old gone, it was empty", "t.v gone, it was empty"],
    ),
    "a computed column": (
        T + ROWS,
        "ALTER TABLE t ADD COLUMN twice INT AS (2 * n)",
        ["table t defined anew"],
    ),
    "a computed column that is no more": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, twice INT AS (2 * id)); INSERT INTO t VALUES (1)",
        "ALTER TABLE t DROP COLUMN twice",
        ["table t defined anew"],
    ),
    "a full-text index that is an ordinary table now": (
        WORDS,
        "DROP TABLE words; CREATE TABLE words (body); INSERT INTO words VALUES ('oak'), ('ash')",
        ["table words defined anew"],
    ),
    "a column renamed and moved": (
        T + ROWS,
        rebuilt("id INTEGER PRIMARY KEY, n INT, w TEXT)", "id, n, v"),
        ["t.v is now w"],
    ),
    "a column of two values renamed and moved": (
        T + "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'a', 3)",
        rebuilt("id INTEGER PRIMARY KEY, n INT, w TEXT)", "id, n, v"),
        ["t.v is now w"],
    ),
    "a column of one value renamed": (
        T + "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)",
        "ALTER TABLE t RENAME n TO active",
        ["t.n is now active"],
    ),
    "a key and a column of one value renamed, and all in another order": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, flag INT, k TEXT);"
        "INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b')",
        rebuilt("k TEXT, active INT, number INTEGER PRIMARY KEY)", "k, flag, id"),
        ["t.id is now number", "t.flag is now active"],
    ),
    "a table made anew WITHOUT ROWID": (
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('b', 'x'), ('a', 'y')",
        rebuilt("k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID", "*"),
        ["table t defined anew"],
    ),
    "rows without a key in another order, their numbers as text": (
        "CREATE TABLE t (n INT, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        "CREATE TABLE fresh (n TEXT, v TEXT); INSERT INTO fresh SELECT * FROM t ORDER BY n DESC;"
        "DROP TABLE t; ALTER TABLE fresh RENAME TO t",
        ["table t defined anew"],
    ),
    "an index of the same name over more": (
        T + ROWS + "CREATE INDEX i ON t (v); CREATE INDEX j ON t (n)",
        "DROP INDEX i; CREATE INDEX i ON t (v, n)",
        ["index i defined anew"],
    ),
    "a unique index as a constraint of its table": (
        T + ROWS + "CREATE UNIQUE INDEX i ON t (v, n)",
        rebuilt("id INTEGER PRIMARY KEY, v TEXT, n INT, UNIQUE (n, v))", "*"),
        ["table t defined anew"],
    ),
}
"""What loses nothing, and all that is said of it."""


@pytest.mark.parametrize(("setup", "change", "said"), CHANGES.values(), ids=CHANGES)
def test_what_loses_nothing_is_said_and_nothing_else(
    tmp_path: Path, setup: str, change: str, said: list[str]
) -> None:
    found = report(tmp_path, setup, change)
    assert (found.losses, found.warnings, found.changes) == ([], [], said)


BANNED = "CREATE TABLE banned (user_id INTEGER PRIMARY KEY); INSERT INTO banned VALUES (1), (3)"
LOST = {
    "a table, and another that happens to hold its numbers and no more": (
        BANNED,
        "CREATE TABLE log (id INTEGER PRIMARY KEY, what TEXT);"
        "INSERT INTO log (id) VALUES (1), (3); DROP TABLE banned",
        {"table banned": "table gone"},
    ),
    "a table, and another with its numbers and an empty column of another type": (
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT);"
        "INSERT INTO notes (id) VALUES (1), (3)",
        "CREATE TABLE marks (id INTEGER PRIMARY KEY, mark INT);"
        "INSERT INTO marks (id) VALUES (1), (3); DROP TABLE notes",
        {"table notes": "table gone"},
    ),
    "a full-text index, its texts in an ordinary table": (
        WORDS,
        "CREATE TABLE texts (body); INSERT INTO texts SELECT body FROM words; DROP TABLE words",
        {"table words": "table gone"},
    ),
    "a full-text index, its texts in one of more columns": (
        WORDS,
        "CREATE VIRTUAL TABLE texts USING fts5 (title, remark);"
        "INSERT INTO texts SELECT body, 'x' FROM words; DROP TABLE words",
        {"table words": "table gone"},
    ),
    "a trigger that computes with the dropped column, and the next index": (
        T + ROWS + "CREATE INDEX i ON t (v); CREATE TRIGGER s AFTER INSERT ON t BEGIN"
        " UPDATE t SET n = lower(v) WHERE id = new.id; END; CREATE INDEX j ON t (n)",
        "DROP TRIGGER s; DROP INDEX i; DROP INDEX j; ALTER TABLE t DROP COLUMN v",
        {"t.v": "column gone", "trigger s": "trigger gone", "index j": "index gone"},
    ),
    "a column, and one of another type elsewhere that has its values": (
        T + "INSERT INTO t VALUES (1, '10', 7), (2, '20', 8)",
        rebuilt("id INTEGER PRIMARY KEY, n INT, w INT)", "id, n, v"),
        {"t.v": "column gone"},
    ),
    "a column of one value, and another with that as its default": (
        T + "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)",
        "ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN active INT DEFAULT 1",
        {"t.n": "column gone"},
    ),
    "a column, and another with its values in other rows": (
        T + ROWS,
        "ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN rank INT;"
        "UPDATE t SET rank = 40 - 10 * id",
        {"t.n": "column gone"},
    ),
    "a column of a table without a key, and one like it": (
        "CREATE TABLE t (v, n); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        "ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN rank; UPDATE t SET rank = 'r' || v",
        {"t.n": "column gone"},
    ),
    "a value in a table whose key has a new name": (
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;"
        "INSERT INTO t VALUES ('a', 'x'), ('b', 'y')",
        "ALTER TABLE t RENAME k TO code; UPDATE t SET v = 'z' WHERE code = 'b'",
        {"t.v": "overwritten"},
    ),
    "a value in one of the rows whose keys are NULL": (
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT);"
        "INSERT INTO t VALUES (NULL, 'x'), (NULL, 'y'), ('c', 'z')",
        "UPDATE t SET v = NULL WHERE v = 'x'",
        {"t.v": "became NULL"},
    ),
    "a row of a table made anew WITHOUT ROWID": (
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('b', 'x'), ('a', 'y')",
        rebuilt("k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID", "*") + "DELETE FROM t WHERE k = 'b'",
        {"rows t": "rows gone"},
    ),
    "a key as a number": (
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT);"
        "INSERT INTO t VALUES ('007', 'x'), ('8', 'y'), ('9', 'z')",
        rebuilt("k INTEGER PRIMARY KEY, v TEXT)", "CAST(k AS INTEGER), v"),
        {"t.k": "overwritten by TEXT -> INTEGER"},
    ),
    "a key that is another text, though its collation calls it equal": (
        "CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, v TEXT) WITHOUT ROWID;"
        "INSERT INTO t VALUES ('a', 'x'), ('b', 'y')",
        "UPDATE t SET k = 'A' WHERE k = 'a'",
        {"rows t": "rows gone"},
    ),
    "two values in each row, known by a key that is never NULL": (
        "CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, v, n);"
        "INSERT INTO t VALUES ('a', 1, 1), ('b', 2, 2)",
        "UPDATE t SET v = v + 7, n = n + 7",
        {"t.v": "overwritten", "t.n": "overwritten"},
    ),
    "all that there was, in a table without a key": (
        "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('a'), ('b'), ('c')",
        "DROP TABLE t; CREATE TABLE t (w TEXT); INSERT INTO t VALUES ('x'), ('y')",
        {"rows t": "rows gone", "t.v": "column gone"},
    ),
}
"""What is lost, and in which words."""


@pytest.mark.parametrize(("setup", "change", "what"), LOST.values(), ids=LOST)
def test_what_is_lost_is_called_what_it_is(
    tmp_path: Path, setup: str, change: str, what: dict[str, str]
) -> None:
    found = report(tmp_path, setup, change)
    assert {each.name: each.what for each in found.losses} == what


KINDS = {"became NULL": "NULL", "became blank": "''", "overwritten": "'other'"}


@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_column_that_lost_values_in_two_ways_has_both_counted(
    tmp_path: Path, one: str, other: str
) -> None:
    change = (
        f"UPDATE t SET v = {KINDS[one]} WHERE id = 1; UPDATE t SET v = {KINDS[other]} WHERE id = 2"
    )
    [found] = report(tmp_path, T + ROWS, change).losses
    said = [f"1 {kind}" for kind in KINDS if kind in {one, other}]
    assert found.what == (one if one == other else "; ".join(said))
    assert (found.lost, found.of) == (2, 3)


def test_of_what_is_lost_it_is_not_said_that_it_was_empty(tmp_path: Path) -> None:
    setup = T + ROWS + "CREATE TABLE old (v); INSERT INTO old VALUES (1)"
    found = report(tmp_path, setup, "DROP TABLE old; ALTER TABLE t DROP COLUMN v")
    assert [each.name for each in found.losses] == ["table old", "t.v"]
    assert found.changes == []


def test_where_nothing_is_said_to_be_lost_nothing_is() -> None:
    assert ColumnChange("v", "v", ("", "")).lost == 0
    assert TableChange("t", "t").lost == 0
    assert TableChange("t", "t").same


def test_what_is_gone_or_new_is_counted_on_one_side_alone(tmp_path: Path) -> None:
    """As ``just diff`` shows it: rows before, rows after, gone, added, changed."""
    setup = T + ROWS + "CREATE TABLE old (v); INSERT INTO old VALUES (1), (2)"
    change = (
        "DROP TABLE old; CREATE TABLE more (a, b); INSERT INTO more VALUES (1, 2);"
        "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (7, 'g', 70), (8, 'h', 80);"
        "UPDATE t SET v = 'x' WHERE id = 2"
    )
    tables = compared(tmp_path, setup, change).tables
    assert {(each.name, each.now): tuple(each[2:7]) for each in tables} == {
        ("old", ""): (2, 0, 2, 0, 0),
        ("", "more"): (0, 1, 0, 1, 0),
        ("t", "t"): (3, 4, 1, 2, 1),
    }


def test_tables_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Of a new one, the name that it has; of a renamed one, the name that it had."""
    setup = "".join(
        f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v); INSERT INTO {name} VALUES ({n}, {n});"
        for n, name in enumerate("bdf")
    )
    change = "CREATE TABLE e (x); DROP TABLE f; ALTER TABLE d RENAME TO z; CREATE TABLE c (x, y)"
    tables = compared(tmp_path, setup, change).tables
    assert [each.name or each.now for each in tables] == ["b", "c", "d", "e", "f"]


@pytest.mark.parametrize(
    "change",
    ["DROP INDEX i", "CREATE INDEX j ON t (n)", "DROP INDEX i; CREATE INDEX i ON t (n)"],
    ids=["gone", "new", "defined anew"],
)
def test_an_index_is_a_difference_where_no_row_is(tmp_path: Path, change: str) -> None:
    found = compared(tmp_path, T + ROWS + "CREATE INDEX i ON t (v)", change)
    assert (found.same, all(table.same for table in found.tables)) == (False, True)


@pytest.mark.parametrize(
    "change",
    ["INSERT INTO t VALUES (4, 'd', 40)", "DELETE FROM t WHERE id = 1", "UPDATE t SET n = 0"],
)
def test_a_row_is_a_difference_where_no_definition_is(tmp_path: Path, change: str) -> None:
    assert not compared(tmp_path, T + ROWS, change).same


def test_an_index_counts_as_one_of_one(tmp_path: Path) -> None:
    [found] = report(tmp_path, T + "CREATE INDEX i ON t (v)", "DROP INDEX i").losses
    assert found[:4] == ("index i", "index gone", 1, 1)


def test_a_loss_is_accepted_by_the_name_that_a_column_has_now(tmp_path: Path) -> None:
    setup = (
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT);"
        "INSERT INTO t VALUES (NULL, 'x'), ('b', 'y'), ('c', 'z')"
    )
    change = "ALTER TABLE t RENAME k TO code; UPDATE t SET code = NULL WHERE code = 'b'"
    found = report(tmp_path, setup, change)
    assert [each.name for each in found.losses] == ["t.k"]
    for accepted in ("t.k", "T.Code"):
        assert losses.remaining(found, [accepted]) == []
    for accepted in ("t.v", "t", "code"):
        assert losses.remaining(found, [accepted]) == found.losses


def samples(found: losses.Report) -> dict[str, tuple[dict[str, object], ...]]:
    return {each.name: each.samples for each in found.losses}


def test_three_of_many_are_shown_whatever_is_lost(tmp_path: Path) -> None:
    setup = (
        "CREATE TABLE gone (k TEXT PRIMARY KEY, v); CREATE TABLE keyless (a, b);"
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v, n)"
        + "".join(
            f"; INSERT INTO gone VALUES ('k{n}', {n}); INSERT INTO keyless VALUES ({n}, 'b{n}');"
            f"INSERT INTO t VALUES ({n}, 'v{n}', 'n{n}')"
            for n in range(1, 6)
        )
    )
    change = (
        "DROP TABLE gone; ALTER TABLE t DROP COLUMN n; UPDATE t SET v = 'x'; DELETE FROM keyless"
    )
    assert samples(report(tmp_path, setup, change)) == {
        "table gone": tuple({"k": f"k{n}", "v": n} for n in range(1, 4)),
        "t.n": tuple({"id": n, "before": f"n{n}"} for n in range(1, 4)),
        "t.v": tuple({"id": n, "before": f"v{n}", "after": "x"} for n in range(1, 4)),
        "rows keyless": tuple({"rowid": n, "a": n, "b": f"b{n}"} for n in range(1, 4)),
    }


def test_rows_that_only_their_content_tells_apart_are_shown_by_it(tmp_path: Path) -> None:
    setup = (
        "CREATE TABLE t (v, w); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');"
        "CREATE TABLE one (v); INSERT INTO one VALUES ('x'), ('y'), ('z')"
    )
    change = "".join(
        f"CREATE TABLE fresh AS SELECT * FROM {name} ORDER BY v DESC; DROP TABLE {name};"
        f"ALTER TABLE fresh RENAME TO {name}; DELETE FROM {name} WHERE v IN (2, 'y');"
        for name in ("t", "one")
    )
    assert samples(report(tmp_path, setup, change)) == {
        "rows t": ({"v": 2, "w": "b"},),
        "rows one": ({"v": "y"},),
    }


LONG = [
    ("x" * 60, "x" * 60),
    ("x" * 61, f"{'x' * 60}… (61 characters)"),
    (b"\xab" * 16, f"x'{'ab' * 16}' (16 bytes)"),
    (b"\xab" * 17, f"x'{'ab' * 16}…' (17 bytes)"),
    (float("inf"), "inf"),
    (2.5, 2.5),
    (7, 7),
]


@pytest.mark.parametrize(("value", "shown"), LONG, ids=lambda value: str(value)[-14:])
def test_a_long_value_is_shown_by_its_beginning_and_its_length(
    tmp_path: Path, value: object, shown: object
) -> None:
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    with closing(sqlite3.connect(before)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        connection.execute("INSERT INTO t VALUES (1, ?)", [value])
    shutil.copyfile(before, after)
    run(after, "UPDATE t SET v = NULL")
    found = losses.report(files.compare(before, after, quiet))
    assert samples(found) == {"t.v": ({"id": 1, "before": shown, "after": None},)}


UNREADABLE = "words: it cannot be read, nothing is known"


def test_a_full_text_index_that_was_broken_before_is_no_difference(tmp_path: Path) -> None:
    found = compared(tmp_path, T + ROWS + WORDS + "DROP TABLE words_content", "SELECT 1")
    assert (found.same, found.unread) == (True, ["words"])
    assert losses.report(found).warnings == [UNREADABLE]


def test_one_that_cannot_be_read_and_is_an_ordinary_table_now_is_named(tmp_path: Path) -> None:
    setup = T + ROWS + WORDS + "DROP TABLE words_content"
    change = (
        FORGET.format("words") + "PRAGMA writable_schema = RESET; CREATE TABLE words (body);"
        "INSERT INTO words VALUES ('oak')"
    )
    found = report(tmp_path, setup, change)
    assert (found.losses, found.warnings) == ([], [UNREADABLE])


def test_one_that_cannot_be_read_and_is_gone_or_new_is_no_obstacle(tmp_path: Path) -> None:
    broken = WORDS + "DROP TABLE words_content; "
    gone = compared(tmp_path, T + ROWS + broken, FORGET.format("words"))
    assert {(each.name, each.now): each[2:7] for each in gone.tables} == {
        ("t", "t"): (3, 3, 0, 0, 0),
        ("words", ""): (0, 0, 0, 0, 0),
    }
    said = losses.report(gone)
    assert (said.warnings, said.changes) == ([UNREADABLE], ["table words gone"])
    (tmp_path / "new").mkdir()
    new = compared(tmp_path / "new", T + ROWS, broken)
    assert [tuple(each)[:7] for each in new.tables if not each.name] == [
        ("", "words", 0, 0, 0, 0, 0)
    ]
    assert losses.report(new).warnings == [UNREADABLE]


def test_a_full_text_index_that_broke_has_lost_its_rows(tmp_path: Path) -> None:
    [found] = report(tmp_path, WORDS, "DROP TABLE words_content").losses
    assert found[:4] == ("rows words", "rows gone", 2, 2)


PARENTS = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE q (id INTEGER PRIMARY KEY); "


def warned(folder: Path, before: Iterable[str], after: Iterable[str]) -> set[str]:
    """Which warnings a table's definitions lead to that are others afterwards."""
    setup, change = (f"CREATE TABLE t ({', '.join(lines)}); " for lines in (before, after))
    found = report(folder, PARENTS + setup, "DROP TABLE t; " + change)
    assert found.losses == []
    return set(found.warnings)


def test_of_many_foreign_keys_those_are_named_that_are_gone(tmp_path: Path) -> None:
    columns = [f"c{n} INT" for n in range(12)]
    keys = [f"FOREIGN KEY (c{n}) REFERENCES p (id)" for n in range(12)]
    assert warned(tmp_path, columns + keys, columns + keys[::2]) == {
        f"t: foreign key (c{n}) to p is gone" for n in range(1, 12, 2)
    }


ACTIONS = [
    ("ON DELETE CASCADE", "ON DELETE SET NULL", "had ON DELETE CASCADE, has ON DELETE SET NULL"),
    ("", "ON DELETE CASCADE", "had no action, has ON DELETE CASCADE"),
    ("ON UPDATE CASCADE", "", "had ON UPDATE CASCADE, has none"),
    (
        "ON UPDATE CASCADE ON DELETE RESTRICT",
        "ON DELETE RESTRICT",
        "had ON UPDATE CASCADE ON DELETE RESTRICT, has ON DELETE RESTRICT",
    ),
]


@pytest.mark.parametrize(("before", "after", "said"), ACTIONS)
def test_what_a_foreign_key_did_and_does_is_said(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    """Of the key to that parent, with another one beside it that stays."""
    other = "d INT REFERENCES q (id) ON DELETE SET DEFAULT"
    one, two = ([f"c INT REFERENCES p (id) {action}", other] for action in (before, after))
    assert warned(tmp_path, one, two) == {f"t: foreign key (c) to p {said}"}


def test_what_went_with_its_column_or_its_parent_is_not_warned_of(tmp_path: Path) -> None:
    """That column or table is gone, and that is what is said."""
    before = ("a INT", "b INT REFERENCES p (id)", "UNIQUE (a, b)", "CHECK (b < 9)")
    assert warned(tmp_path, before, ("a INT",)) == set()
    setup = PARENTS + "CREATE TABLE t (a INT REFERENCES p (id) ON DELETE CASCADE, b INT)"
    change = rebuilt("a INT, b INT)", "*") + "DROP TABLE p"
    (tmp_path / "other").mkdir()
    assert report(tmp_path / "other", setup, change).warnings == []


def test_a_primary_key_that_is_gone_is_warned_of(tmp_path: Path) -> None:
    assert warned(tmp_path, ("k TEXT PRIMARY KEY", "v"), ("k TEXT", "v")) == {
        "t: PRIMARY KEY is gone"
    }


def test_what_was_unique_and_is_the_key_now_is_unique_still(tmp_path: Path) -> None:
    before = ("a TEXT NOT NULL", "b TEXT NOT NULL", "UNIQUE (b, a)", "CHECK (a < b)")
    after = ("a TEXT NOT NULL", "b TEXT NOT NULL", "PRIMARY KEY (a, b)", "CHECK (a < b)")
    assert warned(tmp_path, before, after) == set()
