"""``undo --keep``: the step alone is taken back, and what others did since stays."""

import json
import sqlite3
import sys
from contextlib import closing

import pytest
from shop import Project, content

SHOP = """
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, price INT);
CREATE TABLE lines (id INTEGER PRIMARY KEY, item_id INT REFERENCES items ON DELETE CASCADE, n INT);
CREATE TABLE seen (what TEXT, n INT);
INSERT INTO items VALUES (1, 'nut', 10), (2, 'bolt', 20), (3, 'nail', 30), (4, 'pin', 40);
INSERT INTO lines VALUES (1, 1, 5), (2, 2, 6), (3, 3, 7);
INSERT INTO seen VALUES ('door', 1), ('door', 1), ('hall', 2);
"""


def write(project: Project, script: str) -> None:
    """Others' work."""
    with closing(sqlite3.connect(project.database)) as connection:
        connection.executescript(script)


def step(project: Project, script: str) -> None:
    """Somebody's own command, behind a backup."""
    line = f"import sqlite3; sqlite3.connect('quartermaster.db').executescript({script!r})"
    project.ok("undrop", "run", "--", sys.executable, "-c", line)


@pytest.fixture
def shop(project: Project) -> Project:
    write(project, SHOP)
    return project


def expected(shop: Project, *scripts: str) -> list[str]:
    """What a database holds that only these made."""
    other = shop.root / "expected.db"
    other.unlink(missing_ok=True)
    with closing(sqlite3.connect(other)) as connection:
        for script in (SHOP, *scripts):
            connection.executescript(script)
    return content(other)


def rows(project: Project) -> list[str]:
    return sorted(project.content())


@pytest.mark.smoke
def test_what_others_did_since_stays(shop: Project) -> None:
    others = """
        INSERT INTO items VALUES (9, 'screw', 90); INSERT INTO lines VALUES (9, 9, 1);
        UPDATE items SET price = 44 WHERE id = 4; INSERT INTO seen VALUES ('roof', 3);
        DELETE FROM seen WHERE what = 'hall';
    """
    step(
        shop,
        "PRAGMA foreign_keys = ON; DELETE FROM items WHERE id = 1; DELETE FROM seen "
        "WHERE rowid = 1; UPDATE items SET price = 0 WHERE id IN (2, 3)",
    )
    after = shop.content()
    write(shop, others)
    state = shop.content()
    shop.refused(4, "undrop", "undo")
    done = shop.done("undrop", "undo", "--keep")
    assert rows(shop) == sorted(expected(shop, others))
    assert "2 row(s) as before" in done.err
    assert "lines: 1 row(s) back" in done.err
    shop.ok("undrop", "undo")
    assert shop.content() == state != after


def test_a_value_that_both_changed_is_a_conflict(shop: Project) -> None:
    step(shop, "UPDATE items SET price = 0")
    write(shop, "UPDATE items SET price = 7 WHERE id = 2; UPDATE items SET name = 'x' WHERE id = 3")
    done = shop.refused(4, "undrop", "undo", "--keep", "--json")
    [conflict] = json.loads(done.out)["conflicts"]
    assert (conflict["table"], conflict["column"], conflict["key"]) == ("items", "price", {"id": 2})
    assert (conflict["live"], conflict["other"]) == (7, 20)
    assert "live has 7, before has 20" in done.err
    assert shop.sql("SELECT price FROM items") == [(0,), (7,), (0,), (0,)]
    shop.ok("undrop", "undo", "--keep", "--live")
    assert shop.sql("SELECT name, price FROM items") == [
        ("nut", 10), ("bolt", 7), ("x", 30), ("pin", 40)
    ]  # fmt: skip
    shop.ok("undrop", "undo")
    shop.ok("undrop", "undo", "--whole")


def test_the_value_of_before_where_that_is_asked_for(shop: Project) -> None:
    step(shop, "UPDATE items SET price = 0")
    write(shop, "UPDATE items SET price = 7 WHERE id = 2; UPDATE items SET name = 'x' WHERE id = 3")
    shop.ok("undrop", "undo", "--keep", "--before")
    assert shop.sql("SELECT name, price FROM items") == [
        ("nut", 10), ("bolt", 20), ("x", 30), ("pin", 40)
    ]  # fmt: skip


def test_the_same_change_on_both_sides_is_none(shop: Project) -> None:
    step(shop, "UPDATE items SET price = 0 WHERE id = 2; DELETE FROM lines WHERE id = 1")
    write(shop, "UPDATE items SET price = 20 WHERE id = 2; INSERT INTO lines VALUES (1, 1, 5)")
    write(shop, "INSERT INTO seen VALUES ('roof', 3)")
    shop.ok("undrop", "undo", "--keep")
    assert rows(shop) == sorted(expected(shop, "INSERT INTO seen VALUES ('roof', 3)"))


