"""Databases, roles and URLs that are not what a tutorial has."""

from pathlib import Path

import pytest
from pg_rich import Rich
from server import Server

from undrop.errors import UsageError
from undrop.postgres import address, adopting, script


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


def test_settings_of_the_role(stocked_pg: Rich) -> None:
    """What a role has set must neither end our work nor lead it astray."""
    server = stocked_pg.server
    role = "undrop_odd"
    if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
        server.sql(f"CREATE ROLE {role} LOGIN SUPERUSER")
    for setting in (
        "statement_timeout = 30", "search_path = evil, pg_catalog, public", "lc_messages = 'C'",
        "default_transaction_read_only = on", "idle_in_transaction_session_timeout = 20",
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
        "CREATE TABLE evil.pg_database (datname name)"
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


@pytest.mark.parametrize("name", ["UPPER case", "ünï.cødé", "per%cent", "quo\"te'", "a;b", "-x"])
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
