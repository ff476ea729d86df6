"""A plain role on a shared server against undrop: nothing of hers may run with another's rights.

Her code writes into the server's log who ran it, which no rollback takes back.
"""

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
from pg_rich import Rich
from server import Server, running

from undrop.engines.postgres import session, trust

TRAP = """
CREATE SCHEMA mallory;
CREATE FUNCTION mallory.trap(way text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RAISE LOG 'TRAP % as %', way, current_user;
    RETURN true;
END $$;
"""
QUERY = "query_to_xml('SELECT mallory.trap(''{way}'')', true, true, '')"
"""What needs no function of hers in the expression itself."""
FIRST = "CREATE FUNCTION mallory.state(a int, b int) RETURNS int LANGUAGE sql AS"
WAYS = {
    "check": "CREATE TABLE mallory.a1 (n int CHECK (mallory.trap('{way}')));"
    "INSERT INTO mallory.a1 VALUES (1)",
    "domain": "CREATE DOMAIN mallory.d2 AS int CHECK (mallory.trap('{way}'));"
    "CREATE TABLE mallory.a2 (n mallory.d2); INSERT INTO mallory.a2 VALUES (1)",
    "generated": "CREATE TABLE mallory.a3 (n int, g bool GENERATED ALWAYS AS "
    "(mallory.trap('{way}')) STORED); INSERT INTO mallory.a3 VALUES (1)",
    "index": "CREATE TABLE mallory.a4 (n int); INSERT INTO mallory.a4 VALUES (1);"
    "CREATE INDEX ON mallory.a4 ((mallory.trap('{way}')))",
    "predicate": "CREATE TABLE mallory.a5 (n int); INSERT INTO mallory.a5 VALUES (1);"
    "CREATE INDEX ON mallory.a5 (n) WHERE mallory.trap('{way}')",
    "matview": "CREATE MATERIALIZED VIEW mallory.a6 AS SELECT mallory.trap('{way}')",
    "default": "CREATE TABLE mallory.a7 (n int, t bool DEFAULT mallory.trap('{way}'));"
    "INSERT INTO mallory.a7 VALUES (1)",
    "statistics": "CREATE TABLE mallory.a8 (n int); INSERT INTO mallory.a8 SELECT 1;"
    "CREATE FUNCTION mallory.of8(n int) RETURNS int IMMUTABLE LANGUAGE sql AS "
    "'SELECT CASE WHEN mallory.trap(''{way}'') THEN n END';"
    "CREATE INDEX ON mallory.a8 (mallory.of8(n))",
    "partition": "CREATE TABLE mallory.a9 (n int) PARTITION BY LIST ((CASE WHEN "
    "mallory.trap('{way}') THEN n END));"
    "CREATE TABLE mallory.a9t PARTITION OF mallory.a9 FOR VALUES IN (1);"
    "INSERT INTO mallory.a9 VALUES (1)",
    "trigger": "CREATE TABLE mallory.a10 (n int); CREATE FUNCTION mallory.f10() RETURNS trigger "
    "LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.trap('{way}'); RETURN NEW; END $$;"
    "CREATE TRIGGER t AFTER INSERT OR DELETE ON mallory.a10 FOR EACH ROW EXECUTE FUNCTION "
    "mallory.f10(); INSERT INTO mallory.a10 VALUES (1)",
    "constraint trigger": "CREATE TABLE mallory.a11 (n int); CREATE FUNCTION mallory.f11() "
    "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.trap('{way}'); RETURN NEW; "
    "END $$; CREATE CONSTRAINT TRIGGER t AFTER INSERT ON mallory.a11 DEFERRABLE INITIALLY "
    "DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.f11(); INSERT INTO mallory.a11 VALUES (1)",
    "rule": "CREATE TABLE mallory.a12 (n int); INSERT INTO mallory.a12 VALUES (1); CREATE RULE r "
    "AS ON INSERT TO mallory.a12 DO ALSO SELECT mallory.trap('{way}')",
    "policy": "CREATE TABLE mallory.a13 (n int); INSERT INTO mallory.a13 VALUES (1); ALTER TABLE "
    "mallory.a13 ENABLE ROW LEVEL SECURITY; ALTER TABLE mallory.a13 FORCE ROW LEVEL SECURITY;"
    "CREATE POLICY p ON mallory.a13 USING (mallory.trap('{way}'))",
    "view": "CREATE VIEW mallory.a14 AS SELECT mallory.trap('{way}')",
    "operator": "CREATE FUNCTION mallory.f15(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS "
    "'SELECT mallory.trap(''{way}'')'; CREATE OPERATOR mallory.= (FUNCTION = mallory.f15, "
    "LEFTARG = text, RIGHTARG = text); CREATE TABLE mallory.a15 (t text CHECK (t "
    "OPERATOR(mallory.=) t)); INSERT INTO mallory.a15 VALUES ('x')",
    "aggregate": FIRST + " 'SELECT CASE WHEN mallory.trap(''{way}'') THEN 1 END';"
    "CREATE AGGREGATE mallory.total(int) (SFUNC = mallory.state, STYPE = int);"
    "CREATE MATERIALIZED VIEW mallory.a16 AS SELECT mallory.total(n) FROM (VALUES (1)) v (n)",
    "cast": "CREATE TYPE mallory.t17 AS (n int); CREATE FUNCTION mallory.f17(mallory.t17) RETURNS "
    "int IMMUTABLE LANGUAGE sql AS 'SELECT CASE WHEN mallory.trap(''{way}'') THEN 1 END';"
    "CREATE CAST (mallory.t17 AS int) WITH FUNCTION mallory.f17(mallory.t17) AS IMPLICIT;"
    "CREATE TABLE mallory.a17 (n int CHECK (ROW(1)::mallory.t17::int = 1));"
    "INSERT INTO mallory.a17 VALUES (1)",
    "exclusion": "CREATE TABLE mallory.a18 (r int4range, EXCLUDE USING gist (r WITH &&) WHERE "
    "(mallory.trap('{way}'))); INSERT INTO mallory.a18 VALUES ('[1,2]')",
    "built in": f"CREATE TABLE mallory.a19 (n int CHECK ({QUERY} IS NOT NULL));"
    "INSERT INTO mallory.a19 VALUES (1)",
    "in a domain": f"CREATE DOMAIN mallory.d20 AS int CHECK ({QUERY} IS NOT NULL);"
    "CREATE TABLE mallory.a20 (n mallory.d20[]); INSERT INTO mallory.a20 VALUES (ARRAY[1])",
    "range": "CREATE FUNCTION mallory.f21(int, int) RETURNS float8 IMMUTABLE LANGUAGE sql AS "
    "'SELECT CASE WHEN mallory.trap(''{way}'') THEN 1.0 END'; CREATE TYPE mallory.r21 AS RANGE "
    "(SUBTYPE = int, SUBTYPE_DIFF = mallory.f21); CREATE TABLE mallory.a21 (r mallory.r21);"
    "INSERT INTO mallory.a21 SELECT mallory.r21(n, n + 2) FROM generate_series(1, 400) n;"
    "CREATE INDEX ON mallory.a21 USING gist (r)",
    "names": "CREATE TABLE mallory.\"x\n\\! touch /tmp/trap\n; SELECT mallory.trap('{way}') --\" "
    "(n int); COMMENT ON TABLE mallory.\"x\n\\! touch /tmp/trap\n; SELECT mallory.trap('{way}') "
    "--\" IS E'x\\n\\\\! touch /tmp/trap\\n; SELECT mallory.trap(''{way}'');'",
}
"""What she makes, each by itself."""
CALL = "set_config('application_name', 'x', true)"
OWN = {
    "own check": f"CREATE TABLE mallory.b1 (n int CHECK ({CALL} IS NOT NULL))",
    "own domain": f"CREATE DOMAIN mallory.b2 AS int CHECK ({CALL} IS NOT NULL)",
    "own default": f"CREATE TABLE mallory.b3 (n int, x text DEFAULT {CALL}::text)",
    "own rule": "CREATE TABLE mallory.b4 (n int); CREATE RULE r AS ON INSERT TO mallory.b4 DO "
    f"ALSO SELECT {CALL}",
    "own view": f"CREATE VIEW mallory.b5 AS SELECT {CALL} AS x",
    "own matview": f"CREATE MATERIALIZED VIEW mallory.b6 AS SELECT {CALL} AS x",
    "own policy": "CREATE TABLE mallory.b7 (n int); CREATE POLICY p ON mallory.b7 USING "
    f"({CALL} IS NOT NULL)",
    "own type": f"CREATE DOMAIN mallory.b8 AS text DEFAULT {CALL}::text",
    "own file": "CREATE TABLE mallory.b9 (n int, x text DEFAULT pg_read_file('PG_VERSION'))",
}
"""What only calls the server's functions, of those that do more than compute."""
LOADING = (
    ("undrop", "rehearse"),
    ("undrop", "migrate"),
    ("undrop", "diff", "latest"),
    ("undrop", "diff", "1", "2"),
    ("undrop", "sql", "SELECT 1", "--in", "1"),
    ("undrop", "recover"),
    ("undrop", "recover", "part"),
    ("undrop", "find", "x"),
    ("undrop", "log", "item"),
)
LOOKING = (("undrop", "verify"), ("undrop", "list"), ("undrop", "status"), ("undrop", "history"))


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A server with roles of several people's, on which the log is read."""
    with running("--log_min_messages=log") as started:
        started.sql("CREATE ROLE mallory LOGIN")
        started.sql("CREATE ROLE app LOGIN CREATEDB")
        yield started


