"""Damaged is said of bytes alone: a whole database that is not read here is backed up and kept."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop import Project, make, wal_of

from undrop import errors
from undrop.compare import files
from undrop.engines.sqlite import orphans
from undrop.sqlitefile import check
from undrop.values import Orphans, Session, quiet

UNREAD = {
    "view": "CREATE VIEW newer AS SELECT v FROM t SORTED BY id",
    "trigger": "CREATE TRIGGER newer AFTER INSERT ON t BEGIN SELECT 1 SORTED BY id; END",
    "table": "CREATE TABLE newer (v DEFAULT 1@000)",
    "index": "CREATE INDEX newer ON t (v SORTED)",
}
"""Statements that no SQLite can read yet; they stand for those that only a newer one can."""
PLAIN = {
    "table": "CREATE TABLE newer (v)",
    "index": "CREATE INDEX newer ON t (v)",
    "view": "CREATE VIEW newer AS SELECT 1",
    "trigger": "CREATE TRIGGER newer AFTER INSERT ON t BEGIN SELECT 1; END",
}


def from_the_future(database: Path, kind: str) -> None:
    """Give a database a definition that this SQLite cannot read, and otherwise every right byte."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(PLAIN[kind])
        connection.execute("PRAGMA writable_schema = ON")
        sql = "UPDATE sqlite_master SET sql = ? WHERE name = 'newer'"
        connection.execute(sql, [UNREAD[kind]])
    with closing(sqlite3.connect(database)) as connection, pytest.raises(sqlite3.DatabaseError):
        connection.execute("SELECT * FROM t")


