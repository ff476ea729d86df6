"""What a migration takes away on PostgreSQL is told; what it keeps in another form is not."""

# ruff: noqa: E501 - a migration stands in one line

import itertools
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from server import Server
from shop import half

from undrop.compare import losses
from undrop.engines.postgres import address, compare
from undrop.errors import UndropError

NUMBERS = itertools.count(1)
BASE = r"""
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE SCHEMA app;
CREATE TABLE items (id int PRIMARY KEY, name varchar(40) NOT NULL, price numeric(10, 2), n int,
    at timestamptz, day date, yes boolean, j json, jb jsonb, a int[], m mood, b bytea, f float8);
CREATE INDEX by_name ON items (name);
INSERT INTO items SELECT g, 'N' || g, g + 0.5, g, '2024-01-01 12:00+00'::timestamptz + g * '1 h'::interval,
    '2024-01-01', g % 2 = 0, '{"a": 1}', '{"a": 1}', ARRAY[g, NULL], 'ok', '\x00ff', g / 3.0
    FROM generate_series(1, 20) g;
UPDATE items SET price = 5.00 WHERE id = 5;
CREATE TABLE moves (id int PRIMARY KEY, item int REFERENCES items ON DELETE CASCADE);
INSERT INTO moves SELECT g, 1 + g % 20 FROM generate_series(1, 40) g;
CREATE TABLE "Pair %" (a int, "B b" text, v text, PRIMARY KEY (a, "B b"));
INSERT INTO "Pair %" SELECT g, 'k' || g, 'v' FROM generate_series(1, 5) g;
CREATE TABLE keyless (v text, n int); INSERT INTO keyless VALUES ('a', 1), ('a', 1), ('b', NULL);
CREATE TABLE app.parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.parts_x PARTITION OF app.parts DEFAULT;
INSERT INTO app.parts VALUES (1, '2024-05-05'), (2, '2020-01-01');
CREATE TABLE animals (name text); CREATE TABLE dogs (tail int) INHERITS (animals);
INSERT INTO animals VALUES ('ant'); INSERT INTO dogs VALUES ('rex', 1);
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noting BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE VIEW names AS SELECT name FROM moves JOIN items ON items.id = moves.item;
CREATE POLICY mine ON keyless USING (true);
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE TABLE releases (version_num int); INSERT INTO releases VALUES (1), (2);
SELECT lo_from_bytea(777, 'old'), lo_from_bytea(778, 'other');
"""


@pytest.fixture(scope="module")
def migrated(server: Server) -> Callable[..., losses.Report]:
    """What is reported for a migration in SQL."""
    base = f"loss_base_{next(NUMBERS)}"
    server.sql(f"CREATE DATABASE {base}")
    server.sql(BASE, base)

    def run(sql: str, first: str = "") -> losses.Report:
        one, two = (f"loss_{next(NUMBERS)}" for _ in range(2))
        try:
            server.sql(f"CREATE DATABASE {one} TEMPLATE {base}")
            if first:
                server.sql(first, one)
            server.sql(f"CREATE DATABASE {two} TEMPLATE {one}")
            server.sql(sql, two)
            found = compare.databases(
                address.parse(server.url(one)), address.parse(server.url(two)),
                lambda *_: None, "undrop-test-", copied=True,
            )  # fmt: skip
            return losses.report(found)
        finally:
            server.sql(f"DROP DATABASE IF EXISTS {one} WITH (FORCE)")
            server.sql(f"DROP DATABASE IF EXISTS {two} WITH (FORCE)")

    return run