@pytest.fixture(params=["postgres", "app"])
def project(request: pytest.FixtureRequest, shared: Server, tmp_path: Path) -> Rich:
    """An application's database in which mallory may make a schema; whose undrop it is."""
    served = Rich(tmp_path / "served", shared)
    shared.sql(f'CREATE DATABASE "{served.name}" OWNER app')
    shared.sql(f'GRANT CREATE ON DATABASE "{served.name}" TO mallory')
    served.environment["QUARTERMASTER_DB_URL"] = shared.url(served.name, request.param)
    by(served, "app", "CREATE TABLE item (n serial, name text CHECK (length(name) < 9))")
    by(served, "app", "INSERT INTO item (name) VALUES ('a')")
    by(served, "mallory", TRAP)
    return served


def ways(project: Rich) -> dict[str, str]:
    """Those that this server has: not each is built with XML."""
    try:
        project.server.sql("SELECT query_to_xml('SELECT 1', true, true, '')")
    except psycopg.errors.FeatureNotSupported:
        return {way: text for way, text in WAYS.items() if "query_to_xml" not in text}
    return WAYS


def by(project: Rich, user: str, statements: str) -> None:
    """What a role does there."""
    connection = project.server.connect(project.name, user)
    try:
        connection.execute(statements)
    finally:
        connection.close()


