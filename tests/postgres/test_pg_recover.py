"""``recover`` on PostgreSQL: what was lost comes back, and everything else stays."""

import json
import re

import pytest
from pg_merging import expected, rows
from pg_rich import Rich
from shop import half
from test_pg_keep import SHOP, made


@pytest.fixture
def shop(pg: Rich) -> Rich:
    made(pg, SHOP)
    pg.ok("undrop", "backup", "whole")
    return pg


def test_rows_come_back_and_what_came_since_stays(shop: Rich) -> None:
    others = "INSERT INTO items (name, price) VALUES ('screw', 9); UPDATE suppliers SET name = 'x'"
    shop.psql(f"DELETE FROM items WHERE id IN (1, 4); {others} WHERE id = 2")
    told = json.loads(shop.run("undrop", "recover", "--json").out)
    assert {each["name"] for each in told["lacking"]} >= {"rows items", "rows lines"}
    done = shop.done("undrop", "recover", "rows items", "--with-children")
    assert "2 row(s) back" in done.err
    assert rows(shop) == expected(shop, SHOP, f"{others} WHERE id = 2")
    shop.ok("undrop", "undo")
    assert shop.sql("SELECT id FROM items ORDER BY 1") == [(2,), (3,), (5,)]


@pytest.mark.full
def test_what_a_foreign_key_needs_comes_along(shop: Rich) -> None:
    shop.psql("DELETE FROM lines; DELETE FROM items WHERE id < 3; DELETE FROM suppliers")
    done = shop.done("undrop", "recover", "rows lines", "--key", "1")
    assert "needed by foreign keys: 1 row(s) of items (id 1)" in done.err
    assert "1 row(s) of suppliers (id 1)" in done.err
    assert shop.sql("SELECT id, supplier_id FROM items ORDER BY id") == [
        (1, 1), (3, None), (4, None)
    ]  # fmt: skip
    assert shop.sql("SELECT id, twice FROM lines") == [(1, 10)]
    [(line,)] = shop.sql("INSERT INTO lines (n, item_id) VALUES (1, 1) RETURNING id")
    assert line == 4


@pytest.mark.full
@pytest.mark.parametrize(
    ("where", "back"),
    [
        ("price > 1.9 AND price < 10", [2, 3, 4]),
        ("name ILIKE 'N%' -- and that", [1, 3]),
        ("items.price = 2.0", [2]),
        ("supplier_id IS NULL", [4]),
    ],
)
def test_an_expression_is_the_servers(shop: Rich, where: str, back: list[int]) -> None:
    shop.psql("DELETE FROM lines; DELETE FROM items")
    shop.ok("undrop", "recover", "rows items", "--where", where)
    assert shop.sql("SELECT id FROM items ORDER BY id") == [(id_,) for id_ in back]


@pytest.mark.parametrize(
    "where",
    half(
        [
            "true) UNION SELECT 1 FROM lines WHERE (true",
            "id IN (SELECT item_id FROM lines)",
            "true)); DROP TABLE public.items; SELECT ((1",
            "nothing = 1",
            "name LIKE",
            "price",
        ]
    ),
)
def test_an_expression_may_only_look_at_its_row(shop: Rich, where: str) -> None:
    shop.psql("DELETE FROM items WHERE id = 4")
    shop.refused(2, "undrop", "recover", "rows items", "--where", where)


@pytest.mark.full
def test_values_that_were_emptied_come_back_and_others_only_on_purpose(shop: Rich) -> None:
    shop.psql("UPDATE items SET price = NULL WHERE id < 3; UPDATE items SET price = 1 WHERE id = 4")
    done = shop.run("undrop", "recover", "items.price", "--json")
    assert done.code == 4
    [conflict] = json.loads(done.out)["conflicts"]
    assert (conflict["key"], conflict["live"], conflict["other"]) == ({"id": 4}, "1.00", "4.00")
    assert shop.sql("SELECT price::text FROM items ORDER BY id")[:2] == [("1.50",), ("2.00",)]
    shop.ok("undrop", "recover", "items.price", "--overwrite")
    assert rows(shop) == expected(shop, SHOP)