@pytest.mark.parametrize(
    "sql",
    half([
        "ALTER TABLE items RENAME TO things",
        "ALTER TABLE items RENAME name TO title",
        "ALTER TABLE items RENAME TO things; ALTER TABLE things RENAME price TO cost; DROP VIEW names; CREATE VIEW names AS SELECT name FROM moves JOIN things ON things.id = moves.item",
        "ALTER TABLE items SET SCHEMA app",
        "ALTER TABLE items ALTER n TYPE bigint",
        "ALTER TABLE items ALTER n TYPE numeric",
        "ALTER TABLE items ALTER n TYPE text",
        "ALTER TABLE items ALTER price TYPE numeric(12, 4)",
        "ALTER TABLE items ALTER price TYPE text",
        "DROP VIEW names; ALTER TABLE items ALTER name TYPE text; CREATE VIEW names AS SELECT name FROM moves JOIN items ON items.id = moves.item",
        "ALTER TABLE items ALTER j TYPE jsonb",
        "ALTER TABLE items ALTER m TYPE text USING m::text",
        "ALTER TABLE items ALTER day TYPE text",
        "ALTER TABLE items ALTER day TYPE timestamp",
        "ALTER TABLE items ALTER yes TYPE int USING yes::int",
        "ALTER TABLE items ALTER yes TYPE text",
        "ALTER TABLE items ALTER at TYPE timestamp USING at AT TIME ZONE 'UTC'",
        "ALTER TABLE items ALTER a TYPE bigint[]",
        "ALTER TABLE items ADD extra text DEFAULT 'x'",
        "ALTER TABLE items ALTER name SET DEFAULT 'x', ALTER n SET NOT NULL",
        "UPDATE keyless SET n = 7 WHERE n IS NULL",
        "INSERT INTO \"Pair %\" VALUES (9, 'x', 'y')",
        "CREATE TABLE app.parts_2 PARTITION OF app.parts FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')",
        "ALTER TABLE app.parts DETACH PARTITION app.parts_x; INSERT INTO app.parts SELECT * FROM app.parts_x WHERE false; ALTER TABLE app.parts ATTACH PARTITION app.parts_x DEFAULT",
        "ALTER INDEX by_name RENAME TO by_title",
        "CREATE OR REPLACE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS 'SELECT x + x'",
        "ALTER TABLE items ADD CONSTRAINT c CHECK (n > 5) NOT VALID",
        "CREATE TABLE copy AS SELECT * FROM moves; DROP TABLE moves CASCADE; ALTER TABLE copy RENAME TO moves; ALTER TABLE moves ADD PRIMARY KEY (id), ADD FOREIGN KEY (item) REFERENCES items ON DELETE CASCADE; CREATE VIEW names AS SELECT name FROM moves JOIN items ON items.id = moves.item",
    ]),
)  # fmt: skip
def test_nothing_is_lost(migrated: Callable[..., losses.Report], sql: str) -> None:
    assert migrated(sql).losses == []


