"""What two states are to each other: values of every type, names that change places, any size."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sides import report

from undrop.compare import files, losses, rows
from undrop.compare.comparison import TableChange
from undrop.compare.structure import Table
from undrop.sqlitefile import btree, connect
from undrop.values import quiet

KEYS = {
    "none": "a INT",
    "a number": "id INTEGER PRIMARY KEY",
    "a text": "id TEXT PRIMARY KEY NOT NULL",
}
REALS = "1700000000.123456, 0.1, 5.0, 1e300, -2.5e-7"
REBUILT = "INSERT INTO n SELECT {} FROM t {}; DROP TABLE t; ALTER TABLE n RENAME TO t"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("order", ["", "ORDER BY 1 DESC"])
def test_a_real_that_a_text_holds_in_part_is_lost(tmp_path: Path, key: str, order: str) -> None:
    values = ", ".join(f"({n}, {value})" for n, value in enumerate(REALS.split(", ")))
    setup = f"CREATE TABLE t ({KEYS[key]}, v REAL); INSERT INTO t VALUES {values}"
    made = f"CREATE TABLE n ({KEYS[key]}, v TEXT);"
    first = KEYS[key].split(maxsplit=1)[0]
    found = report(tmp_path, setup, made + REBUILT.format(f"{first}, CAST(v AS TEXT)", order))
    assert [loss.lost for loss in found.losses] == [1]
    digits = "CASE WHEN v > 1e9 AND v < 1e10 THEN printf('%!.17g', v) ELSE CAST(v AS TEXT) END"
    found = report(tmp_path, setup, made + REBUILT.format(f"{first}, {digits}", order))
    assert found.losses == []


@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        ("INTEGER", "REAL", "1, 2, 2"),
        ("REAL", "INTEGER", "1.0, 2.0, 2.5"),
        ("INTEGER", "TEXT", "1, 2, NULL"),
        ("TEXT", "REAL", "'1700000000.123456', '0.5', '1.0'"),
        ("REAL", "NUMERIC", "0.1, 7.0, 1e300"),
        ("BLOB", "TEXT", "'a', 'b', 'b'"),
        ("NUMERIC", "VARCHAR(9)", "1, 2.5, 'x'"),
    ],
)
@pytest.mark.parametrize("without", ["", "WITHOUT ROWID"])
def test_what_another_type_holds_as_well_is_not_lost(
    tmp_path: Path, old: str, new: str, values: str, without: str
) -> None:
    """With a key, and without one and in another order."""
    key = "id INTEGER PRIMARY KEY," if without else ""
    number = "id," if without else ""
    content = ", ".join(
        f"({n}, {value})" if without else f"({value})" for n, value in enumerate(values.split(", "))
    )
    setup = f"CREATE TABLE t ({key} v {old}) {without}; INSERT INTO t VALUES {content}"
    change = f"CREATE TABLE n ({key} v {new}) {without};" + REBUILT.format(
        f"{number} v", "ORDER BY v DESC"
    )
    assert report(tmp_path, setup, change).losses == []


def test_rows_that_a_new_key_makes_one_are_lost(tmp_path: Path) -> None:
    setup = (
        "CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, v TEXT);"
        "INSERT INTO t VALUES ('1', 'a'), ('01', 'b'), ('2', 'c')"
    )
    change = "CREATE TABLE n (id INTEGER PRIMARY KEY, v TEXT); INSERT OR IGNORE INTO n "
    found = report(
        tmp_path, setup, f"{change} SELECT * FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t"
    )
    [gone, *_] = found.losses
    assert (gone.name, gone.lost, gone.of, len(gone.samples)) == ("rows t", 1, 3, 1)
    assert not [line for line in found.changes if "-" in line]


PEOPLE = "(id INTEGER PRIMARY KEY, name TEXT, age INT)"
TWO = (
    f"CREATE TABLE a {PEOPLE}; CREATE TABLE b {PEOPLE};"
    "INSERT INTO a (name, age) VALUES ('x', 1), ('y', 2);"
    "INSERT INTO b (name, age) VALUES ('z', 3);"
)
SWAP = "ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a; ALTER TABLE c RENAME TO b;"


@pytest.mark.parametrize(
    ("emptied", "more"),
    [(n, m) for n in ("", "DELETE FROM b", "DELETE FROM a") for m in ("", "ALTER TABLE a ADD c")]
    + [("", "VACUUM")],
)
def test_two_tables_that_swap_names_lose_nothing(tmp_path: Path, emptied: str, more: str) -> None:
    found = report(tmp_path, TWO + emptied, SWAP + more)
    assert found.losses == []
    assert {"table a is now b", "table b is now a"} <= {*found.changes}


def test_three_tables_that_change_names_and_one_that_lost_a_row(tmp_path: Path) -> None:
    setup = f"{TWO} CREATE TABLE d {PEOPLE}; INSERT INTO d (name, age) VALUES ('p', 8), ('q', 9)"
    change = (
        "ALTER TABLE a RENAME TO t; ALTER TABLE d RENAME TO a; ALTER TABLE b RENAME TO d;"
        "ALTER TABLE t RENAME TO b"
    )
    assert report(tmp_path, setup, change).losses == []
    found = report(tmp_path, setup, f"{change}; DELETE FROM a WHERE name = 'p'")
    assert sum(loss.lost for loss in found.losses) >= 1


def test_a_table_that_takes_the_name_of_one_that_is_dropped_is_no_loss_but_that_one(
    tmp_path: Path,
) -> None:
    found = report(tmp_path, TWO, "DROP TABLE b; ALTER TABLE a RENAME TO b")
    assert [loss.name for loss in found.losses] == ["table b"]


COLUMNS = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c INT);"
    "INSERT INTO t (a, b, c) VALUES ('a1', 'b1', 1), ('a2', 'b2', 2), ('a3', NULL, 3)"
)
NAMES = (
    "ALTER TABLE t RENAME COLUMN a TO x; ALTER TABLE t RENAME COLUMN b TO a;"
    "ALTER TABLE t RENAME COLUMN x TO b;"
)


@pytest.mark.parametrize("key", ["id INTEGER PRIMARY KEY, ", "id INT, "])
@pytest.mark.parametrize("more", ["", "UPDATE t SET c = c + 0", "ALTER TABLE t ADD COLUMN d"])
def test_two_columns_that_swap_names_lose_nothing(tmp_path: Path, key: str, more: str) -> None:
    setup = COLUMNS.replace("id INTEGER PRIMARY KEY, ", key)
    found = report(tmp_path, setup, f"{NAMES}{more}")
    assert found.losses == []
    assert {"t.a is now b", "t.b is now a"} <= {*found.changes}


def test_a_value_that_is_lost_beside_a_swap_is_seen(tmp_path: Path) -> None:
    found = report(tmp_path, COLUMNS, f"{NAMES} UPDATE t SET c = 7 WHERE id = 2")
    assert [(loss.name, loss.lost) for loss in found.losses] == [("t.c", 1)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("VARCHAR(9)", "TEXT"),
        ("TEXT NOT NULL DEFAULT 'new'", "VARCHAR(20) NOT NULL DEFAULT 'new'"),
        ("INTEGER", "VARCHAR(9)"),
    ],
)
def test_a_column_that_all_rows_have_the_same_in_may_change_name_and_type(
    tmp_path: Path, old: str, new: str
) -> None:
    value = 1 if old == "INTEGER" else "'new'"
    setup = (
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, s {old}, v);"
        f"INSERT INTO t (s, v) VALUES ({value}, 1), ({value}, 2)"
    )
    change = f"CREATE TABLE n (id INTEGER PRIMARY KEY, state {new}, v);"
    found = report(tmp_path, setup, change + REBUILT.format("*", ""))
    assert found.losses == []
    assert "t.s is now state" in found.changes


@pytest.mark.parametrize("one", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("two", ["UTF-8", "UTF-16le"])
def test_how_text_is_kept_is_no_difference(tmp_path: Path, one: str, two: str) -> None:
    schema = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT, b BLOB, r REAL);"
        "CREATE TABLE free (v TEXT); CREATE INDEX i ON t (v);"
        "CREATE VIEW w AS SELECT * FROM t;"
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM free; END;"
        "CREATE VIRTUAL TABLE f USING fts5 (body);"
        "INSERT INTO f VALUES ('größer');"
        "INSERT INTO t (v, b, r) VALUES ('é😀', x'00ff', 0.1), ('', NULL, 1e300);"
        "INSERT INTO free VALUES ('a'), ('a'), (NULL);"
    )
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    for path, encoding in ((before, one), (after, two)):
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"PRAGMA encoding = '{encoding}'; {schema}")
    assert files.compare(before, after, quiet).same
    with closing(sqlite3.connect(after)) as connection, connection:
        connection.execute("UPDATE t SET v = 'e' WHERE id = 1")
    [found] = losses.report(files.compare(before, after, quiet)).losses
    assert (found.name, found.lost) == ("t.v", 1)
    # As against a database in use.
    [found] = losses.report(files.compare(before, after, quiet, in_use=after)).losses
    assert (found.name, found.lost) == ("t.v", 1)


STALE = {
    "a text": "(k TEXT PRIMARY KEY, v)",
    "two": "(k TEXT, l DEFAULT 1, v, PRIMARY KEY (k, l))",
    "four": "(k TEXT, l DEFAULT 1, m DEFAULT 1, n DEFAULT 1, v, PRIMARY KEY (k, l, m, n))",
    "none": "(k TEXT, v)",
    "a number": "(id INTEGER PRIMARY KEY, k TEXT, v)",
    "without case": "(k TEXT COLLATE NOCASE PRIMARY KEY, v)",
    "no rowid": "(k TEXT PRIMARY KEY, v) WITHOUT ROWID",
}


@pytest.mark.parametrize("key", STALE)
def test_what_analyze_once_found_makes_no_comparison_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """The steps of SQLite's machine are counted: each row costs as many in a large table."""
    original, steps = files._both, [0]

    def counted(*arguments: Any) -> connect.Connection:  # noqa: ANN401 - handed on
        connection = original(*arguments)

        def step() -> int:
            steps[0] += 1
            return 0

        connection.set_progress_handler(step, 100)
        return connection

    monkeypatch.setattr(files, "_both", counted)
    cost = []
    for number, count in enumerate((500, 2000)):
        setup = (
            f"CREATE TABLE t {STALE[key]}; CREATE INDEX i ON t (v);"
            "INSERT INTO t (k, v) VALUES ('first', 1); ANALYZE;"
            f"WITH n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < {count})"
            "INSERT INTO t (k, v) SELECT 'k' || n, 'v' || n FROM n;"
        )
        folder = tmp_path / str(number)
        folder.mkdir()
        steps[0] = 0
        found = report(folder, setup, "UPDATE t SET v = 'other' WHERE k = 'k77'")
        assert [(loss.name, loss.lost) for loss in found.losses] == [("t.v", 1)]
        cost.append(steps[0])
    assert cost[1] < 6 * cost[0]