@pytest.mark.full
def test_what_the_schema_has_no_place_for_goes_into_a_table_of_its_own(shop: Rich) -> None:
    shop.psql(
        "CREATE TYPE mood AS ENUM ('sad', 'Ok'); ALTER TABLE items ADD mood mood DEFAULT 'Ok',"
        'ADD "At" timestamptz DEFAULT now(); CREATE TABLE legacy (v numeric(5,3)[], w int);'
        "INSERT INTO legacy VALUES ('{1.5,NULL}', 1), (NULL, 1), (NULL, 1)"
    )
    shop.ok("undrop", "backup")
    shop.psql('ALTER TABLE items DROP mood, DROP "At"; DROP TYPE mood; DROP TABLE legacy')
    shop.refused(2, "undrop", "recover", "items.mood")
    shop.ok("undrop", "recover", "items.mood", "--into", "moods")
    shop.ok("undrop", "recover", 'items."At"', "--into", "public.times")
    assert shop.sql("SELECT id, mood, pg_typeof(mood)::text FROM moods WHERE id = 1") == [
        (1, "Ok", "text")
    ]
    assert shop.sql('SELECT pg_typeof("At")::text FROM times LIMIT 1') == [
        ("timestamp with time zone",)
    ]
    shop.ok("undrop", "recover", "table legacy", "--into", "legacy")
    assert shop.sql("SELECT v::text, w FROM legacy ORDER BY 1") == [
        ("{1.500,NULL}", 1), (None, 1), (None, 1)
    ]  # fmt: skip


def test_rows_without_a_key_by_their_number(shop: Rich) -> None:
    shop.psql("DELETE FROM seen WHERE n = 1 OR n IS NULL; INSERT INTO seen VALUES ('roof', 3)")
    shop.ok("undrop", "recover", "seen")
    assert rows(shop) == expected(shop, SHOP, "INSERT INTO seen VALUES ('roof', 3)")


def test_a_row_that_live_refuses_stays_out(shop: Rich) -> None:
    shop.psql("DELETE FROM items WHERE id IN (3, 4); INSERT INTO items (name) VALUES ('pin')")
    done = shop.run("undrop", "recover", "rows items")
    assert done.code == 4
    assert 'violates unique constraint "items_name_key"' in done.err
    assert re.search(r"id 4: live has id 5, name 'pin'; \S+ has name 'pin'\n", done.err)
    assert shop.sql("SELECT id FROM items ORDER BY id") == [(1,), (2,), (3,), (5,)]


@pytest.mark.full
def test_what_went_with_them_is_said_with_a_line_that_works(shop: Rich) -> None:
    shop.psql("DELETE FROM items WHERE id < 3")
    done = shop.done("undrop", "recover", "rows items", "--json")
    told = json.loads(done.out)
    assert [(each["table"], each["rows"]) for each in told["children"]] == [("lines", 2)]
    assert shop.sql("SELECT id FROM lines") == [(3,)]
    said = done.err[done.err.index("gone with them") :]
    line = said[said.index("just recover") : said.index(" brings those")]
    shop.ok("sh", "-c", line)
    assert shop.sql("SELECT id FROM lines ORDER BY id") == [(1,), (2,), (3,)]


def test_where_is_about_the_table_that_is_named(pg: Rich) -> None:
    """A table without a key whose rows point to it has no such column."""
    shop = made(
        pg,
        "CREATE TABLE p (id text PRIMARY KEY); INSERT INTO p VALUES ('x');"
        "CREATE TABLE c (id int, p text REFERENCES p ON DELETE CASCADE);"
        "INSERT INTO c VALUES (1, 'x')",
    )
    shop.ok("undrop", "backup")
    shop.psql("DELETE FROM p")
    shop.ok("undrop", "recover", "rows p", "--where", "id = 'x'")
    assert shop.sql("SELECT * FROM p") == [("x",)]