@pytest.mark.parametrize(
    ("sql", "names"),
    half(
        [
            ("DELETE FROM items WHERE id = 3", {"rows items", "rows moves"}),
            ("DROP TABLE moves CASCADE", {"table moves", "view names"}),
            ("ALTER TABLE items DROP price", {"items.price"}),
            ("UPDATE items SET price = price * 100", {"items.price"}),
            ("UPDATE items SET f = f + 1e-12 WHERE id = 7", {"items.f"}),
            ("UPDATE items SET at = at + '1 us'::interval WHERE id = 7", {"items.at"}),
            ("ALTER TABLE items ALTER n TYPE text USING 'x' || n", {"items.n"}),
            ("ALTER TABLE items ALTER price TYPE int", {"items.price"}),
            ("ALTER TABLE items ALTER at TYPE date", {"items.at"}),
            ("ALTER TABLE items ALTER a TYPE int USING a[1]", {"items.a"}),
            ("UPDATE items SET jb = jb - 'a' WHERE id = 1", {"items.jb"}),
            ("UPDATE items SET b = NULL WHERE id = 1", {"items.b"}),
            ("UPDATE \"Pair %\" SET v = 'w' WHERE a = 1", {'"Pair %".v'}),
            ('DELETE FROM "Pair %" WHERE a = 1', {'rows "Pair %"'}),
            ('ALTER TABLE "Pair %" DROP "B b"', {'"Pair %"."B b"'}),
            ("DELETE FROM keyless WHERE v = 'b'", {"rows keyless"}),
            ("DELETE FROM keyless WHERE ctid = '(0,1)'", {"rows keyless"}),
            ("DROP TABLE app.parts_x", {"rows app.parts"}),
            ("DROP TABLE app.parts", {"table app.parts"}),
            ("DELETE FROM app.parts WHERE id = 1", {"rows app.parts"}),
            ("DELETE FROM dogs", {"rows dogs"}),
            ("DELETE FROM ONLY animals", {"rows animals"}),
            ("DROP SCHEMA app CASCADE", {"table app.parts", "schema app"}),
            ("DROP INDEX by_name", {"index by_name"}),
            ("DROP TRIGGER noting ON items", {"trigger noting"}),
            ("DROP VIEW names", {"view names"}),
            ("DROP FUNCTION twice", {"function twice(integer)"}),
            ("DROP POLICY mine ON keyless", {"policy mine"}),
            ("TRUNCATE moves", {"rows moves"}),
            ("SELECT lo_unlink(778)", {"rows large objects"}),
            ("SELECT lo_put(777, 0, 'new')", {"large objects.content"}),
            ("SELECT lo_unlink(oid) FROM pg_largeobject_metadata", {"table large objects"}),
            ("DROP AGGREGATE total(int)", {"function total(integer)"}),
            ("DELETE FROM releases", {"rows releases"}),
        ]
    ),
)
def test_what_is_lost(migrated: Callable[..., losses.Report], sql: str, names: set[str]) -> None:
    assert {each.name for each in migrated(sql).losses} == names


@pytest.mark.smoke
def test_lost_guarantees_are_warned_of(migrated: Callable[..., losses.Report]) -> None:
    found = migrated("ALTER TABLE moves DROP CONSTRAINT moves_item_fkey")
    assert found.losses == []
    assert len(found.warnings) == 1


WEAKER = {
    "ALTER TABLE items RENAME name TO title": set(),
    "ALTER TABLE items RENAME TO products": set(),
    "DROP INDEX few; CREATE INDEX few ON items (n)": {
        "index few had UNIQUE (n), has none",
        "index few had WHERE (n > 3), has none",
    },
    "ALTER TABLE counted ALTER v DROP DEFAULT": {"counted: v had DEFAULT 'x'::text, has none"},
    "ALTER TABLE counted ALTER id DROP DEFAULT": {"counted: id had DEFAULT nextval(), has none"},
    "ALTER TABLE counted ALTER id DROP DEFAULT, ALTER id ADD GENERATED ALWAYS AS IDENTITY": set(),
    "ALTER TABLE counted ALTER twice DROP EXPRESSION": {
        "counted: twice had GENERATED ALWAYS AS ((n * 2)), has none"
    },
    "ALTER TABLE counted RENAME n TO m": set(),
    "ALTER TABLE counted ALTER CONSTRAINT late NOT DEFERRABLE": {
        "counted: foreign key (n) to items had DEFERRABLE INITIALLY DEFERRED, has none"
    },
    "ALTER POLICY mine ON keyless USING (false)": {'policy mine had "* t true", has "* t false"'},
}
"""A new name, or another kind of counting, is nothing weaker."""


@pytest.mark.parametrize(("sql", "said"), half(WEAKER.items()), ids=WEAKER)
def test_what_is_weaker_is_said_in_words_of_its_own(
    migrated: Callable[..., losses.Report], sql: str, said: set[str]
) -> None:
    first = (
        "CREATE UNIQUE INDEX few ON items (n) WHERE n > 3;"
        "CREATE TABLE counted (id serial PRIMARY KEY, v text DEFAULT 'x', n int CONSTRAINT late"
        " REFERENCES items DEFERRABLE INITIALLY DEFERRED,"
        " twice int GENERATED ALWAYS AS (n * 2) STORED)"
    )
    found = migrated(sql, first)
    assert (found.losses, set(found.warnings)) == ([], said)


