"""``recover``: what was lost comes back, and everything else stays."""

import json
import re
import sqlite3
from contextlib import closing

import pytest
from shop import Project
from test_keep import SHOP, step, write


@pytest.fixture
def shop(project: Project) -> Project:
    write(project, SHOP)
    project.ok("undrop", "backup", "whole")
    return project


@pytest.mark.smoke
def test_rows_come_back_and_what_came_since_stays(shop: Project) -> None:
    write(shop, "DELETE FROM items WHERE id > 2; INSERT INTO items VALUES (9, 'screw', 90)")
    write(shop, "UPDATE items SET price = 11 WHERE id = 1")
    table = shop.run("undrop", "recover")
    assert table.code == 4
    assert "rows items" in table.out
    assert "recover 'rows items'" in table.err
    done = shop.done("just", "recover", "rows", "items")
    assert "2 row(s) back" in done.err
    assert "locked out" in done.err
    assert shop.sql("SELECT * FROM items") == [
        (1, "nut", 11), (2, "bolt", 20), (3, "nail", 30), (4, "pin", 40), (9, "screw", 90)
    ]  # fmt: skip
    shop.ok("just", "undo")
    assert shop.sql("SELECT count(*) FROM items") == [(3,)]


def test_nothing_is_lost(shop: Project) -> None:
    write(shop, "INSERT INTO items VALUES (9, 'screw', 90)")
    done = shop.done("undrop", "recover")
    assert "lacks nothing" in done.err
    shop.refused(4, "undrop", "recover", "rows", "items")


@pytest.mark.more
def test_a_look_changes_nothing(shop: Project) -> None:
    write(shop, "DELETE FROM items")
    backups = shop.saved()
    shop.refused(4, "just", "recover", "rows items", "--key", "77")
    before = shop.exact()
    assert shop.run("just", "recover").code == 4
    told = json.loads(shop.run("just", "recover", "--json").out)
    assert [each["name"] for each in told["lacking"]] == ["rows items"]
    assert told["from"] == str(backups[0])
    assert shop.exact() == before


def test_values_that_were_emptied_come_back_and_others_only_on_purpose(shop: Project) -> None:
    write(
        shop, "UPDATE items SET price = NULL WHERE id < 3; UPDATE items SET price = 1 WHERE id = 4"
    )
    done = shop.run("undrop", "recover", "items.price", "--json")
    assert done.code == 4
    [conflict] = json.loads(done.out)["conflicts"]
    assert (conflict["key"], conflict["live"], conflict["other"]) == ({"id": 4}, 1, 40)
    assert shop.sql("SELECT price FROM items") == [(10,), (20,), (30,), (1,)]
    shop.ok("undrop", "recover", "items.price", "--overwrite")
    assert shop.sql("SELECT price FROM items") == [(10,), (20,), (30,), (40,)]


@pytest.mark.more
def test_a_row_comes_back_and_what_its_column_is_gone_of_is_said(shop: Project) -> None:
    write(shop, "ALTER TABLE items DROP COLUMN price; DELETE FROM items WHERE id = 3")
    done = shop.run("undrop", "recover", "rows items", "--json")
    assert done.code == 4
    [conflict] = json.loads(done.out)["conflicts"]
    assert (conflict["key"], conflict["column"], conflict["other"]) == ({"id": 3}, "price", 30)
    assert shop.sql("SELECT * FROM items WHERE id = 3") == [(3, "nail")]


@pytest.mark.parametrize(
    ("options", "back"),
    [
        (("--key", "3"), [3]),
        (("--key", "3,4"), [3, 4]),
        (("--where", "name LIKE 'n%' AND price > 10"), [3]),
        (("--where", "items.price = 40 -- and that"), [4]),
    ],
)
def test_only_the_rows_that_were_asked_for(
    shop: Project, options: tuple[str, ...], back: list[int]
) -> None:
    write(shop, "DELETE FROM items")
    shop.ok("undrop", "recover", "rows items", *options)
    assert [row for (row,) in shop.sql("SELECT id FROM items")] == back


@pytest.mark.more
@pytest.mark.parametrize(
    "where",
    [
        "1) UNION SELECT id FROM lines WHERE (1",
        "id IN (SELECT item_id FROM lines)",
        "load_extension('x')",
        "nothing = 1",
        "name LIKE",
    ],
)
def test_an_expression_may_only_look_at_its_row(shop: Project, where: str) -> None:
    write(shop, "DELETE FROM items")
    shop.refused(2, "undrop", "recover", "rows items", "--where", where)