def trapped(project: Rich) -> list[str]:
    """Her ways that worked: her code ran, and not as her."""
    log = (project.server.folder / "log").read_text(errors="replace")
    lines = (line.partition("TRAP ")[2] for line in log.splitlines() if "LOG:  TRAP " in line)
    return sorted({line for line in lines if not line.endswith(" as mallory")})


def emptied(project: Rich) -> None:
    """Begin the log anew."""
    (project.server.folder / "log").write_text("")


def test_by_hand_each_of_them_works(project: Rich) -> None:
    """What the others show shows something: restored as an administrator does, her code runs."""
    emptied(project)
    for way, statements in ways(project).items():
        by(project, "mallory", statements.replace("{way}", way))
    dump = project.export(project.root / "whole.pgdump")
    other = f"{project.name}_2"
    project.server.sql(f'CREATE DATABASE "{other}"')
    subprocess.run(
        ["pg_restore", "-h", str(project.server.folder), "-U", "postgres", "-d", other, str(dump)],
        check=False,
        capture_output=True,
        env=project.environment,
    )
    worked = {line.removesuffix(" as postgres") for line in trapped(project)}
    shown = {"check", "domain", "generated", "built in", "in a domain"} & ways(project).keys()
    assert worked >= shown


def test_nothing_of_hers_runs_with_another_s_rights(project: Rich) -> None:
    """All of it at once: backups are taken, say what was not done, and the rest refuses."""
    emptied(project)
    for way, statements in ways(project).items():
        by(project, "mallory", statements.replace("{way}", way))
    for _ in range(2):
        done = project.run("undrop", "backup")
        if done.code:  # the application's own user may not read what is hers
            assert "permission denied" in done.err, done
        by(project, "app", "INSERT INTO item (name) VALUES ('b')")
    for command in (*LOOKING, *LOADING):
        done = project.run(*command)
        assert "Traceback" not in done.err, done
    assert trapped(project) == []
    if project.saved():
        assert "not restored: code of mallory would run as postgres" in project.ok("undrop", "list")
        for command in LOADING[:4]:
            done = project.refused(4, *command)
            assert "trust-code = true" in done.err, done
            assert "verify-url" in done.err, done
    assert not Path("/tmp/trap").exists()  # noqa: S108 - where hers would have been made