def test_names_that_the_case_of_letters_tells_apart_are_not_taken_for_one(
    migrated: Callable[..., losses.Report],
) -> None:
    for names in ('"Ab" (v int); CREATE TABLE "AB"', 'ab ("Xa" int, "XA" int); CREATE TABLE ac'):
        with pytest.raises(UndropError, match="differ in the case of letters only"):
            migrated("SELECT 1", f"CREATE TABLE {names} (v int)")


def test_row_level_security_that_is_turned_off_is_told(
    migrated: Callable[..., losses.Report],
) -> None:
    on = "ALTER TABLE items ENABLE ROW LEVEL SECURITY"
    assert migrated("SELECT 1", on).changes == []
    assert "items" in str(migrated("ALTER TABLE items DISABLE ROW LEVEL SECURITY", on).changes)


BESIDE = r"""
CREATE SEQUENCE numbers; CREATE SEQUENCE other; SELECT setval('numbers', 70), setval('other', 7);
CREATE TABLE held (id serial PRIMARY KEY, secret text); INSERT INTO held (secret) VALUES ('a'), ('b');
CREATE TABLE told (id int); CREATE RULE quiet AS ON DELETE TO told DO INSTEAD NOTHING;
ALTER TABLE held ENABLE ROW LEVEL SECURITY; ALTER TABLE held FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT ON held TO pg_monitor; GRANT UPDATE (secret) ON held TO pg_monitor;
GRANT USAGE ON SCHEMA app TO pg_monitor; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor;
CREATE VIEW seen AS SELECT id FROM held; GRANT SELECT ON seen TO pg_monitor;
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION on_ddl();
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple);
CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;
CREATE USER MAPPING FOR postgres SERVER far OPTIONS (password 'hidden');
CREATE FOREIGN TABLE away (v int) SERVER far;
CREATE DOMAIN short AS text CONSTRAINT fits CHECK (length(VALUE) < 9); CREATE TYPE unused AS ENUM ('a');
CREATE COLLATION plainly FROM "C"; CREATE PUBLICATION told_of FOR TABLE told;
CREATE FUNCTION plus(mood, mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE OPERATOR <#> (LEFTARG = mood, RIGHTARG = mood, FUNCTION = plus);
CREATE STATISTICS both_of ON id, name FROM items;
CREATE TABLE twice (id int PRIMARY KEY, j json); INSERT INTO twice VALUES (1, '{"a": 1, "a": 2}'), (2, '{"b":":"}');
"""