def whole(database: Path) -> list[tuple[object, ...]]:
    """Schema and rows, read past what cannot be."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        schema = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        return [*schema, *connection.execute("SELECT * FROM t")]


@pytest.mark.parametrize(
    "kind",
    ["view", "table", *(pytest.param(n, marks=pytest.mark.more) for n in ("trigger", "index"))],
)
def test_a_schema_that_this_sqlite_is_too_old_for_is_not_damaged(
    project: Project, kind: str
) -> None:
    make(project.database, 5)
    project.ok("just", "backup", "older")
    from_the_future(project.database, kind)
    present = whole(project.database)
    kept = project.ok("just", "backup", "newer").strip()
    record = json.loads(Path(kept).with_suffix(".json").read_text())
    assert record["check"].startswith(
        f"ok, not checked: newer (this SQLite, {sqlite3.sqlite_version}"
    )
    done = project.done("just", "status")
    assert "damaged" not in done.out + done.err
    assert f"{Path(kept).stem}.db: whole, not checked: newer" in project.ok("just", "verify")
    project.ok("just", "restore", "latest")  # the older one
    project.ok("just", "restore", Path(kept).name)
    assert whole(project.database) == present
    project.ok("just", "nuke-db")
    project.ok("just", "undo")
    assert whole(project.database) == present
    refused = project.refused(1, "just", "migrate")
    assert "malformed database schema (newer)" in refused.err
    assert "restore" not in refused.err.partition("Next:")[2]
    assert whole(project.database) == present


def test_what_a_newer_sqlite_made_is_backed_up_in_wal_mode(project: Project) -> None:
    pysqlite3 = pytest.importorskip("pysqlite3", reason="it is built for Linux alone")
    make(project.database, 5)
    with closing(pysqlite3.connect(project.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE VIEW newer AS SELECT group_concat(v ORDER BY id) FROM t")
        connection.commit()
        assert wal_of(project.database).stat().st_size
        project.ok("just", "backup")
        project.ok("just", "diff", "latest")
        assert "FINDING" not in project.ok("just", "audit")
        project.ok("just", "restore", project.saved()[0].name)
        assert connection.execute("SELECT count(*) FROM newer").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "how",
    [
        *("no text", "no statement", "half a letter", "no page", "no such kind"),
        *("a control character", "a quotation mark alone"),
    ],
)
def test_a_schema_table_that_is_broken_is_damage(project: Project, how: str) -> None:
    make(project.database, 5)
    values = {
        "no text": "sql = x'00ff'",
        "no statement": "sql = 'DROP TABLE t'",
        "half a letter": "sql = CAST(CAST('CREATE TABLE t (id, v' AS BLOB) || x'ff' AS TEXT)",
        "no page": "rootpage = 0",
        "no such kind": "sql = 'CREATE TAALE t (id, v)'",
        "a control character": "sql = 'CREATE TABLE t (id, ' || char(14) || 'v)'",
        "a quotation mark alone": "sql = 'CREATE TABLE t (id, `v)'",
    }
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"UPDATE sqlite_master SET {values[how]} WHERE name = 't'")
    refused = project.refused(4, "just", "backup")
    assert "damaged" in refused.err


JSON = {
    "an index": "CREATE INDEX i ON items (json_extract(sku, '$.k'))",
    "a partial index": "CREATE INDEX i ON items (sku) WHERE json_valid(sku) AND sku ->> 'k' > 0",
    "a generated column": "CREATE TABLE g (j, k AS (j ->> 'k') STORED, l AS (json_type(j)))",
    "a check": "CREATE TABLE g (j CHECK (json_valid(j)))",
    "a view": "CREATE VIEW g AS SELECT json_quote(sku) FROM items",
}


@pytest.mark.parametrize(
    "kind", [*JSON][:2] + [pytest.param(kind, marks=pytest.mark.more) for kind in [*JSON][2:]]
)
def test_json_in_a_schema_is_checked_like_any_other(stocked: Project, kind: str) -> None:
    stocked.sql("UPDATE items SET sku = json_object('k', sku)")
    stocked.revise(f"op.execute({JSON[kind]!r})")
    before = stocked.content()
    stocked.ok("just", "migrate")
    stocked.ok("just", "backup")
    checks = {
        json.loads(kept.with_suffix(".json").read_text())["check"] for kept in stocked.saved()
    }
    assert checks == {"ok"}
    stocked.ok("just", "undo")
    assert stocked.content() == before


def test_a_damaged_page_is_found_behind_json_and_what_is_not_read(project: Project) -> None:
    for kind in ("view", ""):
        make(project.database, 500)
        with closing(sqlite3.connect(project.database)) as connection:
            connection.execute("CREATE INDEX i ON t (json_quote(v))")
            connection.commit()
        if kind:
            from_the_future(project.database, kind)
        with project.database.open("r+b") as file:
            file.seek(2 * 4096)
            file.write(b"\x99" * 4096)
        with pytest.raises(errors.DamagedError, match=r"malformed|finds"):
            check.verify(project.database, Session())
        with pytest.raises(errors.DamagedError, match=r"malformed|finds"):
            check.live(project.database, Session())
        project.database.unlink()


def test_a_copy_with_pages_that_were_allocated_before_they_are_needed_is_whole(
    project: Project,
) -> None:
    make(project.database, 50)
    raw = project.root / "raw.db"
    shutil.copyfile(project.database, raw)
    os.truncate(raw, raw.stat().st_size + 10 * 4096)
    before = project.content()
    assert project.ok("just", "verify", "raw.db") == "raw.db: whole\n"
    project.sql("DELETE FROM t")
    project.ok("just", "restore", "raw.db")
    assert project.content() == before
    os.truncate(raw, 4096)
    assert "its header claims" in project.run("just", "verify", "raw.db").out


def test_what_only_the_application_can_say_is_named_as_not_checked(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.create_collation("Mine", lambda a, b: (b > a) - (b < a))
        connection.create_function("fine", 1, lambda value: value, deterministic=True)
        connection.execute("CREATE TABLE t (v TEXT COLLATE Mine PRIMARY KEY) WITHOUT ROWID")
        connection.execute("CREATE TABLE g (a, b TEXT AS (fine(a)) NOT NULL)")
        connection.execute("CREATE INDEX i ON g (a) WHERE fine(a) > 0")
        connection.executemany("INSERT INTO t VALUES (?)", [("b",), ("a",)])
        connection.execute("INSERT INTO g VALUES (1)")
        connection.commit()
    project.ok("just", "backup")
    [kept] = project.saved()
    said = json.loads(kept.with_suffix(".json").read_text())["check"]
    own = f"(this SQLite, {sqlite3.sqlite_version}, does not have it)"
    assert said == f"ok, not checked: what fine() gives {own}; the order by Mine {own}"
    assert "FINDING" not in project.ok("just", "audit")
    project.ok("just", "nuke-db")
    project.ok("just", "undo")


@pytest.mark.parametrize(
    ("using", "said"),
    [("vec0 (a float)", "no such module: vec0"), ("fts5 (a, tokenize = 'own')", "own")],
)
def test_a_virtual_table_that_only_its_application_opens_is_named_as_not_checked(
    project: Project, using: str, said: str
) -> None:
    make(project.database, 5)
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("CREATE VIRTUAL TABLE q USING fts5 (a)")
        connection.execute("PRAGMA writable_schema = ON")
        sql = f"CREATE VIRTUAL TABLE q USING {using}"
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'q'", [sql])
    record = Path(project.ok("just", "backup").strip()).with_suffix(".json")
    check = json.loads(record.read_text())["check"]
    assert check.startswith(f"ok, not checked: q (this SQLite, {sqlite3.sqlite_version}, ")
    assert said in check


def by_its_own_order(project: Project, script: str) -> None:
    """Run SQL as the application does, which has a collation of its own."""
    with closing(sqlite3.connect(project.database)) as connection:
        connection.create_collation("Mine", lambda a, b: (b > a) - (b < a))
        connection.executescript(script)


def test_rows_are_compared_where_the_key_is_in_the_order_of_the_application(
    project: Project,
) -> None:
    by_its_own_order(
        project,
        "CREATE TABLE t (k TEXT COLLATE Mine PRIMARY KEY, v) WITHOUT ROWID;"
        "INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3)",
    )
    project.ok("just", "backup")
    by_its_own_order(project, "UPDATE t SET v = 9 WHERE k = 'b'")
    told = json.loads(project.ok("undrop", "diff", "latest", "--json"))
    assert [(table["added"], table["gone"], table["changed"]) for table in told["tables"]] == [
        (0, 0, 1)
    ]


def test_a_foreign_key_in_the_order_of_the_application_is_not_said_to_be_broken(
    project: Project,
) -> None:
    by_its_own_order(
        project,
        "CREATE TABLE p (id INTEGER PRIMARY KEY, k TEXT COLLATE Mine UNIQUE);"
        "INSERT INTO p (k) VALUES ('a'), ('b'), ('c'), ('d');"
        "CREATE TABLE c (k TEXT REFERENCES p (k), p REFERENCES p);"
        "INSERT INTO c SELECT k, id FROM p",
    )
    assert "FINDING" not in project.ok("just", "audit")
    by_its_own_order(project, "UPDATE c SET p = 7 WHERE k = 'b'")
    audit = project.run("just", "audit")
    assert audit.code == 4
    assert "1 row(s) of c point to no row of p" in audit.out


DANGLING = {
    "a row": "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (x REFERENCES p);",
    "a table": "CREATE TABLE c (x REFERENCES nowhere);",
    "a key": "CREATE TABLE p (id, y); CREATE TABLE c (x REFERENCES p (y));",
    "a column": "CREATE TABLE p (id); CREATE TABLE c (x REFERENCES p (z));",
}
RENAMED = {
    "the child": "ALTER TABLE c RENAME TO kids",
    "its column": "ALTER TABLE c RENAME COLUMN x TO parent_id",
    "the parent": "ALTER TABLE p RENAME TO parents",
    "all": "ALTER TABLE c RENAME TO kids; ALTER TABLE kids RENAME COLUMN x TO parent_id;"
    "ALTER TABLE p RENAME TO parents",
}


def since(tmp_path: Path, setup: str, change: str) -> list[Orphans]:
    """What points nowhere after a change of a database and did not before."""
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    for path, script in ((before, setup), (after, change)):
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)
        if path == before:
            shutil.copyfile(before, after)
    return orphans.since(before, after, files.compare(before, after, quiet).tables)


@pytest.mark.parametrize("renamed", RENAMED)
@pytest.mark.parametrize("kind", DANGLING)
def test_what_pointed_nowhere_before_does_not_block_a_rename(
    tmp_path: Path, kind: str, renamed: str
) -> None:
    setup = f"{DANGLING[kind]} INSERT INTO c VALUES (7);"
    if kind == "a table":  # SQLite renames no parent that is not there
        setup += "CREATE TABLE p (id)"
    assert since(tmp_path, setup, RENAMED[renamed]) == []
    (tmp_path / "before.db").unlink()
    (tmp_path / "after.db").unlink()
    if kind != "a row":
        return
    [more] = since(tmp_path, setup, f"INSERT INTO c VALUES (8); {RENAMED[renamed]}")
    assert (more.known, more.what[:8]) == (False, "2 row(s)")


def test_a_foreign_key_that_no_longer_fits_is_none_of_before(tmp_path: Path) -> None:
    setup = "CREATE TABLE p (id UNIQUE); CREATE TABLE c (x REFERENCES p (id));"
    change = "DROP TABLE p; CREATE TABLE p (id)"
    [broken] = since(tmp_path, setup, change)
    assert broken == ("foreign key c.", "a foreign key of c does not fit p", False)


def test_a_foreign_key_over_rows_that_break_it_already_is_warned_of_by_name(
    stocked: Project,
) -> None:
    stocked.script(
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (id INTEGER PRIMARY KEY, x INT);"
        "INSERT INTO c (x) VALUES (7), (8), (NULL)"
    )
    steps = (
        "with op.batch_alter_table('c') as batch:",
        "    batch.create_foreign_key('fk', 'p', ['x'], ['id'])",
    )
    name = "foreign key c.x"
    stocked.revise(*steps)
    done = stocked.done("just", "migrate")
    assert done.code == 0
    assert f"{name} is new: 2 row(s) of c point to no row of p, as before" in done.err
    stocked.ok("just", "undo")
    stocked.revise(*steps, head=f"accepts_loss = [{name!r}]")
    done = stocked.done("just", "migrate")
    assert (done.code, name in done.err) == (0, False)
    stocked.ok("just", "undo")
    stocked.revise(
        "op.execute('ALTER TABLE c ADD COLUMN y INT REFERENCES p')",
        "op.execute('UPDATE c SET y = 9')",
    )
    assert "3 row(s) of c point to no row of p" in stocked.refused(4, "just", "migrate").err