@pytest.mark.parametrize("project", ["postgres"], indirect=True)
def test_each_of_them_alone_is_seen(project: Rich) -> None:
    """Also where it calls the server's own functions alone."""
    shown = 0
    for way, statements in {**ways(project), **OWN}.items():
        by(project, "mallory", "DROP SCHEMA IF EXISTS mallory CASCADE")
        by(project, "mallory", "CREATE SCHEMA mallory" if way in OWN else TRAP)
        by(project, "mallory", statements.replace("{way}", way))
        with closing(project.server.connect(project.name)) as connection:
            roles = trust.roles(session.asker(connection))
            with pytest.raises(trust.UntrustedError, match="code of mallory would run as"):
                trust.refuse(connection, roles)
            shown += 1
    assert shown >= len(WAYS) + len(OWN) - 2


@pytest.mark.parametrize("project", ["postgres"], indirect=True)
def test_an_application_s_own_expressions_are_no_code(project: Rich) -> None:
    by(
        project,
        "app",
        "CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN mail AS text CHECK (VALUE ~ '@');"
        "CREATE TABLE all_of_it (id bigint GENERATED ALWAYS AS IDENTITY, m mood DEFAULT 'a', "
        "mail mail, at timestamptz DEFAULT now(), u uuid DEFAULT gen_random_uuid(), "
        "price numeric(9,2) CHECK (price > 0), who text DEFAULT current_user, "
        "low text GENERATED ALWAYS AS (lower(who) || '!') STORED, CHECK (low IN ('x!', 'y!')));"
        "CREATE INDEX ON all_of_it (lower(who)) WHERE price > 1;"
        "CREATE MATERIALIZED VIEW sums AS SELECT m, sum(price), max(at)::date FROM all_of_it "
        "GROUP BY 1; CREATE VIEW v AS SELECT *, to_char(at, 'YYYY') FROM all_of_it",
    )
    by(project, "mallory", "DROP OWNED BY mallory")
    assert '"check": "ok"' in project.ok("undrop", "backup", "--json")


@pytest.mark.parametrize("project", ["postgres"], indirect=True)
def test_code_that_is_trusted_runs(project: Rich) -> None:
    """``trust-code`` says so of a project, and another server is one to be thrown away."""
    by(project, "mallory", WAYS["check"].replace("{way}", "trusted"))
    assert '"check": "ok, not restored' in project.ok("undrop", "backup", "--json")
    project.trust_code()
    emptied(project)
    assert "whole" in project.ok("undrop", "verify")
    assert '"check": "ok"' in project.ok("undrop", "list", "--json")
    assert trapped(project) == ["trusted as postgres"]


@pytest.mark.parametrize("project", ["postgres"], indirect=True)
def test_steps_that_only_put_back_go_on_and_say_so(project: Rich) -> None:
    by(project, "mallory", WAYS["check"].replace("{way}", "put back"))
    before = project.exactly()
    name = project.ok("undrop", "backup").strip()
    for step in ("nuke-db", "reset-db"):
        done = project.undrop(step)
        assert done.code == 0, done
        assert "not restored: code of mallory" in done.err, done
        done = project.undrop("undo")
        assert done.code == 0, done
        assert project.exactly() == before
    by(project, "app", "INSERT INTO item (name) VALUES ('b')")
    done = project.undrop("restore", name)
    assert "not restored: code of mallory" in done.err, done


@pytest.mark.parametrize("project", ["postgres"], indirect=True)
def test_a_dump_that_nobody_here_took_is_not_loaded(project: Rich) -> None:
    by(project, "mallory", WAYS["check"].replace("{way}", "planted"))
    whole = project.export(project.root / "planted.pgdump")
    by(project, "mallory", "DROP OWNED BY mallory")
    name = project.ok("undrop", "backup").strip()
    emptied(project)
    shutil.copy(whole, project.backups / "planted.pgdump")
    edited = project.backups / "edited.pgdump"
    shutil.copy(whole, edited)  # with the record of another
    shutil.copy(Path(name).with_suffix(".json"), edited.with_suffix(".json"))
    for file in ("planted.pgdump", "edited.pgdump"):
        for command in (
            ("verify", file),
            ("diff", file),
            ("diff", file, name),
            ("sql", "SELECT 1", "--in", file),
            ("restore", file),
            ("restore", file, "--dry-run"),
        ):
            assert project.undrop(*command).code in {0, 2, 4}, command
    for command in LOOKING:
        project.undrop(*command)
    assert trapped(project) == []
    done = project.refused(4, "just", "restore", "planted.pgdump")
    assert "no record of a backup vouches" in done.err
    assert "--trust" in done.err
    assert trapped(project) == []
    project.ok("just", "restore", "planted.pgdump", "--trust", "--foreign")
    assert trapped(project) == ["planted as postgres"]