@pytest.mark.more
def test_what_is_lost_beside_tables_and_rows(migrated: Callable[..., losses.Report]) -> None:
    """Each is told of by its name, and no secret with it; nothing twice."""
    assert migrated("SELECT 1", BESIDE)[:2] == ([], [])
    found = migrated(
        "DROP SEQUENCE numbers; SELECT setval('other', 3), setval('held_id_seq', 1);"
        "DROP RULE quiet ON told; ALTER TABLE held NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;"
        "REVOKE INSERT, UPDATE ON held FROM pg_monitor; REVOKE USAGE ON SCHEMA app FROM pg_monitor;"
        "REVOKE EXECUTE ON FUNCTION twice(int) FROM PUBLIC;"
        "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM pg_monitor; DROP VIEW seen;"
        "CREATE OR REPLACE VIEW names AS SELECT name FROM items; DROP EVENT TRIGGER watching;"
        "DROP TEXT SEARCH CONFIGURATION plain; DROP TEXT SEARCH DICTIONARY words; DROP SERVER far CASCADE;"
        "ALTER DOMAIN short DROP CONSTRAINT fits; DROP TYPE unused; DROP COLLATION plainly;"
        "DROP PUBLICATION told_of; DROP OPERATOR <#> (mood, mood); DROP STATISTICS both_of;"
        "ALTER TABLE twice ALTER j TYPE jsonb",
        BESIDE,
    )
    assert {each.name for each in found.losses} == {
        "sequence numbers", "counter other", "counter held_id_seq", "rule quiet", "view seen",
        "row level security on held", "forced row level security on held",
        "grant INSERT ON held TO pg_monitor", "grant UPDATE ON held (secret) TO pg_monitor",
        "grant USAGE ON SCHEMA app TO pg_monitor", "grant EXECUTE ON FUNCTION twice(integer) TO PUBLIC",
        "default grant SELECT ON TABLES OF postgres TO pg_monitor", "event trigger watching",
        "text search configuration plain", "text search dictionary words", "foreign server far",
        "user mapping postgres ON far", "foreign table away", "type unused", "collation plainly",
        "publication told_of", "operator <#> (public.mood, public.mood)", "statistics both_of", "twice.j",
    }  # fmt: skip
    assert {text.split(" had ")[0] for text in found.warnings} == {"view names", "type short"}
    assert "hidden" not in str(found)
    [twice] = [each for each in found.losses if each.name == "twice.j"]
    assert twice.lost == 1


MOVED = r"""
CREATE TABLE told (id int, name text); CREATE RULE quiet AS ON DELETE TO told DO INSTEAD UPDATE told SET id = 1 WHERE false;
CREATE TRIGGER noting BEFORE UPDATE OF name ON told FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE INDEX told_names ON told (name); CREATE STATISTICS both_of ON id, name FROM told;
CREATE PUBLICATION told_of FOR TABLE told, items; CREATE POLICY mine ON told USING (id > 1);
CREATE FUNCTION alone() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE lists (id int PRIMARY KEY, t text[], j jsonb); INSERT INTO lists VALUES (1, '{a,NULL,"b c"}', '[1, 2]'), (2, '[0:1]={a,b}', NULL);
"""


@pytest.mark.more
def test_what_is_called_otherwise_or_is_elsewhere_is_told_of_by_nothing(
    migrated: Callable[..., losses.Report],
) -> None:
    found = migrated(
        "ALTER TABLE told SET SCHEMA app; ALTER FUNCTION twice RENAME TO doubled;"
        "ALTER FUNCTION alone SET SCHEMA app; ALTER TABLE lists ALTER t TYPE jsonb USING to_jsonb(t)",
        MOVED,
    )
    assert [(each.name, each.lost) for each in found.losses] == [("lists.t", 1)]  # where it began
    assert found.warnings == []


MEANT = r"""
CREATE TYPE state AS ENUM ('on', 'off', 'gone');
CREATE TABLE meant (id int PRIMARY KEY, ip text, ok text, u text, d text, n text, f float8, s state,
    c char(5), k varchar(9), j text, z varchar(40));
INSERT INTO meant VALUES (1, '10.0.0.1', 'yes', 'A0EEBC999C0B4EF8BB6D6BB9BD380A11', '2024-1-5', '5.00',
    1.5, 'on', 'ab', 'K', '{"a":1}', '2024-01-05 12:00'), (2, '::1', 'f',
    '{b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '20240229', '-7', 0.1, 'off', '', 'l', '[]', '2024-01-05 00:00:00');
CREATE TABLE joins (id int, at date); INSERT INTO joins VALUES (1, '2040-05-05'), (2, '2040-06-06');
"""