def test_composite_and_text_keys(project: Project) -> None:
    write(
        project,
        "CREATE TABLE stock (place TEXT, item INT, n INT, PRIMARY KEY (place, item)) WITHOUT ROWID;"
        "INSERT INTO stock VALUES ('a,b', 1, 5), ('c', 1, 6), ('c', 2, 7)",
    )
    project.ok("undrop", "backup")
    write(project, "DELETE FROM stock")
    project.ok("undrop", "recover", "stock", "--key", '"a,b",1', "--key", "c,2")
    assert project.sql("SELECT * FROM stock") == [("a,b", 1, 5), ("c", 2, 7)]
    project.refused(2, "undrop", "recover", "stock", "--key", "c")


@pytest.mark.more
def test_what_a_foreign_key_needs_comes_along(shop: Project) -> None:
    write(shop, "DELETE FROM lines; DELETE FROM items WHERE id < 3")
    done = shop.done("undrop", "recover", "rows lines", "--key", "1")
    assert "needed by foreign keys: 1 row(s) of items (id 1)" in done.err
    assert shop.sql("SELECT id FROM items ORDER BY id") == [(1,), (3,), (4,)]
    assert shop.sql("SELECT id FROM lines") == [(1,)]


def test_what_went_with_them_is_said_with_a_line_that_works(shop: Project) -> None:
    write(shop, "PRAGMA foreign_keys = ON; DELETE FROM items WHERE id < 3")
    done = shop.done("undrop", "recover", "rows items", "--json")
    told = json.loads(done.out)
    assert [(each["table"], each["rows"]) for each in told["children"]] == [("lines", 2)]
    assert shop.sql("SELECT id FROM lines") == [(3,)]
    said = done.err[done.err.index("gone with them") :]
    line = said[said.index("just recover") : said.index(" brings those")]
    shop.ok("sh", "-c", line)
    assert shop.sql("SELECT id FROM lines") == [(1,), (2,), (3,)]
    shop.ok("undrop", "undo")
    shop.ok("undrop", "undo")
    shop.ok("undrop", "undo", "--list")


@pytest.mark.more
def test_with_children_at_once(shop: Project) -> None:
    write(shop, "PRAGMA foreign_keys = ON; DELETE FROM items WHERE id < 3")
    shop.ok("undrop", "recover", "rows items", "--with-children", "--key", "2")
    assert shop.sql("SELECT id FROM items") == [(2,), (3,), (4,)]
    assert shop.sql("SELECT id FROM lines") == [(2,), (3,)]


def test_a_key_that_live_uses_for_another_row(shop: Project) -> None:
    write(shop, "DELETE FROM items WHERE id = 4; INSERT INTO items VALUES (4, 'screw', 90)")
    write(shop, "INSERT INTO lines VALUES (4, 4, 1)")
    done = shop.refused(4, "undrop", "recover", "rows", "items")
    assert "another row's" in done.err
    shop.ok("undrop", "recover", "rows items", "--new-keys")
    assert shop.sql("SELECT * FROM items WHERE id > 3") == [(4, "screw", 90), (5, "pin", 40)]


@pytest.mark.more
def test_new_keys_are_followed_by_what_points_to_them(shop: Project) -> None:
    write(shop, "PRAGMA foreign_keys = ON; INSERT INTO lines VALUES (4, 4, 9)")
    shop.ok("undrop", "backup")
    write(shop, "PRAGMA foreign_keys = ON; DELETE FROM items WHERE id = 4")
    write(shop, "INSERT INTO items VALUES (4, 'screw', 90)")
    shop.ok("undrop", "recover", "rows items", "--new-keys", "--with-children")
    assert shop.sql("SELECT * FROM items WHERE id > 3") == [(4, "screw", 90), (5, "pin", 40)]
    assert shop.sql("SELECT * FROM lines WHERE id = 4") == [(4, 5, 9)]


def test_nothing_is_said_of_what_live_lacks_where_no_state_can_be_compared(shop: Project) -> None:
    """A state that no comparison was made with is no state that live lacks nothing of."""
    write(shop, "DELETE FROM items")
    [backup] = shop.saved()
    backup.chmod(0o600)
    with backup.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    done = shop.run("undrop", "recover")
    assert (done.code, "malformed" in done.err) == (4, True), done
    assert "lacks nothing" not in done.err


