"""A role that owns the database has put code where undrop, with more power, might run it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from forks import Done
from pg_rich import Rich
from server import Server

pytestmark = pytest.mark.more

MARK = re.compile(r"BROKEN IN by (\w+) as (\w+)")
SETUP = """
CREATE SCHEMA mallory;
CREATE FUNCTION mallory.in_by(way text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
IF session_user <> 'mallory' THEN RAISE LOG 'BROKEN IN by % as %', way, current_user; END IF;
RETURN true; END $$;
CREATE FUNCTION mallory.number(way text, n int) RETURNS int IMMUTABLE LANGUAGE sql
AS 'SELECT CASE WHEN mallory.in_by(way) THEN n END';
CREATE FUNCTION mallory.one(n int) RETURNS int IMMUTABLE LANGUAGE sql
AS $$ SELECT mallory.number('column', n) $$
"""
"""The server's log keeps the mark whatever becomes of the transaction."""
DEEP = (  # a query in a text, which needs no function of hers to be run
    "query_to_xml('SELECT mallory.in_by(''{}'')', true, true, '') IS NOT NULL"
)
WAYS = {
    "check": "CREATE TABLE mallory.a (v int CHECK (mallory.in_by('check')))",
    "check_by_query": f"CREATE TABLE mallory.a2 (v int CHECK ({DEEP.format('check_by_query')}))",
    "domain": "CREATE DOMAIN mallory.d AS int CHECK (mallory.in_by('domain'));"
    "CREATE TABLE mallory.b (v mallory.d DEFAULT 1)",
    "generated": "CREATE TABLE mallory.c (v int, g int GENERATED ALWAYS AS "
    "(mallory.number('generated', v)) STORED)",
    "index": "CREATE TABLE mallory.e (v int); "
    "CREATE INDEX ON mallory.e ((v + mallory.number('index', 1)))",
    "predicate": "CREATE TABLE mallory.f (v int); "
    "CREATE INDEX ON mallory.f (v) WHERE v > mallory.number('predicate', 1)",
    "matview": "CREATE MATERIALIZED VIEW mallory.g AS SELECT mallory.in_by('matview') AS v",
    "default": "CREATE TABLE mallory.h (v boolean DEFAULT mallory.in_by('default'), w int)",
    "partition": "CREATE TABLE mallory.i (v int) PARTITION BY RANGE "
    "((mallory.number('partition', v))); "
    "CREATE TABLE mallory.i1 PARTITION OF mallory.i FOR VALUES FROM (0) TO (9)",
    "trigger": "CREATE TABLE mallory.j (v int); CREATE FUNCTION mallory.t() RETURNS trigger "
    "LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.in_by('trigger'); RETURN NEW; END $$; "
    "CREATE TRIGGER x BEFORE INSERT ON mallory.j FOR EACH ROW WHEN (mallory.in_by('trigger')) "
    "EXECUTE FUNCTION mallory.t()",
    "rule": "CREATE TABLE mallory.k (v int); CREATE RULE r AS ON INSERT TO mallory.k DO ALSO "
    "SELECT mallory.in_by('rule')",
    "policy": "CREATE TABLE mallory.l (v int); ALTER TABLE mallory.l ENABLE ROW LEVEL SECURITY; "
    "CREATE POLICY p ON mallory.l USING (mallory.in_by('policy'))",
    "cast": "CREATE TYPE mallory.mood AS ENUM ('sad'); CREATE FUNCTION mallory.said(mallory.mood) "
    "RETURNS text LANGUAGE sql AS $$ SELECT mallory.in_by('cast')::text $$; "
    "CREATE CAST (mallory.mood AS text) WITH FUNCTION mallory.said(mallory.mood); "
    "CREATE TABLE mallory.m (v mallory.mood); INSERT INTO mallory.m VALUES ('sad')",
    "operator": "CREATE FUNCTION public.alike(text, text) RETURNS boolean LANGUAGE sql AS "
    "$$ SELECT mallory.in_by('operator') $$; CREATE OPERATOR public.= "
    "(FUNCTION = public.alike, LEFTARG = text, RIGHTARG = text)",
    "shadow": "CREATE FUNCTION public.hashtextextended(text, int) RETURNS bigint LANGUAGE sql AS "
    "$$ SELECT 1::bigint FROM (SELECT mallory.in_by('shadow')) AS x $$; "
    "CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE sql AS "
    "$$ SELECT mallory.in_by('shadow')::text $$",
    "catalog": "CREATE VIEW public.pg_settings AS SELECT 'search_path' AS name, "
    "mallory.in_by('catalog')::text AS setting; "
    "CREATE VIEW public.pg_class AS SELECT mallory.in_by('catalog') AS oid",
    "aggregate": "CREATE FUNCTION mallory.add(bigint, int) RETURNS bigint LANGUAGE sql AS "
    "$$ SELECT 1::bigint FROM (SELECT mallory.in_by('aggregate')) AS x $$; "
    "CREATE AGGREGATE public.sum(int) (SFUNC = mallory.add, STYPE = bigint)",
    "version_table": "CREATE TABLE mallory.alembic_version (version_num varchar(32)); "
    "CREATE INDEX ON mallory.alembic_version "
    "((version_num || mallory.number('version_table', 1)::text))",
    "version_view": "CREATE VIEW mallory.schema_migrations AS "
    "SELECT mallory.in_by('version_view')::text AS version",
    "version_type": 'CREATE SCHEMA text; CREATE TABLE text.django_migrations '
    "(id int, app mallory.mood, name mallory.mood, applied timestamptz); "
    "INSERT INTO text.django_migrations VALUES (1, 'sad', 'sad', now())",
    "range": "CREATE FUNCTION mallory.difference(int, int) RETURNS float8 IMMUTABLE LANGUAGE sql "
    "AS $$ SELECT mallory.number('range', 1)::float8 $$; CREATE TYPE mallory.span AS RANGE "
    "(SUBTYPE = int, SUBTYPE_DIFF = mallory.difference); CREATE TABLE mallory.n (v mallory.span); "
    "CREATE INDEX ON mallory.n USING gist (v); INSERT INTO mallory.n VALUES ('[1,2)'), ('[3,4)')",
    "large_object": "SELECT lo_from_bytea(4711, 'x'); "
    "COMMENT ON LARGE OBJECT 4711 IS 'x''; SELECT mallory.in_by(''large_object''); --'",
    "name": 'CREATE TABLE mallory."x\n\\! touch broken\nSELECT mallory.in_by(\'name\'); --" '
    '(v int, "a""; SELECT mallory.in_by(\'name\'); --" int); '
    "COMMENT ON TABLE mallory.a IS E'x\\nSELECT mallory.in_by(''name'');\\n\\\\! touch broken'",
    "definer": "CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER AS "
    "$$ SELECT pg_catalog.now() FROM (SELECT mallory.in_by('definer')) AS x $$",
    "role_setting": "ALTER ROLE mallory SET search_path = mallory, pg_catalog",
    "database_setting": "ALTER DATABASE {name} SET search_path = public, mallory, pg_catalog; "
    "ALTER DATABASE {name} SET constraint_exclusion = on",
}  # fmt: skip
EXPRESSED_STATISTICS = (
    "CREATE TABLE mallory.s (v int); CREATE STATISTICS mallory.st "
    "ON (v + mallory.number('statistics', 1)), v FROM mallory.s"
)
FILLED = "bcefhijkls"
"""Tables with a ``v`` that get a row."""


class Hostile(Rich):
    """A project's database in which mallory, who owns it, has done what she can."""

    user = "postgres"
    read = 0

    def setup(self, user: str) -> None:
        server = self.server
        for role in ("mallory", "undrop_app"):
            if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
                server.sql(f"CREATE ROLE {role} LOGIN CREATEDB")
        server.sql("ALTER ROLE mallory NOCREATEDB")
        server.sql(f'ALTER DATABASE "{self.name}" OWNER TO mallory')
        self.sql("GRANT ALL ON SCHEMA public TO PUBLIC")
        self.user = user
        self.environment["QUARTERMASTER_DB_URL"] = server.url(self.name, user)
        self.by_mallory(SETUP)
        self.marks()

    def by_mallory(self, statements: str) -> None:
        with self.server.connect(self.name, "mallory") as connection:
            connection.execute(statements.encode())

    def marks(self) -> set[str]:
        """The ways in that worked since it was asked last."""
        log = (self.server.folder / "log").read_text(errors="replace")
        found = {f"{way} as {who}" for way, who in MARK.findall(log[self.read :])}
        self.read = len(log)
        return found


@pytest.fixture
def hostile(tmp_path: Path, server: Server, stocked_server: Rich) -> Iterator[Hostile]:
    """Quartermaster, with everything of hers in it; undrop connects as a superuser."""
    made = Hostile(tmp_path / "served", server)
    made.stock(stocked_server)
    made.setup("postgres")
    for statements in WAYS.values():
        made.by_mallory(statements.replace("{name}", f'"{made.name}"'))
    tables = FILLED
    if int(server.sql("SHOW server_version_num")[0][0]) >= 140000:
        made.by_mallory(EXPRESSED_STATISTICS)
    else:
        tables = FILLED.replace("s", "")
    for table in tables:
        made.by_mallory(
            f"INSERT INTO mallory.{table} (v) VALUES (1)".replace(
                "h (v) VALUES (1)", "h (w) VALUES (1)"
            )
        )
    made.marks()
    yield made
    made.lose()


def refused(done: Done) -> None:
    """It stopped, and what it says to do is both ways."""
    assert done.code == 4, done.err
    assert "code of mallory would run as postgres" in done.err, done
    assert "verify-url" in done.err, done
    assert "trust-code" in done.err, done


def quiet(hostile: Hostile, *commands: str) -> None:
    """None of these commands runs anything of hers, nor breaks."""
    for command in commands:
        done = hostile.undrop(*command.split())
        assert "Traceback" not in done.err, done
        assert "syntax error" not in done.err, done
        assert hostile.marks() == set(), command
    assert hostile.server.scratch() == []


def test_a_role_that_may_do_little_gets_no_code_run_by_a_superuser(hostile: Hostile) -> None:
    name = hostile.ok("undrop", "backup").strip()
    assert hostile.marks() == set()
    record = json.loads(Path(name).with_suffix(".json").read_text())
    assert "mallory" in record["code"]
    assert record["check"] == "ok, not restored: code of mallory would run as postgres"
    hostile.sql("DELETE FROM stock_movements")
    for stopped in ("diff latest live", "rehearse", "migrate", "recover stock_movements"):
        refused(hostile.undrop(*stopped.split()))
    refused(hostile.undrop("sql", "latest", "SELECT 1"))
    quiet(hostile, "verify", "status", "list", "log", "log stock_movements", "find Lamp", "recover")
    quiet(hostile, "undo --list", "audit", "restore latest --dry-run", "backup", "history")
    hostile.sql("INSERT INTO mallory.b VALUES (2)")
    assert hostile.marks() == {"domain as postgres"}, "these tests can fail"


def test_none_runs_as_the_role_that_owns_the_application_either(hostile: Hostile) -> None:
    hostile.sql(
        "DO $$ DECLARE t text; BEGIN GRANT SELECT ON ALL TABLES IN SCHEMA mallory, text TO "
        "undrop_app; GRANT USAGE ON SCHEMA mallory, text TO undrop_app; "
        "FOR t IN SELECT oid::regclass FROM pg_catalog.pg_class WHERE relnamespace = "
        "'public'::regnamespace AND relkind = 'r' LOOP "
        "EXECUTE format('ALTER TABLE %s OWNER TO undrop_app', t); END LOOP; END $$;"
        "ALTER TABLE mallory.l DISABLE ROW LEVEL SECURITY; SELECT lo_unlink(4711)"
    )
    url = hostile.server.url(hostile.name, "undrop_app")
    hostile.environment["QUARTERMASTER_DB_URL"] = url
    hostile.ok("undrop", "backup")
    quiet(hostile, "verify", "status", "diff latest live", "rehearse", "find Lamp", "list")