@pytest.mark.more
@pytest.mark.full("")
@pytest.mark.parametrize("key", ["", ", PRIMARY KEY (c0)"])
def test_two_thousand_columns_are_compared(tmp_path: Path, key: str) -> None:
    columns = ", ".join(f"c{n} TEXT" for n in range(2000))
    values = ["(" + ", ".join(f"'{row}x{n}'" for n in range(2000)) + ")" for row in range(5)]
    setup = f"CREATE TABLE t ({columns}{key}); INSERT INTO t VALUES {', '.join(values)}"
    found = report(tmp_path, setup, "UPDATE t SET c1999 = 'other' WHERE c0 = '3x0'")
    assert [(loss.name, loss.lost) for loss in found.losses] == [("t.c1999", 1)]
    change = "CREATE TABLE n AS SELECT * FROM t WHERE c0 <> '2x0' ORDER BY c0 DESC;"
    found = report(tmp_path, setup, f"{change} DROP TABLE t; ALTER TABLE n RENAME TO t")
    assert [(loss.name, loss.lost) for loss in found.losses] == [("rows t", 1)]


def roots(path: Path) -> dict[int, str]:
    """The tables by the page where they begin."""
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT rootpage, name FROM sqlite_master WHERE type = 'table'"
        return dict(connection.execute(sql).fetchall())