@pytest.mark.more
def test_what_went_by_a_cascade_names_the_parent_as_it_is_written(project: Project) -> None:
    parent = 'CREATE TABLE "Big Parents" (id INTEGER PRIMARY KEY)'
    child = 'CREATE TABLE kids (p REFERENCES "big parents" ON DELETE CASCADE)'
    write(project, f'{parent}; {child}; INSERT INTO "Big Parents" VALUES (1)')
    write(project, "INSERT INTO kids VALUES (1)")
    project.ok("undrop", "backup")
    write(project, 'PRAGMA foreign_keys = ON; DELETE FROM "Big Parents"')
    assert "(ON DELETE CASCADE from Big Parents)" in project.run("undrop", "recover").out


def test_a_table_that_the_schema_has_no_more(shop: Project) -> None:
    write(
        shop,
        "DROP TABLE seen; ALTER TABLE items DROP COLUMN price; INSERT INTO lines VALUES (8, 1, 1)",
    )
    done = shop.refused(2, "undrop", "recover", "table seen")
    whole = shop.saved()[0].name
    assert f"--into recovered_seen --from {whole} 'table seen'" in done.err
    done = shop.refused(2, "undrop", "recover", "items.price", "--where", "id = 2", "--key", "1,2")
    asked = f"--from {whole} --key 1,2 --where 'id = 2' items.price"
    assert f"--into recovered_items_price {asked}" in done.err
    shop.refused(2, "undrop", "recover", "--into", "lines", "table seen")
    shop.ok("undrop", "recover", "--into", "recovered_seen", "table seen")
    assert sorted(shop.sql("SELECT * FROM recovered_seen")) == [
        ("door", 1), ("door", 1), ("hall", 2)
    ]  # fmt: skip
    shop.ok("undrop", "recover", "--into", "old_prices", "items.price", "--key", "1,2")
    assert shop.sql("SELECT * FROM old_prices") == [(1, 10), (2, 20)]
    assert shop.sql("SELECT count(*) FROM lines") == [(4,)]


@pytest.mark.more
def test_rows_without_a_key_by_their_number(shop: Project) -> None:
    write(shop, "DELETE FROM seen WHERE rowid < 3; INSERT INTO seen VALUES ('roof', 3)")
    shop.ok("undrop", "recover", "seen")
    assert sorted(shop.sql("SELECT * FROM seen")) == [
        ("door", 1), ("door", 1), ("hall", 2), ("roof", 3)
    ]  # fmt: skip


def test_under_the_names_that_things_have_now(shop: Project) -> None:
    write(
        shop,
        "ALTER TABLE items RENAME TO goods; ALTER TABLE goods RENAME COLUMN price TO cents; "
        "DELETE FROM goods WHERE id = 4",
    )
    shop.ok("undrop", "recover", "rows items")
    assert shop.sql("SELECT * FROM goods WHERE id = 4") == [(4, "pin", 40)]
    write(shop, "UPDATE goods SET cents = NULL WHERE id = 4")
    shop.ok("undrop", "recover", "goods.cents")
    assert shop.sql("SELECT * FROM goods WHERE id = 4") == [(4, "pin", 40)]


@pytest.mark.more
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("DELETE FROM items WHERE id = 4; INSERT INTO items VALUES (8, 'pin', 1)", "UNIQUE"),
    ],
)
def test_a_row_that_live_refuses_stays_out(shop: Project, script: str, why: str) -> None:
    write(shop, f"{script}; DELETE FROM items WHERE id = 3")
    done = shop.run("undrop", "recover", "rows items")
    assert done.code == 4
    assert why in done.err
    assert shop.sql("SELECT id FROM items ORDER BY id") == [(1,), (2,), (3,), (8,)]


def test_the_newest_state_that_lacks_nothing_of_it(shop: Project) -> None:
    write(shop, "DELETE FROM items WHERE id = 1")
    shop.ok("undrop", "backup", "half")
    write(shop, "DELETE FROM items WHERE id = 2")
    shop.ok("undrop", "backup", "less")
    write(shop, "UPDATE lines SET n = NULL WHERE id = 3")
    done = shop.run("undrop", "recover")
    assert "lines.n" in done.out
    assert "holds more: rows items (1)" in done.err
    assert "holds more: rows items (2)" in done.err
    told = json.loads(shop.ok("undrop", "recover", "rows items", "--json"))
    assert "whole" in told["from"]
    assert shop.sql("SELECT count(*) FROM items") == [(4,)]
    assert shop.sql("SELECT n FROM lines") == [(5,), (6,), (None,)]