LESS = r"""
CREATE SCHEMA empty; CREATE TYPE pair AS (a int, b text); CREATE TYPE more AS (a int); CREATE TABLE logged (id int);
CREATE TABLE repl (id int NOT NULL UNIQUE); ALTER TABLE repl REPLICA IDENTITY USING INDEX repl_id_key;
CREATE TABLE room (during int4range, c text COLLATE "C", EXCLUDE USING gist (during WITH &&));
CREATE TABLE par (a int); CREATE TABLE kid (b int) INHERITS (par); GRANT USAGE ON TYPE pair TO pg_monitor;
CREATE POLICY few_of ON room TO pg_monitor USING (true); CREATE TRIGGER off BEFORE INSERT ON room FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE OPERATOR CLASS oc FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
CREATE CONVERSION cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; CREATE TRUSTED LANGUAGE lang HANDLER plpgsql_call_handler;
CREATE ACCESS METHOD am TYPE TABLE HANDLER heap_tableam_handler; GRANT SELECT ON LARGE OBJECT 777 TO pg_monitor;
"""


@pytest.mark.more
def test_what_is_lost_that_is_rarely_thought_of(migrated: Callable[..., losses.Report]) -> None:
    """And by a new name, or by what a type has besides, nothing is."""
    renamed = "ALTER TYPE mood ADD VALUE 'glad' BEFORE 'ok'; ALTER TYPE more ADD ATTRIBUTE c int; ALTER TYPE pair RENAME TO two; ALTER SCHEMA empty RENAME TO still; ALTER TABLE kid RENAME TO child; ALTER TABLE room RENAME TO rooms"
    assert migrated(renamed, LESS)[:2] == ([], [])
    found = migrated(
        "DROP SCHEMA empty; ALTER TABLE logged SET UNLOGGED; ALTER TABLE repl REPLICA IDENTITY NOTHING;"
        "ALTER TABLE room DROP CONSTRAINT room_during_excl; ALTER TABLE kid NO INHERIT par;"
        'ALTER TABLE room ALTER c TYPE text COLLATE "default"; REVOKE USAGE ON TYPE pair FROM pg_monitor;'
        "ALTER POLICY few_of ON room TO PUBLIC; ALTER TABLE room DISABLE TRIGGER off; DROP OPERATOR CLASS oc USING btree;"
        "DROP CONVERSION cv; DROP LANGUAGE lang; DROP ACCESS METHOD am; REVOKE SELECT ON LARGE OBJECT 777 FROM pg_monitor",
        LESS,
    )
    assert {each.name for each in found.losses} == {
        "schema empty", "exclusion room_during_excl", "inheritance of kid from par", "grant USAGE ON TYPE pair TO pg_monitor",
        "operator class oc", "conversion cv", "language lang", "access method am",
        "grant SELECT ON LARGE OBJECT 777 TO pg_monitor",
    }  # fmt: skip
    assert {text.split(" had ")[0] for text in found.warnings} == {
        "logged: LOGGED is gone", "repl:", "room: c", "policy few_of", "trigger off",
    }  # fmt: skip


TIMES = r"""
CREATE TYPE state AS ENUM ('on', 'off');
CREATE TABLE times (id int PRIMARY KEY, local timestamp, moment timestamptz, said text, day date, many state[],
    z text, old text, b bytea, c money, told text, j text);
INSERT INTO times VALUES (1, '2024-07-05 12:00', '2024-07-05 12:00+00', '2024-07-05 12:00', '2024-07-05', '{on,off}',
    '2024-07-05T12:00:00Z', '2024-07-05', 'a', 1234.5, '7.50', '{"a": 1}'),
    (2, '2024-01-05 12:00', '2024-10-27 00:30+00', '2024-01-05 12:00', NULL, NULL,
    '2024-07-05 12:00+02', '2024-07-05 00:00', '\x00ff', NULL, '8', '[1]');
"""
ZONE = """DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone TO %L',
    current_database(), 'Europe/Berlin'); END $$; SET TimeZone TO 'Europe/Berlin';"""