SWAPS = (
    "ALTER SEQUENCE mallory.s RENAME TO kept; CREATE VIEW mallory.s AS SELECT 1::int8 AS "
    "last_value, mallory.trap('swapped sequence') AS is_called; DROP VIEW mallory.s;"
    "ALTER SEQUENCE mallory.kept RENAME TO s",
    "ALTER TABLE mallory.t RENAME TO kept_t; CREATE VIEW mallory.t AS SELECT "
    "mallory.trap('swapped table') AS n; DROP VIEW mallory.t; "
    "ALTER TABLE mallory.kept_t RENAME TO t",
)


@pytest.mark.more
@pytest.mark.parametrize("project", ["postgres"], indirect=True)
def test_what_takes_the_place_of_what_is_read_runs_nothing(project: Rich) -> None:
    by(project, "mallory", "CREATE SEQUENCE mallory.s; CREATE TABLE mallory.t (n bool)")
    emptied(project)
    stop = threading.Event()

    def swap(statements: str) -> Callable[[], None]:
        def until_then() -> None:
            connection = project.server.connect(project.name, "mallory")
            while not stop.is_set():
                for each in statements.split(";"):
                    with suppress(psycopg.Error):
                        connection.execute(each)
                time.sleep(0.02)  # or no snapshot of unmoved tables is to be had
            connection.close()

        return until_then

    def come_in() -> None:
        """Into a scratch database, to leave something for who restores into it."""
        while not stop.is_set():
            for name in project.server.scratch():
                with suppress(psycopg.Error):
                    project.server.connect(name, "mallory").close()
                    entered.append(name)

    entered: list[str] = []
    threads = [threading.Thread(target=swap(each)) for each in SWAPS]
    threads.append(threading.Thread(target=come_in))
    for thread in threads:
        thread.start()
    try:
        for number in range(2):
            project.impatient("backup", str(number))
            project.impatient("status")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert trapped(project) == []
    assert entered == []
    project.ok("undrop", "backup")


OWNS = {
    # Patterns of ours would find no call in an expression.
    "standard_conforming_strings": "off",
    # Who asks is she, but what runs then may be who connected.
    "role": "mallory",
}
"""What the owner of a database may set for whoever connects to it."""


@pytest.mark.more
@pytest.mark.parametrize("project", ["postgres"], indirect=True)
@pytest.mark.parametrize("setting", OWNS)
def test_a_setting_of_the_database_opens_no_way(project: Rich, setting: str) -> None:
    up = (
        "CREATE FUNCTION mallory.up(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM set_config('role', session_user, true) WHERE session_user <> 'mallory';"
        "PERFORM mallory.trap('up'); RETURN 1; END $$; CREATE TABLE mallory.z (n int);"
        "INSERT INTO mallory.z VALUES (1); CREATE INDEX ON mallory.z ((mallory.up(1)))"
    )
    alone = "DROP SCHEMA mallory CASCADE; CREATE SCHEMA mallory;" + OWN["own domain"]
    by(project, "app", "GRANT ALL ON item, item_n_seq TO mallory")
    by(project, "mallory", up if setting == "role" else alone)
    project.server.sql(f'ALTER DATABASE "{project.name}" OWNER TO mallory')
    project.server.sql(f'ALTER DATABASE "{project.name}" SET {setting} = {OWNS[setting]}')
    emptied(project)
    for command in (("undrop", "backup"), ("undrop", "status"), ("undrop", "list")):
        said = project.ok(*command)
    assert trapped(project) == []
    assert "not restored: code of mallory would run as postgres" in said


@pytest.mark.more
@pytest.mark.parametrize("project", ["postgres"], indirect=True)
def test_who_cannot_connect_is_no_cure(project: Rich) -> None:
    by(project, "mallory", WAYS["check"].replace("{way}", "x"))
    assert "let the URL name mallory" in project.refused(4, "undrop", "rehearse").err
    project.server.sql("ALTER ROLE mallory NOLOGIN")
    try:
        said = project.refused(4, "undrop", "rehearse").err
    finally:
        project.server.sql("ALTER ROLE mallory LOGIN")
    assert "let the URL name" not in said
    assert "trust-code = true" in said