@pytest.mark.more
def test_stale_values_are_not_taken_where_newer_ones_are_held(shop: Project) -> None:
    write(shop, "UPDATE items SET price = price + 1")
    shop.ok("undrop", "backup", "newer")
    write(shop, "UPDATE items SET price = NULL")
    shop.ok("undrop", "recover", "items.price")
    assert shop.sql("SELECT price FROM items") == [(11,), (21,), (31,), (41,)]


def test_side_effects_are_not_repeated_but_on_request(shop: Project) -> None:
    write(
        shop,
        "CREATE TABLE audit (what); CREATE TRIGGER told AFTER INSERT ON items BEGIN "
        "INSERT INTO audit VALUES (new.name); END; DELETE FROM items WHERE id > 2",
    )
    done = shop.done("undrop", "recover", "rows items", "--key", "3")
    assert "trigger told" in done.err
    assert shop.sql("SELECT * FROM audit") == []
    shop.ok("undrop", "recover", "rows items", "--triggers")
    assert shop.sql("SELECT * FROM audit") == [("pin",)]


@pytest.mark.more
def test_dry_run(shop: Project) -> None:
    write(shop, "DELETE FROM items")
    before = shop.content()
    done = shop.done("just", "recover", "items", "--dry-run")
    assert "would come back: items: 4 row(s) back" in done.err
    assert shop.content() == before


@pytest.mark.parametrize("wrong", ["nothing", "items.nothing", "rows nothing", "--key 3"])
def test_what_there_is_not(shop: Project, wrong: str) -> None:
    write(shop, "DELETE FROM items")
    shop.refused(2, "undrop", "recover", *wrong.split())


@pytest.mark.more
def test_without_a_database(shop: Project) -> None:
    shop.lose()
    assert shop.run("undrop", "recover").code == 2
    assert shop.run("undrop", "recover", "items").code == 2
    assert not shop.exists()


def test_generated_and_default_columns(project: Project) -> None:
    write(
        project,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT AS (a * 2) STORED, c AS (a + 1));"
        "INSERT INTO t (id, a) VALUES (1, 5), (2, 6)",
    )
    project.ok("undrop", "backup")
    write(
        project, "DELETE FROM t WHERE id = 1; ALTER TABLE t ADD COLUMN d TEXT NOT NULL DEFAULT 'x'"
    )
    project.ok("undrop", "recover", "t")
    assert project.sql("SELECT * FROM t") == [(1, 5, 10, 6, "x"), (2, 6, 12, 7, "x")]