def test_a_table_whose_pages_are_the_same_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = (
        "CREATE TABLE large (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE small (v);"
        "WITH n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 5000)"
        "INSERT INTO large (v) SELECT printf('%0200d', n) FROM n; INSERT INTO small VALUES (1);"
    )
    read: list[str] = []
    original = rows.compare

    def compare(connections: Sequence[connect.Connection], old: Table, new: Table) -> TableChange:
        read.append(old.name)
        return original(connections, old, new)

    monkeypatch.setattr(rows, "compare", compare)
    change = (
        "ALTER TABLE large ADD COLUMN w; ALTER TABLE large RENAME COLUMN v TO text;"
        "DELETE FROM small"
    )
    found = report(tmp_path, setup, change)
    assert read == ["small"]
    assert [(loss.name, loss.lost) for loss in found.losses] == [("rows small", 1)]
    assert {"large.w added", "large.v is now text"} <= {*found.changes}


LONG = st.sampled_from([10, 500, 4000, 9000])
WRITES = st.one_of(
    st.builds(
        "UPDATE {0} SET v = zeroblob({1}) WHERE id = {2}".format,
        st.sampled_from("abc"),
        LONG,
        st.integers(1, 60),
    ),
    st.builds(
        "UPDATE {0} SET v = substr(v, 1, length(v) - 1) || 'z' WHERE id = {1}".format,
        st.sampled_from("abc"),
        st.integers(1, 60),
    ),
    st.builds(
        "DELETE FROM {0} WHERE id % {1} = 0".format, st.sampled_from("abc"), st.integers(1, 7)
    ),
    st.builds(
        "INSERT INTO {0} (id, v) SELECT id + 100, v FROM {1} WHERE id < {2}".format,
        st.sampled_from("abc"),
        st.sampled_from("abc"),
        st.integers(1, 50),
    ),
    st.sampled_from(
        [
            "DROP TABLE a",
            "VACUUM",
            "CREATE INDEX i ON b (v)",
            "CREATE TABLE d AS SELECT * FROM b",
            "PRAGMA incremental_vacuum",
            "ALTER TABLE c ADD COLUMN x DEFAULT 'new'",
        ]
    ),
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(LONG, min_size=1, max_size=60),
    writes=st.lists(WRITES, min_size=1, max_size=4),
    page_size=st.sampled_from([512, 4096]),
    vacuum=st.sampled_from(["NONE", "FULL", "INCREMENTAL"]),
)
def test_what_has_the_same_pages_has_the_same_rows(
    tmp_path: Path, lengths: list[int], writes: list[str], page_size: int, vacuum: str
) -> None:
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    for path in (before, after):
        path.unlink(missing_ok=True)
    with closing(sqlite3.connect(before)) as connection, connection:
        connection.executescript(
            f"PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {vacuum};"
            "CREATE TABLE a (id INTEGER PRIMARY KEY, v);"
            "CREATE TABLE b (id INTEGER PRIMARY KEY, v);"
            "CREATE TABLE c (id INT PRIMARY KEY, v) WITHOUT ROWID;"
        )
        for table in "abc":
            content = [(n + 1, f"{table}{n}" * (length // 3)) for n, length in enumerate(lengths)]
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", content)
        connection.execute("DELETE FROM b WHERE id > 40")  # free pages
    shutil.copyfile(before, after)
    with closing(sqlite3.connect(after, isolation_level=None)) as connection:
        for write in writes:
            try:
                connection.execute(write).fetchall()
            except sqlite3.Error:  # what is not there any more
                continue
    same = btree.untouched(before, after, roots(before))
    known = roots(before)
    for root in same:
        assert roots(after).get(root) == known[root]
        with closing(sqlite3.connect(before)) as one, closing(sqlite3.connect(after)) as two:
            sql = f"SELECT id, v FROM {known[root]} ORDER BY id"
            assert one.execute(sql).fetchall() == two.execute(sql).fetchall()


@pytest.mark.parametrize("emptied", ["", "UPDATE t SET a = NULL;", "UPDATE t SET b = NULL;"])
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE t RENAME COLUMN a TO x; ALTER TABLE t RENAME COLUMN b TO a",
        "ALTER TABLE t RENAME COLUMN a TO x; ALTER TABLE t ADD COLUMN a TEXT",
        f"{NAMES} ALTER TABLE t RENAME COLUMN a TO x",
    ],
)
def test_a_column_that_takes_the_name_of_one_that_was_renamed_loses_nothing(
    tmp_path: Path, emptied: str, change: str
) -> None:
    assert report(tmp_path, COLUMNS + f"; {emptied}", change).losses == []


def test_what_stands_for_a_value_that_a_row_lacks_may_change_with_no_page(tmp_path: Path) -> None:
    setup = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2);"
    edit = "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, '5', '7');"
    setup += "ALTER TABLE t ADD COLUMN price DEFAULT 5"
    found = report(tmp_path, setup, edit + "PRAGMA writable_schema = RESET")
    assert [(loss.name, loss.lost) for loss in found.losses] == [("t.price", 2)]


