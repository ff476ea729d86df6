"""Databases, roles and URLs that are not what a tutorial has."""

from pathlib import Path

import psycopg
import pytest
from pg_rich import Rich
from server import Server

from undrop.engines.postgres import address, adopting, script
from undrop.errors import UsageError


@pytest.mark.full("SQL_ASCII")
@pytest.mark.parametrize(
    ("encoding", "value"),
    [("LATIN1", "'Mü' || chr(255)"), ("SQL_ASCII", r"E'\xff\xfe ok'"), ("EUC_JP", "'日本'")],
)
def test_other_encodings(pg: Rich, encoding: str, value: str) -> None:
    pg.server.sql(
        f"CREATE DATABASE \"{pg.name}\" ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    )
    pg.psql(
        f"SET client_encoding = 'UTF8'; CREATE TABLE t (v text PRIMARY KEY, n int);"
        f"INSERT INTO t VALUES ({value}, 1)"
    )
    sums = "SELECT md5(v::bytea), n FROM t" if encoding == "SQL_ASCII" else "SELECT v, n FROM t"
    before = pg.sql(sums)
    pg.ok("undrop", "backup")
    assert '"check": "ok"' in pg.ok("undrop", "list", "--json")
    pg.lose()
    pg.ok("undrop", "restore", "latest")
    assert pg.sql(sums) == before
    assert str(pg.sql("SHOW server_encoding")[0][0]).strip("b'") == encoding
    pg.psql("UPDATE t SET n = 2")
    pg.ok("undrop", "diff", "latest", "live")
    pg.ok("undrop", "nuke-db")
    pg.ok("undrop", "undo")
    assert pg.sql("SELECT n FROM t") == [(2,)]


def test_a_locale_of_icus_comes_back(pg: Rich) -> None:
    less = "'oid' - 'datfrozenxid' - 'datminmxid'"
    kept = f"SELECT to_jsonb(d) - {less} FROM pg_database d WHERE datname = '{pg.name}'"
    try:
        pg.server.sql(
            f"CREATE DATABASE \"{pg.name}\" ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'sv' "
            "LOCALE 'C' TEMPLATE template0"
        )
    except (psycopg.errors.SyntaxError, psycopg.errors.FeatureNotSupported):
        pytest.skip("no database has such a locale before PostgreSQL 15, or built without ICU")
    pg.psql("CREATE TABLE t (v text PRIMARY KEY); INSERT INTO t VALUES ('z'), ('ö'), ('o')")
    before, ordered = pg.server.sql(kept), pg.sql("SELECT v FROM t ORDER BY v")
    assert '"check": "ok"' in pg.ok("undrop", "backup", "--json")
    pg.lose()
    pg.ok("undrop", "restore", "latest")
    assert (pg.server.sql(kept), pg.sql("SELECT v FROM t ORDER BY v")) == (before, ordered)
    assert ordered == [("o",), ("z",), ("ö",)]


def test_settings_of_the_role(stocked_pg: Rich) -> None:
    """What a role has set must neither end our work nor lead it astray."""
    server = stocked_pg.server
    role = "undrop_odd"
    if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
        server.sql(f"CREATE ROLE {role} LOGIN SUPERUSER; CREATE ROLE undrop_plain")
    for setting in (
        "statement_timeout = 1", "search_path = evil, pg_catalog, public", "lc_messages = 'C'",
        "default_transaction_read_only = on", "idle_in_transaction_session_timeout = 1",
        "client_encoding = 'LATIN1'", "DateStyle = 'German'", "extra_float_digits = -10",
        "bytea_output = 'escape'", "row_security = off", "standard_conforming_strings = off",
        "default_transaction_isolation = 'serializable'", "quote_all_identifiers = on",
        "check_function_bodies = on", "xmloption = document", "IntervalStyle = 'iso_8601'",
    ):  # fmt: skip
        server.sql(f"ALTER ROLE {role} SET {setting}")
    stocked_pg.psql(
        "CREATE SCHEMA evil; CREATE FUNCTION evil.quote_ident(name) RETURNS text LANGUAGE sql "
        "AS $$ SELECT 'x; DROP TABLE t' $$; CREATE FUNCTION evil.quote_ident(text) RETURNS text "
        "LANGUAGE sql AS $$ SELECT 'x; DROP TABLE t' $$; CREATE TABLE evil.pg_class (oid oid);"
        "CREATE TABLE evil.pg_database (datname name);"
        "CREATE TABLE others AS SELECT 1 AS n; ALTER TABLE others OWNER TO undrop_plain"  # by COPY
    )
    before = stocked_pg.exactly()
    stocked_pg.environment["QUARTERMASTER_DB_URL"] = stocked_pg.url.replace("postgres@", f"{role}@")
    stocked_pg.ok("undrop", "backup")
    assert "covered    yes" in stocked_pg.ok("undrop", "status")
    stocked_pg.ok("undrop", "nuke-db")
    stocked_pg.ok("undrop", "undo")
    assert stocked_pg.exactly() == before


@pytest.fixture
def stocked_pg(pg: Rich) -> Rich:
    pg.make(20)
    return pg


def test_a_child_whose_parent_got_a_column_later(stocked_pg: Rich) -> None:
    """pg_dump writes inherited columns first, wherever they are."""
    stocked_pg.psql(
        "CREATE TABLE animals (name text); CREATE TABLE dogs (tail int) INHERITS (animals);"
        "INSERT INTO dogs VALUES ('rex', 1); ALTER TABLE animals ADD legs int DEFAULT 4;"
        "CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES"
    )
    stocked_pg.ok("undrop", "nuke-db")
    stocked_pg.ok("undrop", "undo")
    assert stocked_pg.sql("SELECT name, tail, legs FROM dogs") == [("rex", 1, 4)]
    assert stocked_pg.sql("SELECT count(*) FROM nothing") == [(1,)]


ROOTS = ("feelings", "sqlite_stat", "no_columns", "typed", "unlogged", "kinds")
ODD_SHAPES = r"""
CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad', 'wild', 'calm');
CREATE TABLE feelings (id int, m mood) PARTITION BY HASH (m);
CREATE TABLE feelings_0 PARTITION OF feelings FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE feelings_1 (m mood, id int);
ALTER TABLE feelings ATTACH PARTITION feelings_1 FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE feelings_2 PARTITION OF feelings FOR VALUES WITH (MODULUS 3, REMAINDER 2)
    PARTITION BY HASH (id);
CREATE TABLE feelings_2_0 PARTITION OF feelings_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO feelings SELECT g, m FROM generate_series(1, 9) g, unnest(enum_range(NULL::mood)) m;
CREATE TABLE sqlite_stat (v int PRIMARY KEY); INSERT INTO sqlite_stat VALUES (1);
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES;
CREATE TYPE pair AS (a int, b text); CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
DO $$ BEGIN CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = 0);
    EXCEPTION WHEN feature_not_supported THEN CREATE COLLATION blind FROM "C"; END $$;
CREATE TABLE typed OF pair; INSERT INTO typed VALUES (1, 'x');
CREATE UNLOGGED TABLE unlogged (v int); INSERT INTO unlogged VALUES (1);
CREATE TABLE kinds ("select" int, "quo""te" text, gone int, p pair, s short, r int4range,
    t tsvector, x name, o oid, f float8, c "char", l pg_lsn, n numeric, b text COLLATE blind,
    i int GENERATED BY DEFAULT AS IDENTITY, ts text[], j json, bits bit varying(9), net inet,
    during interval, cash money, twice int GENERATED ALWAYS AS ("select" * 2) STORED);
ALTER TABLE kinds DROP gone;
INSERT INTO kinds VALUES (1, '\\N', '(1,"a, b")', 'short', '[1,5)', 'a fat cat', '<a/>', 4000000000,
    '-0', '\\377', '16/B374D848', 'NaN', 'É', 7, '{"a b",NULL,"NULL"}', '{"a": 1, "a": 2}', '101',
    '::1/64', '1 mon -3 days', 3.5), (2, '', NULL, NULL, 'empty', NULL, NULL, NULL, 'NaN', '', NULL,
    1e-30, NULL, 8, '{}', 'null', '', NULL, '00:00:00.000001', NULL);
CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM kinds; INSERT INTO kinds DEFAULT VALUES;
"""


@pytest.mark.more
def test_shapes_that_are_seldom_seen_are_not_damaged(pg: Rich) -> None:
    """Backed up, emptied, brought back, compared: no row is elsewhere, none is called lost."""
    pg.ok("undrop", "migrate")
    pg.psql(ODD_SHAPES)
    tables = pg.tables()
    texts = {name: sorted(pg.sql(f"SELECT (t.*)::text FROM {name} AS t")) for name in ROOTS}
    pg.ok("undrop", "backup")
    assert "covered    yes" in pg.ok("undrop", "status")
    pg.ok("undrop", "nuke-db")
    pg.ok("undrop", "undo")
    assert pg.tables() == tables
    assert texts == {name: sorted(pg.sql(f"SELECT (t.*)::text FROM {name} AS t")) for name in ROOTS}
    assert pg.sql("SELECT * FROM seen") == [(3,)]  # made anew
    pg.ok("undrop", "verify")
    pg.revise("op.execute('DELETE FROM no_columns; DELETE FROM sqlite_stat')")
    done = pg.undrop("migrate")
    assert (done.code, "rows no_columns" in done.err, "rows sqlite_stat" in done.err) == (
        4, True, True,
    ), done  # fmt: skip
    assert "2 loss" in done.err, done


def test_what_undo_brought_back_is_known_however_the_server_writes_it(stocked_pg: Rich) -> None:
    """The server writes a list of texts in another way once a dump was loaded."""
    stocked_pg.psql(
        "CREATE TABLE k (s varchar CHECK (s IN ('it''s', 'b, c')), t varchar(9) CHECK "
        "(t NOT IN ('x', 'y'))); INSERT INTO k VALUES ('b, c', 'z')"
    )
    stocked_pg.ok("undrop", "nuke-db")
    stocked_pg.ok("undrop", "undo")
    stocked_pg.ok("undrop", "status")  # covered
    saved = stocked_pg.saved()
    stocked_pg.psql(
        "ALTER TABLE k DROP CONSTRAINT k_s_check, ADD CHECK (s IN ('it''s', 'b, c', 'd'))"
    )
    assert stocked_pg.undrop("status").code == 4
    assert stocked_pg.undrop("undo").code == 4  # others' work, which is backed up all the same
    assert len(stocked_pg.saved()) > len(saved)


def test_settings_of_the_database_hold_for_the_copy_too(pg: Rich) -> None:
    """Where names lead elsewhere, a rehearsal would see nothing to lose."""
    pg.ok("undrop", "migrate")
    pg.psql(
        "CREATE SCHEMA app; CREATE TABLE app.legacy AS SELECT generate_series(1, 500) AS id;"
        f'ALTER DATABASE "{pg.name}" SET search_path = app, public'
    )
    pg.revise("op.execute('DROP TABLE IF EXISTS legacy')")
    done = pg.undrop("migrate")
    assert done.code == 4, done
    assert "table app.legacy" in done.err
    assert pg.sql("SELECT count(*) FROM app.legacy") == [(500,)]


def test_another_applications_revisions_stay_its_own(pg: Rich) -> None:
    pg.ok("undrop", "migrate")
    pg.psql(
        "CREATE SCHEMA other; CREATE TABLE other.alembic_version (version_num varchar(32));"
        "INSERT INTO other.alembic_version VALUES ('abc');"
        "ALTER TABLE alembic_version ALTER version_num TYPE varchar(255)"
    )
    pg.revise("op.execute('CREATE TABLE mine (v int)')")
    pg.ok("undrop", "migrate")
    assert pg.sql("SELECT * FROM other.alembic_version") == [("abc",)]
    assert "public.mine" in pg.tables()


def test_a_reset_that_takes_no_row_away_is_undone(pg: Rich) -> None:
    """Not all that is in a database is in tables."""
    pg.ok("undrop", "migrate")
    pg.ok("undrop", "reset-db")
    assert "what it was before" in pg.undrop("reset-db").err
    pg.psql(
        "SELECT lo_from_bytea(5, 'precious'); GRANT SELECT ON items TO PUBLIC;"
        "CREATE SEQUENCE numbers; SELECT setval('numbers', 1000)"
    )
    before = pg.exactly()
    pg.ok("undrop", "reset-db")
    assert pg.exactly() != before
    pg.ok("undrop", "undo")
    assert pg.exactly() == before


def test_objects_that_drop_spells_in_another_way(stocked_pg: Rich) -> None:
    stocked_pg.psql(
        "CREATE AGGREGATE cnt(*) (sfunc = int8inc, stype = int8, initcond = '0');"
        "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;"
        "CREATE TABLE h (v int) USING heap2; CREATE TRANSFORM FOR int LANGUAGE SQL "
        "(FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal))"
    )
    before = stocked_pg.exactly()
    stocked_pg.ok("undrop", "nuke-db")
    stocked_pg.ok("undrop", "undo")
    assert stocked_pg.exactly() == before


@pytest.mark.full("-x a;b")
@pytest.mark.parametrize("name", ["UPPER ünï.cødé", "per%cent quo\"te'", "-x a;b"])
def test_names_of_databases(pg: Rich, name: str, server: Server) -> None:
    from urllib.parse import quote

    pg.name = f"{name} {pg.root.parent.name[-8:]}"
    identifier = pg.name.replace('"', '""')
    server.sql(f'CREATE DATABASE "{identifier}"')
    pg.environment["QUARTERMASTER_DB_URL"] = server.url("X").replace("/X?", f"/{quote(pg.name)}?")
    pg.sql("CREATE TABLE t (v int)")
    pg.ok("undrop", "backup")
    pg.ok("undrop", "migrate")
    pg.ok("undrop", "nuke-db")
    pg.ok("undrop", "undo")
    assert len(pg.tables()) > 3
    server.sql(f'DROP DATABASE "{identifier}" WITH (FORCE)')
    pg.ok("undrop", "restore", "latest")
    assert len(pg.tables()) > 3


@pytest.mark.parametrize(
    ("url", "keywords"),
    [
        ("postgresql+asyncpg://u:p@h/d?ssl=require", {"sslmode": "require"}),
        ("postgresql+asyncpg://u:p@h/d?ssl=verify-full", {"sslmode": "verify-full"}),
        (
            "postgresql+asyncpg://u@h/d?ssl=true&prepared_statement_cache_size=0",
            {"sslmode": "require"},
        ),
        ("postgresql+psycopg2://u@h/d?sslmode=disable&application_name=x", {"sslmode": "disable"}),
        ("postgresql+pg8000://u@h:6432/d?pgbouncer=true&pool_timeout=9", {"port": "6432"}),
        ("postgresql://u@/d?host=a:1&host=b:2", {"host": "a,b", "port": "1,2"}),
        ("postgresql://[::1]:5/d", {"host": "::1", "port": "5"}),
        ("postgresql://u@h/d?options=-csearch_path%3Dx", {"options": "-csearch_path=x"}),
    ],
)
def test_urls(url: str, keywords: dict[str, str]) -> None:
    found = address.parse(url)
    assert keywords.items() <= found.keywords.items()
    assert "application_name" not in found.keywords
    assert found.name == "d"
    assert "u" not in found.label.replace("undrop", "").partition("//")[0]


@pytest.mark.parametrize("url", ["postgresql://u:p4ss@h:x/d", "postgresql:/u:p4ss@h/d"])
def test_urls_that_are_none_are_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as failed:
        address.parse(url)
    assert "p4ss" not in str(failed.value)


def test_a_secret_that_no_tool_can_be_given_unseen() -> None:
    with pytest.raises(UsageError) as failed:
        address.parse("postgresql://h/d?sslpassword=p4ss")
    assert "p4ss" not in str(failed.value)


def test_what_is_written_down_of_a_url_has_no_secret() -> None:
    url = "postgresql://u:p4ss@h/d?password=p4ss&sslmode=require&passfile=/x"
    assert adopting.settled(url, Path(), Path()) == "postgresql://u@h/d?sslmode=require"


def test_a_script_is_taken_apart_as_psql_does() -> None:
    text = (
        b"-- a; comment\n\\restrict x;y\nSELECT ';', E'\\';', \"a;\"\"b\", $$;$$, $x$;$$;$x$;\n"
        b"CREATE SCHEMA a;\n\n-- more\nCOMMIT;\n\\unrestrict x\n"
    )
    assert list(script.statements(text)) == [
        b"SELECT ';', E'\\';', \"a;\"\"b\", $$;$$, $x$;$$;$x$;", b"CREATE SCHEMA a;", b"COMMIT;",
    ]  # fmt: skip
    old = b"SET standard_conforming_strings = off;\nSELECT 'a\\';b';\n"
    assert len(list(script.statements(old))) == 2