@pytest.mark.more
def test_in_another_encoding(project: Project) -> None:
    write(project, "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    write(project, "INSERT INTO t VALUES (1, 'ä'), (2, '☃')")
    project.ok("undrop", "backup")
    write(project, "DELETE FROM t WHERE id = 2")
    project.ok("undrop", "recover", "t")
    with closing(sqlite3.connect(project.database)) as connection:
        assert connection.execute("SELECT * FROM t").fetchall() == [(1, "ä"), (2, "☃")]


FORUM = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, mail TEXT);
CREATE TABLE posts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT,
    user_id INT REFERENCES users ON DELETE CASCADE,
    editor_id INT REFERENCES users ON DELETE SET NULL
);
INSERT INTO users VALUES (1, 'ann', 'a@x'), (2, 'bob', 'b@x');
INSERT INTO posts VALUES (1, 'hi', 1, 2), (2, 'oh', 2, 1), (3, 'no', 2, NULL);
"""


@pytest.fixture
def forum(project: Project) -> Project:
    """Bob is gone with his posts, and Eve has his number."""
    write(project, FORUM)
    project.ok("undrop", "backup", "whole")
    write(project, "PRAGMA foreign_keys = ON; DELETE FROM users WHERE id = 2")
    write(project, "INSERT INTO users (name, mail) VALUES ('eve', 'e@x')")
    return project


def test_nothing_is_given_to_whoever_has_the_number_now(forum: Project) -> None:
    done = forum.refused(4, "undrop", "recover", "rows posts", "--json")
    conflicts = json.loads(done.out)["conflicts"]
    assert [(each["table"], each["key"]) for each in conflicts] == [
        ("users", {"id": 2}), ("posts", {"id": 2}), ("posts", {"id": 3})
    ]  # fmt: skip
    forum.ok("undrop", "recover", "rows posts", "--key", "2", "--new-keys")
    assert forum.sql("SELECT id, name FROM users") == [(1, "ann"), (2, "eve"), (3, "bob")]
    assert forum.sql("SELECT * FROM posts WHERE id > 1") == [(2, "oh", 3, 1)]


@pytest.mark.more
def test_nor_a_value_that_was_cut(forum: Project) -> None:
    done = forum.refused(4, "undrop", "recover", "posts.editor_id")
    assert "posts.editor_id: the key that it points to is another row's there" in done.err
    forum.ok("undrop", "recover", "posts.editor_id", "--new-keys")
    assert forum.sql("SELECT * FROM posts") == [(1, "hi", 1, 3)]
    assert forum.sql("SELECT name FROM users WHERE id = 3") == [("bob",)]


def test_the_state_that_has_most_of_what_live_lacks(shop: Project) -> None:
    """Not of what the expression is true of, most of which live may have."""
    write(shop, "DELETE FROM items WHERE id > 2")
    write(shop, "INSERT INTO items SELECT 10 + id, name || '2', 5 FROM items; DELETE FROM lines")
    shop.ok("undrop", "backup", "later")
    write(shop, "DELETE FROM items WHERE id = 11")
    shop.ok("undrop", "recover", "rows items", "--where", "price > 0")
    assert shop.sql("SELECT id FROM items ORDER BY id") == [(1,), (2,), (3,), (4,), (12,)]


@pytest.mark.more
@pytest.mark.parametrize("option", ["--key", "--where"])
def test_an_option_that_says_nothing_is_not_all_rows(shop: Project, option: str) -> None:
    write(shop, "DELETE FROM items")
    shop.refused(2, "undrop", "recover", "rows items", option, "")


def test_what_the_key_or_expression_leaves_nothing_of(shop: Project) -> None:
    write(shop, "DELETE FROM items WHERE id = 4")
    done = shop.refused(4, "undrop", "recover", "rows items", "--key", "2,3")
    assert "lacks nothing of rows items --key 2,3 that" in done.err


@pytest.mark.more
def test_keys_with_a_dash_or_blanks(project: Project) -> None:
    write(
        project,
        "PRAGMA foreign_keys = ON; CREATE TABLE t (k PRIMARY KEY);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, k REFERENCES t ON DELETE CASCADE);"
        "INSERT INTO t VALUES (-5), (' a ');"
        "INSERT INTO c VALUES (1, -5)",
    )
    project.ok("undrop", "backup")
    write(project, "PRAGMA foreign_keys = ON; DELETE FROM t")
    done = project.done("undrop", "recover", "rows t", '--key=-5," a "')
    assert project.sql("SELECT k FROM t ORDER BY 1") == [(-5,), (" a ",)]
    assert """--with-children 'rows t' '--key=-5," a "' brings""" in done.err


@pytest.mark.parametrize("table", ["own", "old"])
def test_full_text_rows_by_their_number(project: Project, table: str) -> None:
    write(
        project,
        "CREATE VIRTUAL TABLE own USING fts5 (t); CREATE VIRTUAL TABLE old USING fts4 (t);"
        "INSERT INTO own VALUES ('oak'), ('elm'); INSERT INTO old VALUES ('oak'), ('elm')",
    )
    project.ok("undrop", "backup")
    write(project, f"DELETE FROM {table}")
    project.ok("undrop", "recover", table, "--key", "2")
    assert project.sql(f"SELECT rowid FROM {table} WHERE {table} MATCH 'elm'") == [(2,)]


@pytest.mark.more
@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT"])
def test_a_row_that_is_named_gets_a_new_key_whatever_live_has(project: Project, key: str) -> None:
    write(project, f"CREATE TABLE t (id {key}, a, b, c); INSERT INTO t VALUES (1, 1, 1, 1)")
    project.ok("undrop", "backup")
    step(project, "DELETE FROM t")
    write(project, "INSERT INTO t VALUES (1, 1, 1, 2)")
    done = project.refused(4, "undrop", "undo", "--keep")
    assert "'rows t' --key=1 --new-keys" in done.err
    project.ok("undrop", "recover", "rows t", "--key=1", "--new-keys")
    assert project.sql("SELECT * FROM t") == [(1, 1, 1, 2), (2, 1, 1, 1)]


def test_which_new_keys_and_none_of_a_row_that_was_refused(project: Project) -> None:
    write(project, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, a, b)")
    write(project, "INSERT INTO t VALUES (1, 'ann', 1, 1), (2, 'bob', 2, 2)")
    project.ok("undrop", "backup", "whole")
    write(project, "DELETE FROM t; INSERT INTO t VALUES (1, 'x', 7, 7), (2, 'y', 8, 8)")
    write(project, "INSERT INTO t VALUES (3, 'bob', 9, 9)")
    line = ("undrop", "recover", "--from", "whole", "rows t", "--new-keys")
    done = project.run(*line)
    assert done.code == 4
    assert "new keys: t: 1 is now 4\n" in done.err
    [(way, held)] = re.findall(r"failed: t.name\n +id 2: live has (.*); \S+ has (.*)\n", done.err)
    assert (way, held) == ("id 3, name 'bob'", "name 'bob'")
    project.ok("just", "undo")
    told = json.loads(project.run(*line, "--json").out)
    assert told["new_keys"] == {"t": {"1": 4}}
    assert [each["key"] for each in told["conflicts"]] == [{"id": 2}]


@pytest.mark.more
def test_the_line_names_the_file_that_was_looked_at(shop: Project) -> None:
    """And what is gone, before what is merely another value."""
    [backup] = shop.saved()
    copy = shop.root / "copy.db"
    copy.write_bytes(backup.read_bytes())
    backup.unlink()
    write(shop, "UPDATE items SET price = 7 WHERE id = 1; DELETE FROM lines WHERE id = 1")
    done = shop.run("undrop", "recover", "--from", "copy.db")
    assert "just recover --from copy.db 'rows lines'\n" in done.err
    shop.ok("just", "recover", "--from", "copy.db", "rows lines")


def test_no_backup_and_no_database(project: Project) -> None:
    done = project.refused(2, "undrop", "recover")
    assert "restore latest" in done.err
    write(project, SHOP)
    assert "there is no verified backup" in project.refused(2, "undrop", "recover").err


TAGGED = """
CREATE TABLE posts (id INTEGER PRIMARY KEY, text TEXT, mood TEXT);
CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE tagged (post_id INT REFERENCES posts ON DELETE CASCADE, tag_id INT REFERENCES tags);
INSERT INTO posts VALUES (1, 'hi', 'x'), (2, 'oh', 'y');
INSERT INTO tags VALUES (1, 'red'), (2, 'sad');
INSERT INTO tagged VALUES (1, 1), (1, 2), (2, 1), (2, 1), (2, 2);
"""


@pytest.fixture
def tagged(project: Project) -> Project:
    write(project, TAGGED)
    project.ok("undrop", "backup", "whole")
    write(project, "PRAGMA foreign_keys = ON; DELETE FROM posts WHERE id = 2")
    write(project, "DELETE FROM tagged WHERE tag_id = 2; DELETE FROM tags WHERE id = 2")
    return project


@pytest.mark.more
def test_rows_without_a_key_have_parents(tagged: Project) -> None:
    done = tagged.done("undrop", "recover", "rows tagged", "--where", "post_id = 2")
    assert "1 row(s) of posts (id 2)" in done.err
    assert tagged.sql("SELECT * FROM tagged ORDER BY 1, 2") == [(1, 1), (2, 1), (2, 1), (2, 2)]
    assert tagged.sql("SELECT name FROM tags") == [("red",), ("sad",)]


def test_rows_without_a_key_are_children(tagged: Project) -> None:
    done = tagged.done("undrop", "recover", "rows posts")
    assert "3 row(s) of tagged; undrop recover --from" in done.err.replace("just", "undrop")
    assert tagged.sql("SELECT count(*) FROM tagged") == [(1,)]
    tagged.ok("just", "undo")
    tagged.ok("just", "recover", "rows posts", "--with-children", "--from", "whole")
    assert tagged.sql("SELECT * FROM tagged ORDER BY 1, 2") == [(1, 1), (2, 1), (2, 1), (2, 2)]
    assert tagged.sql("SELECT name FROM tags") == [("red",), ("sad",)]


@pytest.mark.more
def test_rows_without_a_key_point_to_nobody_else(tagged: Project) -> None:
    write(tagged, "INSERT INTO posts VALUES (2, 'other', 'z')")
    done = tagged.run("undrop", "recover", "rows tagged")
    assert done.code == 4
    assert tagged.sql("SELECT * FROM tagged ORDER BY 1, 2") == [(1, 1), (1, 2)]
    tagged.ok("undrop", "recover", "rows tagged", "--from", "whole", "--new-keys")
    assert tagged.sql("SELECT * FROM tagged WHERE post_id = 3 ORDER BY 2") == [
        (3, 1), (3, 1), (3, 2)
    ]  # fmt: skip
    assert tagged.sql("SELECT text FROM posts ORDER BY id") == [("hi",), ("other",), ("oh",)]


def test_a_parent_without_a_key(project: Project) -> None:
    write(project, "CREATE TABLE p (x INT UNIQUE, v); INSERT INTO p VALUES (1, 2)")
    write(project, "CREATE TABLE c (id INTEGER PRIMARY KEY, x REFERENCES p (x))")
    write(project, "INSERT INTO c VALUES (1, 1)")
    project.ok("undrop", "backup")
    write(project, "DELETE FROM c; DELETE FROM p")
    project.ok("undrop", "recover", "rows p")
    assert project.sql("SELECT * FROM p") == [(1, 2)]


@pytest.mark.more
def test_what_keeps_no_text_cannot_be_indexed_anew(project: Project) -> None:
    """Its rows would be there, and no word of them."""
    write(project, "CREATE VIRTUAL TABLE bare USING fts5 (t, content=''); CREATE TABLE t (v)")
    write(project, "INSERT INTO bare (rowid, t) VALUES (1, 'oak'), (2, 'elm')")
    project.ok("undrop", "backup")
    step(project, "INSERT INTO bare (bare, rowid, t) VALUES ('delete', 1, 'oak')")
    done = project.refused(4, "undrop", "recover", "rows bare")
    assert "bare: it keeps no text" in done.err
    write(project, "INSERT INTO t VALUES (1)")
    assert "bare: it keeps no text" in project.refused(4, "undrop", "undo", "--keep").err
    project.ok("undrop", "undo", "--whole")
    assert project.sql("SELECT rowid FROM bare WHERE bare MATCH 'oak'") == [(1,)]
    step(project, "INSERT INTO bare (rowid, t) VALUES (3, 'fir')")
    write(project, "INSERT INTO t VALUES (2)")
    assert "bare: it keeps no text" in project.refused(4, "undrop", "undo", "--keep").err


def test_a_table_of_their_own_has_a_free_name_and_one_content(shop: Project) -> None:
    write(shop, "ALTER TABLE items DROP COLUMN price; DROP TABLE seen; CREATE VIEW v AS SELECT 1")
    for name in ("v", "LINES", "sqlite_x"):
        done = shop.refused(2, "undrop", "recover", "table seen", "--into", name)
        assert "another name" in done.err
    done = shop.refused(2, "undrop", "recover", "table seen", "items.price", "--into", "both")
    assert "one name at a time" in done.err


@pytest.mark.more
def test_all_of_a_table_names_columns_that_are_gone(shop: Project) -> None:
    write(shop, "ALTER TABLE items DROP COLUMN price; DELETE FROM lines")
    done = shop.refused(4, "undrop", "recover", "items")
    assert "items.price: there is no such column" in done.err
    [line] = [each for each in done.err.splitlines() if "--into" in each]
    assert "--into recovered_items_price items.price puts" in line
    [backup] = [each.name for each in shop.saved() if "whole" in each.name]
    shop.ok("just", "recover", "--from", backup, "--into", "recovered_items_price", "items.price")
    assert shop.sql("SELECT * FROM recovered_items_price WHERE id < 3") == [(1, 10), (2, 20)]


def test_a_row_that_was_emptied_is_no_other(forum: Project) -> None:
    write(forum, "UPDATE users SET name = NULL, mail = '' WHERE id = 1")
    forum.ok("undrop", "recover", "users", "--key", "1")
    assert forum.sql("SELECT name, mail FROM users WHERE id = 1") == [("ann", "a@x")]


@pytest.mark.more
def test_a_conflict_of_rows_says_what_they_have(shop: Project) -> None:
    step(shop, "DELETE FROM items WHERE id = 4")
    write(shop, "INSERT INTO items VALUES (4, 'screw', 90)")
    told = json.loads(shop.refused(4, "undrop", "recover", "rows items", "--json").out)
    [conflict] = told["conflicts"]
    assert conflict["live"] == {"name": "screw", "price": 90}
    assert conflict["other"] == {"name": "pin", "price": 40}
    done = shop.refused(4, "undrop", "undo", "--keep")
    assert "id 4: live has name 'screw', price 90; before has name 'pin', price 40" in done.err


@pytest.mark.parametrize("names", [("docs", "words"), ("words", "docs")])
def test_a_full_text_table_beside_the_one_whose_triggers_keep_it(
    project: Project, names: tuple[str, str]
) -> None:
    write(
        project,
        "CREATE TABLE docs (id INTEGER PRIMARY KEY, t); CREATE VIRTUAL TABLE words USING fts5 (t);"
        "CREATE TRIGGER a AFTER INSERT ON docs BEGIN"
        " INSERT INTO words (rowid, t) VALUES (new.id, new.t); END;"
        "INSERT INTO docs VALUES (1, 'oak'), (2, 'elm')",
    )
    project.ok("undrop", "backup")
    write(project, "DELETE FROM docs WHERE id = 2; DELETE FROM words WHERE rowid = 2")
    project.ok("undrop", "recover", *names)
    assert project.sql("SELECT rowid FROM words WHERE words MATCH 'elm'") == [(2,)]
    assert project.sql("SELECT count(*) FROM words, docs") == [(4,)]


TYPES = [("INT", "TEXT"), ("TEXT", "INT"), ("REAL", "VARCHAR(9)"), ("", "TEXT"), ("TEXT", "BLOB")]


@pytest.mark.more
@pytest.mark.parametrize(("old", "new"), TYPES)
@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "INT"])
def test_into_a_column_of_another_type_by_now(
    project: Project, old: str, new: str, key: str
) -> None:
    write(project, f"CREATE TABLE t (id {key}, zip {old})")
    write(project, "INSERT INTO t VALUES (1, '7'), (2, '8'), (3, '9'), (4, '9')")
    project.ok("undrop", "backup", "whole")
    rebuild = f"CREATE TABLE n (id {key}, zip {new}); INSERT INTO n SELECT * FROM t;"
    step(project, rebuild + "DROP TABLE t; ALTER TABLE n RENAME TO t")
    there = project.sql("SELECT * FROM t ORDER BY id")
    write(project, "DELETE FROM t WHERE id = 2")
    project.ok("undrop", "recover", "rows t", "--from", "whole")
    assert project.sql("SELECT * FROM t ORDER BY id") == there


@pytest.mark.parametrize(("old", "new"), TYPES)
@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "INT"])
def test_others_work_goes_back_through_a_change_of_type(
    project: Project, old: str, new: str, key: str
) -> None:
    before = f"CREATE TABLE t (id {key}, zip {old});"
    write(project, before + "INSERT INTO t VALUES (1, '7'), (2, '8'), (3, '9'), (4, '9')")
    rebuild = f"CREATE TABLE n (id {key}, zip {new}); INSERT INTO n SELECT * FROM t;"
    step(project, rebuild + "DROP TABLE t; ALTER TABLE n RENAME TO t")
    others = "INSERT INTO t VALUES (5, '11'); UPDATE t SET zip = '12' WHERE id = 1"
    write(project, others)
    project.ok("undrop", "undo", "--keep")
    with closing(sqlite3.connect(":memory:")) as expected:
        expected.executescript(before + others)
        expected.executescript("INSERT INTO t VALUES (1, '12'), (2, '8'), (3, '9'), (4, '9')")
        wanted = expected.execute("SELECT * FROM t ORDER BY id").fetchall()
    assert project.sql("SELECT * FROM t ORDER BY id") == wanted


def test_where_is_about_the_table_that_is_named(project: Project) -> None:
    """A table without a key whose rows point to it has no such column."""
    write(project, "CREATE TABLE p (id INTEGER PRIMARY KEY, name); INSERT INTO p VALUES (1, 'x')")
    write(project, "CREATE TABLE c (p REFERENCES p ON DELETE CASCADE); INSERT INTO c VALUES (1)")
    project.ok("undrop", "backup")
    write(project, "PRAGMA foreign_keys = ON; DELETE FROM p")
    project.ok("undrop", "recover", "rows p", "--where", "name = 'x'")
    assert project.sql("SELECT * FROM p") == [(1, "x")]


@pytest.mark.more
def test_what_only_its_application_can_write_to_is_told_with_what_can_be_done(
    project: Project,
) -> None:
    """Django's CheckConstraint with a regular expression, for one."""
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.create_function("regexp", 2, lambda pattern, text: bool(re.match(pattern, text)))
        connection.execute("CREATE TABLE codes (id INTEGER PRIMARY KEY, c CHECK (c REGEXP 'A'))")
        connection.execute("INSERT INTO codes VALUES (1, 'A'), (2, 'A')")
    whole = project.ok("undrop", "backup", "whole").strip()
    write(project, "DELETE FROM codes WHERE id = 1")
    told = project.refused(1, "undrop", "recover", "rows", "codes")
    assert "REGEXP" in told.err
    assert "the application's own" in told.err
    assert "diff live NAME --sql" in told.err
    assert "INSERT INTO" in project.ok("undrop", "diff", "live", whole, "--sql")