@pytest.mark.parametrize("key", ["id INTEGER PRIMARY KEY", "id INT PRIMARY KEY", "id INT"])
@pytest.mark.parametrize("values", ["(1, 11), (2, 12)", "(1, NULL), (2, NULL)"])
def test_a_key_and_another_column_that_swap_names_lose_nothing(
    tmp_path: Path, key: str, values: str
) -> None:
    kind = key.split()[1]
    setup = f"CREATE TABLE t ({key}, ref {kind}); INSERT INTO t VALUES {values}"
    swap = "".join(
        f"ALTER TABLE t RENAME {one} TO {other};"
        for one, other in (("id", "x"), ("ref", "id"), ("x", "ref"))
    )
    found = report(tmp_path, setup, swap)
    assert found.losses == []
    assert {*found.changes} >= {"t.id is now ref", "t.ref is now id"}


@pytest.mark.more
@pytest.mark.parametrize("change", ["UPDATE {0} SET a = NULL", "DELETE FROM {0}"])
def test_many_tables_that_all_lose_something_are_compared_with_few_others(
    tmp_path: Path, change: str
) -> None:
    names = [f"t{n}" for n in range(60)]
    setup = (
        f"CREATE TABLE {n} (id INTEGER PRIMARY KEY, a); INSERT INTO {n} VALUES (1, '{n}');"
        for n in names
    )
    found = report(tmp_path, "".join(setup), ";".join(change.format(name) for name in names))
    assert len(found.losses) == len(names)


