"""Which table Alembic keeps a revision in is what its context says, and never a guess."""

import json
from pathlib import Path

import pytest
from shop import Project, some

FIRMWARE = "CREATE TABLE firmware (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"


def renamed(project: Project, table: str = "versions") -> None:
    """Have env.py keep the revision in another table."""
    env = project.root / "alembic/env.py"
    env.write_text(env.read_text().replace("configure(", f"configure(version_table={table!r}, "))


def revision(project: Project) -> object:
    """What ``status`` says."""
    return json.loads(project.run("undrop", "status", "--json").out)["revisions"]


@pytest.mark.parametrize(
    "table", [pytest.param("versions", marks=pytest.mark.more), 'Übersicht der "Stände"']
)
def test_one_with_another_name_is_read_from_the_first_migration_on(
    stocked: Project, table: str
) -> None:
    stocked.ok("just", "nuke-db")
    renamed(stocked, table)
    assert stocked.ok("just", "migrate") == "no revision -> 0006\n"
    assert revision(stocked) == ["0006"]
    kept = stocked.ok("just", "backup").strip()
    assert json.loads(Path(kept).with_suffix(".json").read_text())["revisions"] == ["0006"]
    stocked.revise("op.execute('CREATE TABLE more (a)')")
    done = stocked.done("just", "migrate")
    assert done.out == "0006 -> 9001\n"
    assert table not in done.err  # its row is no loss
    stocked.ok("just", "undo")
    assert revision(stocked) == ["0006"]


def test_alembics_own_run_tells_it_too(stocked: Project) -> None:
    stocked.ok("just", "nuke-db")
    renamed(stocked)
    stocked.ok("alembic", "upgrade", "head")
    assert revision(stocked) == ["0006"]


def test_init_asks_env_py(stocked: Project) -> None:
    stocked.ok("just", "nuke-db")
    renamed(stocked)
    stocked.ok("undrop", "init")
    known = json.loads((stocked.backups / "version_tables.json").read_text())
    assert known == {"quartermaster.db": "versions"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("VARCHAR(255)", "version_num"),
        ("TEXT", "VERSION_NUM"),
        pytest.param("INTEGER", "version_num", marks=pytest.mark.more),
        pytest.param("BLOB", "version_num", marks=pytest.mark.more),
        pytest.param("", "VERSION_NUM", marks=pytest.mark.more),
    ],
)
def test_a_revision_of_any_type_and_width_is_one(stocked: Project, kind: str, name: str) -> None:
    stocked.script(
        "DROP TABLE alembic_version;"
        f"CREATE TABLE alembic_version ({name} {kind} NOT NULL PRIMARY KEY);"
        "INSERT INTO alembic_version VALUES (CAST('0006' AS TEXT))"
    )
    if kind == "INTEGER":  # 6: the revision is not this one, and that is said
        assert revision(stocked) == ["6"]
        return
    assert revision(stocked) == ["0006"]
    stocked.revise("op.execute('CREATE TABLE more (a)')")
    assert stocked.ok("just", "migrate") == "0006 -> 9001\n"


def test_a_users_table_that_looks_like_it_is_the_users(stocked: Project) -> None:
    stocked.script(f"{FIRMWARE}; INSERT INTO firmware VALUES ('1.0'), ('2.0')")
    assert revision(stocked) == ["0006"]
    stocked.revise("op.execute('DELETE FROM firmware')")
    done = stocked.refused(4, "just", "migrate")
    assert "rows firmware" in done.err
    assert stocked.ok("just", "migrate", "head", "--accept-loss") == "0006 -> 9001\n"


def test_the_rows_of_an_older_name_are_content(stocked: Project) -> None:
    renamed(stocked)
    stocked.ok("alembic", "stamp", "0006")
    stocked.revise("op.execute('DROP TABLE alembic_version')")
    assert "table alembic_version" in stocked.refused(4, "just", "migrate").err


def test_what_is_remembered_wrongly_harms_nothing(stocked: Project) -> None:
    stocked.ok("just", "backup")
    for text in ("[" * 100_000, '{"quartermaster.db": 7}', '{"quartermaster.db": "nowhere"}'):
        (stocked.backups / "version_tables.json").write_text(text)
        stocked.ok("just", "status")
        stocked.ok("just", "migrate")
    assert revision(stocked) == ["0006"]


def test_what_one_context_ran_is_kept_where_the_next_has_nothing_to_run(stocked: Project) -> None:
    env = stocked.root / "alembic/env.py"
    text = env.read_text()
    once = "        with context.begin_transaction():\n            context.run_migrations()\n"
    assert once in text
    again = "        connection.commit()\n        context.configure(connection=connection)\n"
    env.write_text(text.replace(once, once + again + once))
    stocked.revise(
        "op.execute('DELETE FROM stock_movements')", head="accepts_loss = ['rows stock_movements']"
    )
    assert stocked.ok("just", "migrate") == "0006 -> 9001\n"
    assert revision(stocked) == ["9001"]


TOOLS = {
    "django_migrations": (
        "(id integer primary key, app text, name text, applied datetime)",
        "(1, 'auth', '0001_a', ''), (2, 'shop', '0001_a', ''), (3, 'shop', '0002_b', '')",
        "DELETE FROM django_migrations WHERE id = 3",
        ("shop 0001_a", "shop 0002_b"),
    ),
    "schema_migrations": (
        "(version varchar(128) primary key)", "('20240101'), ('20240102')",
        "DELETE FROM schema_migrations WHERE version = '20240102'", ("20240101", "20240102"),
    ),
    "_yoyo_migration": (
        "(migration_hash varchar(64) primary key, migration_id varchar(255),"
        " applied_at_utc timestamp)",
        "('f', '0001.a', '2026-01-01'), ('a', '0002.b', '2026-01-02')",
        "DELETE FROM _yoyo_migration WHERE migration_hash = 'a'", ("0001.a", "0002.b"),
    ),
    "knex_migrations": (
        "(id integer primary key, name varchar(255), batch integer, migration_time datetime)",
        "(1, 'a.js', 1, 0), (2, 'b.js', 2, 0)",
        "DELETE FROM knex_migrations WHERE id = 2",
        ("a.js", "b.js"),
    ),
    "_meta": (
        "(id integer primary key check (id = 1), version integer not null default 0)",
        "(1, 2)",
        "UPDATE _meta SET version = 1", ("1", "2"),
    ),
}  # fmt: skip
"""Tables as the tools make them: what is in them,  what takes it back, and both revisions."""


@pytest.mark.parametrize("table", some(TOOLS))
def test_what_another_tool_took_back_is_told_as_the_revision_and_is_no_loss(
    project: Project, table: str
) -> None:
    columns, rows, back, (older, newer) = TOOLS[table]
    project.script(f"CREATE TABLE {table} {columns}; INSERT INTO {table} VALUES {rows}")
    project.script("CREATE TABLE items (id INTEGER PRIMARY KEY, spare TEXT)")
    (project.root / "tool.py").write_text(
        "import sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1])\n"
        f"connection.executescript({back + '; ALTER TABLE items DROP COLUMN spare'!r})\n"
    )
    settings = project.root / "pyproject.toml"
    command = "[tool.undrop]\nmigrate-command = 'python tool.py {path}'"
    settings.write_text(settings.read_text().replace("[tool.undrop]", command))
    done = project.done("just", "migrate")
    assert done.out == f"{newer} -> {older}\n"
    assert table not in done.err
    seen = json.loads(project.run("undrop", "status", "--json").out)["revisions"]
    assert ", ".join(seen).endswith(older.rpartition(", ")[2])