CONVERTED: dict[str, set[str]] = {
    "ALTER local TYPE timestamptz, ALTER moment TYPE text, ALTER said TYPE timestamptz USING said::timestamptz": set(),
    "ALTER local TYPE timestamptz USING local AT TIME ZONE 'UTC'": {"times.local"},
    "ALTER day TYPE timestamptz, ALTER said TYPE timestamp USING said::timestamp": set(),
    "ALTER day TYPE timestamptz USING day::timestamp AT TIME ZONE 'UTC'": {"times.day"},
    "ALTER moment TYPE timestamp": {"times.moment"},  # an hour that comes twice was one of them
    "ALTER z TYPE timestamp USING z::timestamp": {"times.z"},
    "ALTER z TYPE timestamp USING z::timestamptz": set(),
    "ALTER z TYPE timestamptz USING z::timestamptz, ALTER old TYPE date USING old::date": set(),
    "ALTER said TYPE date USING said::date": {"times.said"},
    "ALTER z TYPE time USING z::timestamp::time": {"times.z"},
    "ALTER b TYPE text USING encode(b, 'escape'), ALTER c TYPE numeric, ALTER j TYPE jsonb USING j::jsonb": set(),
    "ALTER b TYPE text, ALTER c TYPE text, ALTER told TYPE money USING told::money": set(),
    "ALTER many TYPE text[] USING many::text[]": set(),
}
"""What is lost in a database that is in Berlin."""


@pytest.mark.more
def test_a_text_is_read_where_a_type_holds_all_of_it_and_a_time_in_the_database_s_zone(
    migrated: Callable[..., losses.Report],
) -> None:
    def found(sql: str, first: str = "") -> set[str]:
        return {each.name for each in migrated(ZONE + sql, TIMES + first).losses}

    got = {sql: found(f"ALTER TABLE times {sql}") for sql in CONVERTED}
    assert got == CONVERTED
    assert found("ALTER TYPE state RENAME VALUE 'on' TO 'running'") == set()
    twice = """UPDATE times SET j = '{"a": 1, "a": 2}', told = '7.505' WHERE id = 1;"""
    kept = "ALTER TABLE times ALTER j TYPE jsonb USING j::jsonb, ALTER told TYPE money USING told::money"
    assert found(kept, twice) == {"times.j", "times.told"}


@pytest.mark.more
def test_what_means_the_same_is_not_lost(migrated: Callable[..., losses.Report]) -> None:
    """A key of another type too; and what does not mean the same is lost still."""
    kept = (
        "ALTER TABLE meant ALTER id TYPE text, ALTER ip TYPE inet USING ip::inet,"
        " ALTER ok TYPE boolean USING ok::boolean, ALTER u TYPE uuid USING u::uuid,"
        " ALTER d TYPE date USING d::date, ALTER n TYPE numeric(9, 3) USING n::numeric,"
        " ALTER f TYPE numeric, ALTER c TYPE text, ALTER k TYPE text,"
        " ALTER j TYPE jsonb USING j::jsonb, ALTER z TYPE timestamp USING z::timestamp;"
        "ALTER TYPE state RENAME VALUE 'on' TO 'running';"
        "ALTER TABLE app.parts ATTACH PARTITION joins FOR VALUES FROM ('2040-01-01') TO ('2041-01-01');"
        "ALTER TABLE app.parts DETACH PARTITION app.parts_1"
    )
    assert migrated(kept, MEANT).losses == []
    lost = (
        "ALTER TABLE meant ALTER id TYPE text, ALTER ip TYPE inet USING '10.0.0.2',"
        " ALTER ok TYPE boolean USING NOT ok::boolean, ALTER d TYPE date USING d::date + 1;"
        "DELETE FROM meant WHERE id = '2'; UPDATE meant SET s = 'gone';"
        "ALTER TABLE app.parts ATTACH PARTITION joins FOR VALUES FROM ('2040-01-01') TO ('2041-01-01');"
        "DELETE FROM app.parts WHERE id = 2"  # of either
    )
    names = {"meant.ip", "meant.ok", "meant.d", "rows meant", "meant.s"}
    names |= {"rows joins", "rows app.parts"}
    assert {each.name for each in migrated(lost, MEANT).losses} == names


