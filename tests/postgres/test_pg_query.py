"""``undrop sql`` and ``undrop diff --rows`` and ``--sql`` on a server."""

import json

import pytest
from pg_rich import Rich
from shop import half

TABLES = (
    "CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE,"
    " price numeric, made timestamptz, tags text[], data bytea, big text GENERATED ALWAYS AS"
    " (upper(name)) STORED);"
    "INSERT INTO items (name, price, made, tags, data) VALUES"
    " ('bolt', 5.00, '2024-01-01 08:00+00', '{a,\"b c\"}', '\\x00ff'),"
    " ('nut', NULL, NULL, NULL, ''), ('it''s', 7, NULL, '{}', NULL);"
    "CREATE TABLE log (what text, n float8);"
    "INSERT INTO log VALUES ('a', 1), ('a', 1), ('b', NULL), (NULL, 'NaN');"
    'CREATE SCHEMA audit; CREATE TABLE audit."Odd one" (k text, n int, PRIMARY KEY (n, k));'
    "INSERT INTO audit.\"Odd one\" VALUES ('x', 1);"
    "CREATE TABLE children (item int REFERENCES items ON DELETE CASCADE);"
    "INSERT INTO children VALUES (1);"
    "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN INSERT INTO log VALUES ('noted', 0); RETURN NEW; END$$;"
    "CREATE TRIGGER noted AFTER INSERT OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION noted()"
)


@pytest.fixture
def kept(pg: Rich) -> Rich:
    pg.script(TABLES)
    pg.ok("undrop", "backup")
    pg.sql("DELETE FROM items WHERE name = 'nut'")
    pg.sql("DELETE FROM log WHERE what = 'noted'")
    return pg


def answer(pg: Rich, *words: str) -> list[list[object]]:
    rows: list[list[object]] = json.loads(pg.ok("undrop", "sql", "--json", *words))["rows"]
    return rows


@pytest.mark.smoke
def test_live_and_a_dump_are_asked_and_stay_as_they_are(kept: Rich) -> None:
    before = kept.tree()
    assert answer(kept, "SELECT count(*) FROM items") == [[2]]
    assert answer(kept, "latest", "SELECT count(*) FROM items") == [[3]]
    assert answer(kept, "latest", "SELECT 1 WHERE false") == []
    assert answer(kept, "latest", "SELECT * FROM items ORDER BY id LIMIT 1") == [
        [1, "bolt", "5.00", "2024-01-01 08:00:00+00", '{a,"b c"}', "x'00ff'", "BOLT"]
    ]
    assert answer(kept, "SHOW transaction_read_only") == [["on"]]
    assert answer(kept, "EXPLAIN (COSTS off) SELECT 1") == [["Result"]]
    assert answer(kept, "TABLE log")[2:] == [["b", None], [None, "nan"]]
    assert "id  name" in kept.ok("undrop", "sql", "SELECT id, name FROM items")
    assert kept.tree() == before
    assert kept.litter() == []


@pytest.mark.parametrize(
    ("query", "said"),
    half(
        [
            ("DELETE FROM items", "DELETE is refused: a query is read only"),
            ("COPY items TO 'COPIED'", "COPY is refused"),
            ("COMMIT", "COMMIT is refused"),
            ("SELECT nextval('items_id_seq')", "nextval() in a read-only transaction is refused"),
            ("WITH a AS (DELETE FROM items RETURNING 1) SELECT * FROM a", "the server says"),
            ("SELECT 1; DELETE FROM items", "the server says"),
            ("SHOW ALL; DELETE FROM items", "the server says"),
            ("SELEC 1", "SELEC is refused"),
            ("SELECT nothing", 'the server says: column "nothing" does not exist'),
            ("/* only */ -- this", "no query"),
        ]
    ),
)
def test_what_would_change_anything_is_refused(kept: Rich, query: str, said: str) -> None:
    copied = kept.server.folder / "copied"
    query = query.replace("COPIED", str(copied))
    assert said in kept.refused(2, "undrop", "sql", query).err
    assert not copied.exists()


@pytest.mark.full
def test_a_statement_timeout_is_the_roles_own(kept: Rich) -> None:
    kept.sql(f"ALTER DATABASE \"{kept.name}\" SET statement_timeout = '50ms'")
    done = kept.refused(1, "undrop", "sql", "SELECT pg_sleep(60)")
    assert "statement timeout" in done.err


def test_the_shell_is_psql_and_only_reads(kept: Rich) -> None:
    before = kept.tree()
    for name, count in (("live", "2"), ("latest", "3")):
        said = b"\\t \\\\ SELECT count(*) FROM items; DELETE FROM items;"
        done = kept.told(said, "undrop", "sql", name)
        assert count in done.out.split()
        assert "read-only transaction" in done.err
    assert kept.tree() == before
    assert kept.litter() == []


@pytest.mark.full
def test_rows_that_differ_are_listed(kept: Rich) -> None:
    kept.sql("UPDATE items SET price = 8, name = 'x' WHERE id = 1")
    kept.sql("INSERT INTO log VALUES ('new', 2)")
    assert kept.ok("undrop", "diff", "--rows").splitlines() == [
        "items  3 -> 2",
        "  - id=2, name='nut', price=NULL, made=NULL, tags=NULL, data='\\\\x'",
        "  ~ id=1: name='bolt' -> 'x', price='5' -> '8'",
        "log  4 -> 5",
        "  + what='new', n='2'",
    ]


def test_statements_give_a_copy_the_others_rows(kept: Rich) -> None:
    kept.sql("UPDATE items SET price = 5.0, name = 'it' WHERE id = 1")
    kept.sql("UPDATE items SET data = '\\x01', tags = '{\"q\"}' WHERE id = 3")
    kept.sql("DELETE FROM log WHERE ctid = (SELECT ctid FROM log WHERE what = 'a' LIMIT 1)")
    kept.sql("INSERT INTO log VALUES (NULL, 'Infinity'), (NULL, NULL)")
    kept.sql("UPDATE audit.\"Odd one\" SET k = E'y\\ny'")
    after = kept.content()
    statements = kept.ok("undrop", "diff", "live", "latest", "--sql")
    back = kept.ok("undrop", "diff", "latest", "live", "--sql")
    kept.sql(statements)
    assert kept.done("undrop", "diff", "--rows").out == ""
    assert kept.done("undrop", "diff", "--sql").out == ""
    kept.sql(back)
    assert kept.content() == after


@pytest.mark.full
def test_statements_are_for_rows_alone(kept: Rich) -> None:
    kept.sql("ALTER TABLE log ADD COLUMN more int")
    done = kept.refused(2, "undrop", "diff", "--sql")
    assert "the definitions differ (table log)" in done.err
