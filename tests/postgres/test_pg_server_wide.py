"""A rehearsal leaves no trace on the server; what changes it happens on live alone."""

import json
import subprocess

import pytest
from pg_rich import Rich
from server import program

MEMBERS = "SELECT r.rolname, m.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid "
STATEMENTS = {
    "DO $$ BEGIN CREATE ROLE wide_made; END $$": "role wide_made",
    "SELECT 1; CREATE ROLE wide_second": "role wide_second",
    "CREATE ROLE wide_plain": "role wide_plain",
    "GRANT wide_a TO wide_b": "role wide_b as a member of wide_a",
    "GRANT CONNECT ON DATABASE wide_other TO wide_a": "database wide_other",
    "COMMENT ON DATABASE wide_other IS 'seen'": "comment on database wide_other",
    "COMMENT ON ROLE wide_a IS 'seen'": "comment on role wide_a",
    "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || 'wide_other SET jit = off'; END $$": (
        "settings of database wide_other"
    ),
    "ALTER ROLE wide_a SET work_mem = '5MB'": "settings of role wide_a",
    "ALTER ROLE wide_a PASSWORD 'secret'": "a role, or its password",
    "REASSIGN OWNED BY wide_a TO wide_b": "database wide_third",
    "DROP OWNED BY wide_b": "database wide_fourth",
    "DROP ROLE wide_gone": "role wide_gone",
}
"""Each with what is said of it."""


@pytest.fixture
def shop(pg: Rich, stocked_server: Rich) -> Rich:
    pg.stock(stocked_server)
    server = pg.server
    for name in ("wide_other", "wide_third", "wide_fourth"):
        server.sql(f"DROP DATABASE IF EXISTS {name}")
    for (role,) in server.sql("SELECT rolname FROM pg_roles WHERE rolname ^@ 'wide_'"):
        server.sql(f"DROP ROLE {role}")
    for role in ("wide_a", "wide_b", "wide_gone"):
        server.sql(f"CREATE ROLE {role}")
    for name in ("wide_other", "wide_third", "wide_fourth"):
        server.sql(f"CREATE DATABASE {name}")
    server.sql("ALTER DATABASE wide_third OWNER TO wide_a")
    server.sql("GRANT CONNECT ON DATABASE wide_fourth TO wide_b")
    return pg


def shared(shop: Rich) -> str:
    """What is the whole server's, by pg_dumpall and its catalogs."""
    command = [program("pg_dumpall"), "-g", "-h", str(shop.server.folder), "-U", "postgres"]
    said = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    lines = [line for line in said.splitlines() if "restrict" not in line]
    for catalog in ("pg_authid", "pg_auth_members", "pg_db_role_setting", "pg_shdescription",
                    "pg_tablespace", "pg_shdepend"):  # fmt: skip
        where = "WHERE dbid = 0" if catalog == "pg_shdepend" else ""
        lines += sorted(map(str, shop.server.sql(f"SELECT t::text FROM {catalog} t {where}")))
    rows = shop.server.sql("SELECT datname, datdba, datacl::text FROM pg_database ORDER BY 1")
    return "\n".join([*lines, *map(str, rows)])


def test_a_rehearsal_leaves_no_trace_on_the_server(shop: Rich) -> None:
    before = shared(shop)
    shop.revise(
        *(f"op.execute({statement!r})" for statement in STATEMENTS),
        "op.execute('DROP TABLE stock_movements CASCADE')",
    )
    rehearsed = shop.undrop("rehearse")
    assert rehearsed.code == 4, rehearsed.err[-3000:]
    assert "stock_movements" in rehearsed.err
    assert shared(shop) == before
    told = json.loads(shop.undrop("rehearse", "--accept-loss", "--json").out)
    assert told["server"] == sorted({*STATEMENTS.values()} - {"a role, or its password"})
    done = shop.undrop("migrate", "--accept-loss")
    assert done.code == 0, done
    assert "ON THE SERVER: role wide_made" in done.err
    assert shop.server.sql(
        "SELECT count(*) FROM pg_roles WHERE rolname ~ 'wide_(made|second|plain)'"
    ) == [(3,)]
    assert shop.server.scratch() == []


@pytest.mark.more
@pytest.mark.parametrize(
    ("env", "statement", "said"),
    [
        ("transaction_per_migration=True,", "op.execute('CREATE ROLE wide_early')", "wide_early"),
        (
            "",
            "with op.get_context().autocommit_block():"
            " op.execute('SELECT 1; CREATE DATABASE wide_early')",
            "CREATE DATABASE …",
        ),
        (
            "",
            "op.execute('CREATE ROLE wide_early'); op.execute('COMMIT')",
            "role wide_early",
        ),
    ],
)
def test_what_would_be_committed_in_a_rehearsal_is_refused(
    shop: Rich, env: str, statement: str, said: str
) -> None:
    before = shared(shop)
    if env:
        file = shop.root / "alembic/env.py"
        file.write_text(file.read_text().replace("render_as_batch=True,", env))
    shop.revise(statement)
    first = shop.root / "alembic/versions/9001_test.py"
    second = first.read_text().replace("'9001'", "'9002'").replace("'0006'", "'9001'")
    first.with_name("9002_test.py").write_text(second.replace(statement, "op.execute('SELECT 1')"))
    for command in ("rehearse", "migrate"):
        done = shop.undrop(command)
        assert done.code == 1, done
        assert "this changes the server" in done.err
        assert said in done.err
        assert shared(shop) == before


@pytest.mark.more
def test_a_password_that_changes_is_seen_by_whoever_may_not_read_it(shop: Rich) -> None:
    """It is in no catalog that a plain role may read."""
    shop.server.sql("CREATE ROLE plain_wide LOGIN CREATEROLE CREATEDB")
    shop.server.sql(f'ALTER DATABASE "{shop.name}" OWNER TO plain_wide')
    shop.psql("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain_wide")
    shop.psql("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO plain_wide")
    if shop.server.sql("SELECT current_setting('server_version_num')::int >= 160000")[0][0]:
        shop.server.sql("GRANT wide_a TO plain_wide WITH ADMIN OPTION")
    before = shared(shop)
    shop.environment["QUARTERMASTER_DB_URL"] = shop.url.replace("postgres@", "plain_wide@")
    shop.revise("op.execute(\"ALTER ROLE wide_a PASSWORD 'secret'\")")
    told = shop.undrop("rehearse", "--json")
    assert told.code == 0, told
    assert json.loads(told.out)["server"] == ["a role, or its password"]
    assert shared(shop) == before