@pytest.mark.parametrize(
    ("of_step", "of_others", "why"),
    [
        ("DELETE FROM items WHERE id = 4", "INSERT INTO items VALUES (4, 'new', 1)", "another row"),
        (
            "DELETE FROM items WHERE id = 4",
            "INSERT INTO items VALUES (8, 'pin', 1)",
            "items: UNIQUE constraint failed: items.name\n"
            "          id 4: live has id 8, name 'pin'; before has name 'pin'\n",
        ),
        ("UPDATE items SET price = 0", "DELETE FROM items WHERE id = 4", "took it away"),
        ("INSERT INTO items VALUES (5, 'n', 1)", "UPDATE items SET price = 2 WHERE id = 5", "took"),
        (
            "INSERT INTO items VALUES (5, 'n', 1)",
            "INSERT INTO lines VALUES (9, 5, 1)",
            "rows point to it",
        ),
        (
            "INSERT INTO seen VALUES ('roof', 1)",
            "DELETE FROM seen WHERE what = 'roof'; INSERT INTO seen VALUES ('cellar', 1)",
            "",
        ),
    ],
)
def test_each_kind_of_conflict_is_told(
    shop: Project, of_step: str, of_others: str, why: str
) -> None:
    step(shop, of_step)
    write(shop, of_others)
    if why:
        done = shop.refused(4, "undrop", "undo", "--keep")
        assert why in done.err
        assert "undo --keep --live" in done.err
    else:  # both took it away
        shop.ok("undrop", "undo", "--keep")
        assert ("cellar", 1) in shop.sql("SELECT * FROM seen")


def test_a_key_that_was_handed_out_again_can_come_back_under_another(shop: Project) -> None:
    step(shop, "PRAGMA foreign_keys = ON; DELETE FROM items WHERE id = 4")
    write(shop, "INSERT INTO items VALUES (4, 'new', 1)")
    done = shop.refused(4, "undrop", "undo", "--keep", "--json")
    [line] = [a for a in json.loads(done.out)["next_actions"] if a["name"] == "recover"]
    shop.ok("undrop", line["name"], *line["arguments"])
    assert shop.sql("SELECT * FROM items WHERE id > 3") == [(4, "new", 1), (5, "pin", 40)]


SCHEMA = """
ALTER TABLE items RENAME COLUMN price TO cents; UPDATE items SET cents = 25 WHERE id = 2;
ALTER TABLE items ADD COLUMN note TEXT; CREATE TABLE extra (id INTEGER PRIMARY KEY);
ALTER TABLE lines RENAME TO order_lines; CREATE INDEX by_item ON order_lines (item_id);
"""


def test_across_a_change_of_the_schema(shop: Project) -> None:
    step(shop, SCHEMA)
    write(
        shop,
        "INSERT INTO items (id, name, cents) VALUES (9, 'screw', 900); DELETE FROM seen "
        "WHERE what = 'hall'; INSERT INTO order_lines VALUES (9, 9, 1); UPDATE items SET "
        "name = 'peg' WHERE id = 4",
    )
    shop.ok("undrop", "undo", "--keep")
    others = (
        "INSERT INTO items VALUES (9, 'screw', 900); DELETE FROM seen WHERE what = 'hall'; "
        "INSERT INTO lines VALUES (9, 9, 1); UPDATE items SET name = 'peg' WHERE id = 4"
    )
    assert rows(shop) == sorted(expected(shop, others))


def test_a_column_of_another_name_and_type_that_was_empty_is_another_one(shop: Project) -> None:
    """Cents are no price, and nothing that was in it shows what became of one."""
    write(shop, "CREATE TABLE things (id INTEGER PRIMARY KEY, price TEXT)")
    step(
        shop,
        "CREATE TABLE n (id INTEGER PRIMARY KEY, price_cents INT); DROP TABLE things; "
        "ALTER TABLE n RENAME TO things",
    )
    write(shop, "INSERT INTO things VALUES (1, 1234)")
    assert "things.price_cents" in shop.refused(4, "undrop", "undo", "--keep").err


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ("UPDATE items SET note = 'mine' WHERE id = 2", "items.note"),
        ("INSERT INTO items (id, name, note) VALUES (9, 'screw', 'mine')", "items.note"),
        ("INSERT INTO extra VALUES (1)", "extra"),
        ("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)", "theirs"),
        ("CREATE INDEX by_name ON items (name)", "by_name"),
    ],
)
def test_what_the_old_schema_has_no_place_for_is_a_conflict(
    shop: Project, others: str, named: str
) -> None:
    step(shop, SCHEMA)
    write(shop, others)
    assert named in shop.refused(4, "undrop", "undo", "--keep").err
    assert named in shop.refused(4, "undrop", "undo", "--keep", "--live").err
    shop.ok("undrop", "undo", "--keep", "--before")
    assert not [line for line in shop.content() if "mine" in line or "extra" in line]
    assert shop.sql("SELECT price FROM items WHERE id < 9") == [(10,), (20,), (30,), (40,)]