def test_many_tables_that_were_renamed_are_known_by_where_they_begin(tmp_path: Path) -> None:
    names = [f"t{n}" for n in range(60)]
    setup = (
        f"CREATE TABLE {n} (id INTEGER PRIMARY KEY, a); INSERT INTO {n} VALUES (1, 1);"
        for n in names
    )
    change = (f"ALTER TABLE {n} RENAME TO new_{names[-at - 1]};" for at, n in enumerate(names))
    found = report(tmp_path, "".join(setup), "".join(change))
    assert found.losses == []
    assert {*found.changes} == {
        f"table {n} is now new_{names[-at - 1]}" for at, n in enumerate(names)
    }


@pytest.mark.parametrize("kinds", [("", "INTEGER"), ("BLOB", "REAL"), ("INTEGER", "")])
def test_a_whole_number_is_the_same_as_a_real_in_rows_without_a_key(
    tmp_path: Path, kinds: tuple[str, str]
) -> None:
    one, two = kinds
    setup = f"CREATE TABLE t (a {one}); INSERT INTO t VALUES (5.0), (-0.0), (7), ('x')"
    change = f"CREATE TABLE n (a {two}); " + REBUILT.format("*", "ORDER BY a DESC")
    assert report(tmp_path, setup, change).losses == []


def test_a_column_renamed_and_retyped_is_known_though_its_rows_are_in_another_order(
    tmp_path: Path,
) -> None:
    setup = (
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 2), (2, 3), (10, 3)"
    )
    change = "CREATE TABLE n (k TEXT PRIMARY KEY, b); " + REBUILT.format("*", "ORDER BY 1 DESC")
    assert report(tmp_path, setup, change).losses == []