def test_odd_values(migrated: Callable[..., losses.Report]) -> None:
    """NaN, infinity, empty and NULL are values of their own."""
    first = (
        "INSERT INTO items (id, name, price, f, at) VALUES (50, '', 'NaN', 'Infinity', 'infinity');"
        "INSERT INTO items (id, name) VALUES (51, ' ')"
    )
    assert migrated("SELECT 1", first).losses == []
    changed = "UPDATE items SET f = '-Infinity', at = '-infinity', price = 0 WHERE id = 50"
    assert {each.name for each in migrated(changed, first).losses} == {
        "items.f", "items.at", "items.price",
    }  # fmt: skip


LOSSLESS = [
    "ALTER TABLE {t} RENAME TO {t}2",
    "ALTER TABLE {t} RENAME c1 TO c9",
    "ALTER TABLE {t} ADD extra int DEFAULT 4",
    "ALTER TABLE {t} ALTER c0 TYPE text",
    "CREATE INDEX ON {t} (c1)",
    "CLUSTER {t} USING {t}_pkey",
]
NAMES = "SELECT attname FROM pg_attribute WHERE attname ~ '^c[0-9]$'"
VALUES: dict[str, Any] = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "numeric": st.decimals(allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12),
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    "float8": st.floats(allow_nan=True),
    "boolean": st.booleans(),
    "timestamp": st.datetimes(),
    "bytea": st.binary(max_size=6),
}


@hypothesis_settings(
    max_examples=30, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_any_database(server: Server, data: st.DataObject) -> None:
    """No loss is reported where none is, and one is wherever a value, or a row, is gone."""
    kinds = data.draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=2, max_size=4))
    row = st.tuples(*(st.none() | VALUES[kind] for kind in kinds))
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    one, two = (f"any_{next(NUMBERS)}" for _ in range(2))
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(kinds))
    try:
        server.sql(f"CREATE DATABASE {one}")
        with psycopg.connect(host=str(server.folder), dbname=one, user="postgres") as connection:
            connection.execute(f"CREATE TABLE t (id int PRIMARY KEY, {columns})")
            marks = ", ".join(["%s"] * (len(kinds) + 1))
            for number, values in enumerate(rows):
                connection.execute(f"INSERT INTO t VALUES ({marks})", (number, *values))
        connection.close()
        server.sql(f"CREATE DATABASE {two} TEMPLATE {one}")
        lossy = data.draw(st.booleans())
        wanted = set()
        if lossy:
            victim = data.draw(st.integers(0, len(rows) - 1))
            at = data.draw(st.integers(0, len(kinds) - 1))
            if rows[victim][at] in {None, "", b""} or str(rows[victim][at]).isspace():
                server.sql(f"DELETE FROM t WHERE id = {victim}", two)
                wanted = {"rows t"}
            else:
                server.sql(f"UPDATE t SET c{at} = NULL WHERE id = {victim}", two)
                wanted = {f"t.c{at}"}
        else:
            for statement in data.draw(st.permutations(LOSSLESS))[:2]:
                [(name,)] = server.sql("SELECT relname FROM pg_class WHERE relname ~ '^t2?$'", two)
                column = "c9" if "c9" in str(server.sql(NAMES, two)) else "c1"
                ready = statement.format(t=name).replace("t2_pkey", "t_pkey")
                server.sql(ready if "c9" in ready else ready.replace("c1", column), two)
        found = compare.databases(
            address.parse(server.url(one)), address.parse(server.url(two)),
            lambda *_: None, "undrop-test-", copied=True,
        )  # fmt: skip
        assert {each.name for each in losses.report(found).losses} == wanted
    finally:
        server.sql(f"DROP DATABASE IF EXISTS {one} WITH (FORCE)")
        server.sql(f"DROP DATABASE IF EXISTS {two} WITH (FORCE)")