def test_triggers_keep_full_text_and_repeat_nothing_else(shop: Project) -> None:
    write(
        shop,
        """
        CREATE VIRTUAL TABLE found USING fts5 (name, content='items', content_rowid='id');
        CREATE TRIGGER i AFTER INSERT ON items BEGIN
            INSERT INTO found (rowid, name) VALUES (new.id, new.name); END;
        CREATE TRIGGER d AFTER DELETE ON items BEGIN
            INSERT INTO found (found, rowid, name) VALUES ('delete', old.id, old.name); END;
        INSERT INTO found (found) VALUES ('rebuild');
        CREATE TABLE audit (what);
        CREATE TRIGGER told AFTER INSERT ON items BEGIN
            INSERT INTO audit VALUES ('new ' || new.name); END;
        """,
    )
    definitions = shop.sql("SELECT name, sql FROM sqlite_master ORDER BY name")
    step(shop, "DELETE FROM items WHERE id = 4")
    write(shop, "INSERT INTO items VALUES (9, 'screw', 90)")
    done = shop.done("undrop", "undo", "--keep")
    assert "trigger told" in done.err
    assert shop.sql("SELECT * FROM audit") == [("new screw",)]
    assert shop.sql("SELECT rowid FROM found WHERE found MATCH 'pin'") == [(4,)]
    assert shop.sql("SELECT name, sql FROM sqlite_master ORDER BY name") == definitions
    write(shop, "INSERT INTO found (found, rank) VALUES ('integrity-check', 1)")


def test_no_number_is_given_out_again(shop: Project) -> None:
    write(
        shop,
        "CREATE TABLE bills (id INTEGER PRIMARY KEY AUTOINCREMENT, n); "
        "INSERT INTO bills (n) VALUES (1)",
    )
    step(shop, "INSERT INTO bills (n) VALUES (2), (3)")
    write(shop, "INSERT INTO bills (n) VALUES (4); DELETE FROM bills WHERE n = 4")
    write(shop, "INSERT INTO seen VALUES ('roof', 3)")
    shop.ok("undrop", "undo", "--keep")
    assert shop.sql("SELECT * FROM bills") == [(1, 1)]
    assert shop.sql("SELECT seq FROM sqlite_sequence") == [(4,)]


@pytest.mark.parametrize("many", [False, True])
def test_with_others_reading_and_waiting_in_wal_mode(shop: Project, many: bool) -> None:  # noqa: FBT001
    """Both ways of putting it in place: the whole file, and row by row in a large one."""
    write(shop, "PRAGMA journal_mode = WAL")
    if many:
        write(
            shop,
            "WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) "
            "INSERT INTO items SELECT i, 'item ' || i, i FROM n",
        )
    step(shop, "DELETE FROM items WHERE id = 1")
    with closing(sqlite3.connect(shop.database)) as other:
        other.execute("INSERT INTO items VALUES (9, 'screw', 90)")
        other.commit()
        assert (shop.root / "quartermaster.db-wal").stat().st_size
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM items WHERE id = 1").fetchone() == (0,)
        shop.ok("undrop", "undo", "--keep")
        assert other.execute("SELECT count(*) FROM items WHERE id = 1").fetchone() == (0,)
        other.execute("COMMIT")
        assert other.execute("SELECT name FROM items WHERE id < 10").fetchall() == [
            ("nut",), ("bolt",), ("nail",), ("pin",), ("screw",)
        ]  # fmt: skip
    shop.ok("undrop", "status")  # it is covered


def test_what_cannot_be_merged_says_so(project: Project) -> None:
    """A database that was made by the step has no state before it to be merged with."""
    project.ok("undrop", "migrate")
    write(project, "CREATE TABLE mine (a)")
    done = project.run("undrop", "undo", "--keep")
    assert done.code == 4
    assert "undo --whole" in done.err
    assert project.exists()


@pytest.mark.parametrize("wrong", ["--live", "--keep --whole", "--keep --live --before"])
def test_options_that_do_not_go_together(shop: Project, wrong: str) -> None:
    shop.refused(2, "undrop", "undo", *wrong.split())


def test_nothing_to_keep_is_a_plain_undo(shop: Project) -> None:
    before = shop.content()
    step(shop, "DELETE FROM items")
    shop.ok("undrop", "undo", "--keep")
    assert shop.content() == before


@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "INT"])
def test_a_value_of_another_type_is_another_one(shop: Project, key: str) -> None:
    """SQLite calls 0 and 0.0 equal; who wrote the other into a column of no type did change it."""
    write(shop, f"CREATE TABLE kinds (id {key}, it); INSERT INTO kinds VALUES (1, 0), (2, '5')")
    typed = "SELECT id, typeof(it) FROM kinds ORDER BY id"
    step(shop, "UPDATE items SET price = 0 WHERE id = 1")
    write(shop, "UPDATE kinds SET it = 0.0 WHERE id = 1")
    shop.refused(4, "undrop", "undo")
    shop.ok("undrop", "undo", "--keep")
    with closing(sqlite3.connect(shop.database)) as connection:
        assert connection.execute(typed).fetchall() == [(1, "real"), (2, "text")]
    step(shop, "UPDATE kinds SET it = 5 WHERE id = 2")
    shop.ok("undrop", "undo")
    with closing(sqlite3.connect(shop.database)) as connection:
        assert connection.execute(typed).fetchall() == [(1, "real"), (2, "text")]
    step(shop, "UPDATE kinds SET it = 0 WHERE id = 1")
    shop.ok("undrop", "undo")
    with closing(sqlite3.connect(shop.database)) as connection:
        assert connection.execute(typed).fetchall() == [(1, "real"), (2, "text")]


def test_a_table_that_was_renamed_and_lost_rows_is_the_same_one(shop: Project) -> None:
    """Who deletes a row of it under its new name means the one that comes back."""
    step(shop, "DELETE FROM items WHERE id = 1; ALTER TABLE items RENAME TO goods")
    write(shop, "DELETE FROM goods WHERE id = 4; UPDATE goods SET price = 33 WHERE id = 3")
    shop.ok("undrop", "undo", "--keep")
    others = "DELETE FROM items WHERE id = 4; UPDATE items SET price = 33 WHERE id = 3"
    assert rows(shop) == sorted(expected(shop, others))


@pytest.mark.parametrize(
    ("of_step", "of_others", "what"),
    [
        (
            "ALTER TABLE seen ADD note; UPDATE seen SET note = 'x'",
            "INSERT INTO seen VALUES ('door', 1, 'x')",
            "seen.note",
        ),
        (
            "ALTER TABLE kinds RENAME a TO r; ALTER TABLE kinds DROP b; UPDATE kinds SET r = NULL",
            "UPDATE kinds SET r = 'ours' WHERE id = 2",
            "kinds.r",
        ),
        (
            "ALTER TABLE kinds RENAME a TO r; ALTER TABLE kinds DROP b; UPDATE kinds SET r = id",
            "UPDATE kinds SET r = NULL WHERE id = 2",
            "kinds.r",
        ),
        (
            "DELETE FROM kinds WHERE id > 1; ALTER TABLE kinds RENAME TO sorts",
            "DELETE FROM sorts",
            "sorts",
        ),
    ],
)
def test_where_nothing_shows_which_is_which_it_is_a_conflict(
    shop: Project, of_step: str, of_others: str, what: str
) -> None:
    write(shop, "CREATE TABLE kinds (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
    write(shop, "INSERT INTO kinds (id, a) VALUES (1, 'x'), (2, 'y'), (3, 'z')")
    step(shop, of_step)
    write(shop, of_others)
    state = shop.content()
    done = shop.refused(4, "undrop", "undo", "--keep")
    assert f"{what}: there is no such column or table there" in done.err
    assert shop.content() == state


def test_what_others_took_from_a_table_of_the_step_goes_with_it(shop: Project) -> None:
    step(shop, "CREATE TABLE kinds (id INTEGER PRIMARY KEY); INSERT INTO kinds VALUES (1), (2)")
    others = "INSERT INTO seen VALUES ('roof', 3)"
    write(shop, f"DELETE FROM kinds WHERE id = 1; {others}")
    shop.ok("undrop", "undo", "--keep")
    assert rows(shop) == sorted(expected(shop, others))
