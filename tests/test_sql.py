"""``undrop sql``: a look into a backup or live that changes nothing, whatever is asked."""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import confined
import inside
import pytest
from shop import Project, make, python, some, wal_of
from test_looks import on_a_terminal

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
ODD = (
    "CREATE TABLE odd (n INTEGER PRIMARY KEY, v);"
    "INSERT INTO odd VALUES (1, NULL), (2, ''), (3, 'NULL'), (4, 'a,\"b\"'), (5, 'one\ntwo'),"
    " (6, x'00ff'), (7, 9e999), (8, 1e308), (9, -5), (10, 'é')"
)
CHANGES = {
    "DELETE FROM odd": "DELETE FROM odd",
    "WITH a AS (SELECT 1) UPDATE odd SET v = 1": "UPDATE odd",
    "INSERT INTO odd (v) SELECT 1": "INSERT INTO odd",
    "EXPLAIN DELETE FROM odd": "DELETE FROM odd",
    "CREATE TABLE x (a)": "CREATE TABLE",
    "CREATE TEMP TABLE x AS SELECT 1": "CREATE TEMP TABLE",
    "CREATE VIRTUAL TABLE x USING fts5 (a)": "CREATE VIRTUAL TABLE",
    "DROP TABLE odd": "DROP TABLE",
    "ALTER TABLE odd ADD COLUMN w": "ALTER TABLE",
    "ATTACH 'other.db' AS other": "ATTACH other.db",
    "VACUUM": "VACUUM",
    "/* quietly */ vacuum INTO 'other.db'": "VACUUM",
    "PRAGMA user_version = 3": "PRAGMA user_version = 3",
    "PRAGMA query_only = OFF": "PRAGMA query_only = OFF",
    "PRAGMA writable_schema(1)": "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = WAL": "PRAGMA journal_mode = WAL",
    "PRAGMA wal_checkpoint": "PRAGMA wal_checkpoint",
    "PRAGMA optimize": "PRAGMA optimize",
    "SELECT load_extension('x')": "load_extension()",
    "SELECT fts3_tokenizer('simple')": "fts3_tokenizer()",
    "SELECT writefile('other.db', 'x')": None,
    "BEGIN": "BEGIN",
    "SAVEPOINT x": "SAVEPOINT BEGIN",
    "REINDEX": "REINDEX",
    "ANALYZE": "ANALYZE",
    "UPDATE sqlite_master SET sql = ''": None,
    "DELETE FROM sqlite_master": None,
}
"""What is no look, and what of it is refused; None where SQLite itself has no such thing."""
LOOKS = {
    f"{ENDLESS} SELECT x FROM c LIMIT 2": [[1], [2]],
    "SELECT n, v FROM odd WHERE n = 10 -- in the backup alone": [[10, "é"]],
    "PRAGMA table_info(odd)": [[0, "n", "INTEGER", 0, None, 1], [1, "v", "", 0, None, 0]],
    "PRAGMA user_version": [[0]],
    "SELECT name FROM pragma_table_list WHERE name = 'odd'": [["odd"]],
    "SELECT value FROM json_each('[7]')": [[7]],
    "VALUES (1), (2);": [[1], [2]],
    "-- why\nSELECT 1 -- because": [[1]],
    "EXPLAIN QUERY PLAN SELECT 1": [[1, 0, 0, "SCAN CONSTANT ROW"]],
}


@pytest.fixture
def odd(project: Project) -> Project:
    """A backup of odd values, and live without the last."""
    project.script(ODD)
    inside.back_up(project)
    project.sql("DELETE FROM odd WHERE n = 10")
    return project


def answer(project: Project, *words: str) -> list[list[object]]:
    rows: list[list[object]] = json.loads(project.ok("undrop", "sql", "--json", *words))["rows"]
    return rows


def test_a_backup_and_live_are_asked_by_any_name(odd: Project) -> None:
    [saved] = odd.saved()
    count = "SELECT count(*) FROM odd"
    for name in ("latest", "1", saved.name, saved.stem, "manual", str(saved)):
        assert answer(odd, name, count) == [[10]]
    for words in ((count,), ("live", count), (odd.database.name, count)):
        assert answer(odd, *words) == [[9]]
    assert odd.ok("just", "sql", "latest", count) == "count(*)\n10\n"
    for asked in (("--csv", "latest", count), ("latest", "--csv", count), ("1", count, "--csv")):
        assert odd.ok("just", "sql", *asked).split() == ["count(*)", "10"]
    assert "it takes no 'more'" in odd.undrop("sql", "latest", "--csv", count, "more").err


@pytest.mark.more
def test_null_is_told_from_a_text_and_a_row_is_a_line(odd: Project) -> None:
    shown = odd.ok("undrop", "sql", "latest", "SELECT n, v FROM odd ORDER BY n")
    assert [line.split(maxsplit=1)[1:] for line in shown.splitlines()] == [
        *(["v"], ["NULL"], [], ["'NULL'"], ['a,"b"'], ["one�two"], ["x'00ff'"]),
        *(["inf"], ["1e+308"], ["-5"], ["é"]),
    ]


def test_csv_is_what_a_reader_of_csv_reads(odd: Project) -> None:
    query = "SELECT n, v FROM odd ORDER BY n"
    said = odd.run("undrop", "sql", "latest", query, "--csv").out
    assert list(csv.reader(io.StringIO(said, newline="")))[:6] == [
        *(["n", "v"], ["1", ""], ["2", ""], ["3", "NULL"], ["4", 'a,"b"'], ["5", "one\ntwo"]),
    ]
    assert said.startswith('n,v\r\n1,\r\n2,""\r\n')
    alone = odd.ok("undrop", "sql", "SELECT NULL AS a UNION ALL SELECT 1", "--csv")
    assert list(csv.reader(io.StringIO(alone, newline=""))) == [["a"], [""], ["1"]]


@pytest.mark.more
def test_json_has_columns_and_rows(odd: Project) -> None:
    found = json.loads(odd.ok("undrop", "sql", "latest", "SELECT n, v, v FROM odd", "--json"))
    assert found["columns"] == ["n", "v", "v"]
    assert [row[1] for row in found["rows"]] == [
        *(None, "", "NULL", 'a,"b"', "one\ntwo", "x'00ff'", "inf", 1e308, -5, "é"),
    ]
    assert odd.undrop("sql", "SELECT 1", "--json", "--csv").code == 2


@pytest.mark.parametrize("query", LOOKS)
def test_what_only_looks_is_answered(odd: Project, query: str) -> None:
    assert answer(odd, "latest", query) == LOOKS[query]
    assert answer(odd, "live", query) == ([] if "alone" in query else LOOKS[query])


@pytest.mark.more
@pytest.mark.parametrize("wal", [False, True])
@pytest.mark.parametrize("query", some(CHANGES))
def test_what_would_change_anything_is_refused(odd: Project, query: str, *, wal: bool) -> None:
    if wal:
        odd.sql("PRAGMA journal_mode = WAL")
    before = odd.tree()
    for words in ((query,), ("live", query), ("latest", query)):
        done = odd.refused(2, "undrop", "sql", *words)
        if what := CHANGES[query]:
            assert f"{what} is refused: a query is read only" in done.err
        assert odd.tree() == before


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT uper(v) FROM odd", "no such function: uper"),
        ("SELECT nowhere FROM odd", "no such column: nowhere"),
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT ?", "bindings"),
        ("", "no query"),
        ("-- nothing", "no query"),
        ("nosuch", "there is no backup 'nosuch'"),
        ("SELECT '\udcff'", "surrogates"),
    ],
)
def test_what_is_no_query_is_told_in_sqlites_words(odd: Project, query: str, said: str) -> None:
    assert said in odd.refused(2, "undrop", "sql", "--", query).err


@pytest.mark.more
def test_a_text_that_is_no_utf8_is_whole_where_that_can_be(odd: Project) -> None:
    query = "SELECT CAST(x'61ff62' AS TEXT) AS v"
    script = "import subprocess, sys; print(subprocess.check_output(sys.argv[1:]))"
    assert odd.ok(*python(script, "undrop", "sql", query, "--csv")) == "b'v\\r\\na\\xffb\\r\\n'\n"
    assert odd.ok("undrop", "sql", query) == "v\na�b\n"
    assert answer(odd, query) == [["a�b"]]


@pytest.mark.parametrize("kind", ["fts5 (a)", "fts4 (a)", "rtree (a, b, c)"])
def test_virtual_tables_are_read(odd: Project, kind: str) -> None:
    odd.script(f"CREATE VIRTUAL TABLE v USING {kind}; INSERT INTO v (a) VALUES (1)")
    inside.back_up(odd)
    for name in ("latest", "live"):
        assert answer(odd, name, "SELECT a FROM v") == [[1]]
    if "fts" in kind:
        assert answer(odd, "SELECT count(*) FROM v WHERE v MATCH '1'") == [[1]]


@pytest.mark.more
def test_what_only_the_application_has_is_told(odd: Project) -> None:
    with closing(sqlite3.connect(odd.database)) as connection:
        connection.create_collation("german", lambda a, b: (a > b) - (a < b))
        connection.create_function("slug", 1, str, deterministic=True)
        connection.execute("CREATE TABLE names (n TEXT COLLATE german, s AS (slug(n)))")
        connection.execute("INSERT INTO names VALUES ('b'), ('a')")
        connection.commit()
    done = odd.done("undrop", "sql", "SELECT n, s FROM names ORDER BY n")
    assert done.out == "n  s\na  NULL\nb  NULL\n"
    assert "what slug() gives, only its application knows" in done.err
    assert "order by german" in done.err


def test_every_commit_is_seen_with_the_database_in_use(odd: Project) -> None:
    with closing(sqlite3.connect(odd.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT INTO odd (v) VALUES ('in the -wal')")
        connection.commit()
        assert wal_of(odd.database).stat().st_size > 0
        assert answer(odd, "SELECT count(*) FROM odd") == [[10]]
        connection.execute("DELETE FROM odd")
        assert answer(odd, "SELECT count(*) FROM odd") == [[10]]  # which is not committed


@pytest.mark.more
@pytest.mark.parametrize("room", ["room", "no room"])
def test_nobody_waits_for_who_reads_the_answer(
    odd: Project, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    """In rollback mode a reader keeps writers waiting: where there is room, a copy is asked."""
    from undrop import settings
    from undrop.steps import query

    if room == "no room":
        none = type("Disk", (), {"f_bavail": 0, "f_frsize": 1})
        monkeypatch.setattr(os, "statvfs", lambda _: none)
    with query.query(settings.load(odd.root), "live", odd.root, f"{ENDLESS} SELECT x FROM c") as it:
        assert next(it.rows) == (1,)
        assert bool(it.notes) == (room == "no room")
        with closing(sqlite3.connect(odd.database, timeout=0)) as writer:
            try:
                writer.execute("DELETE FROM odd")
                writer.commit()
                said = "written"
            except sqlite3.OperationalError as error:
                said = str(error)
    assert said == ("written" if room == "room" else "database is locked")


@pytest.mark.parametrize("wal", [False, True])
def test_nothing_need_be_writable(odd: Project, *, wal: bool) -> None:
    if wal:
        odd.sql("PRAGMA journal_mode = WAL")
    query = "SELECT count(*) AS n FROM odd"
    with confined.read_only(odd.root):
        for name, count in (("latest", 10), ("live", 9)):
            done = confined.run(odd, confined.as_anybody, "undrop", "sql", name, query)
            assert done.out == f"n\n{count}\n", done


@pytest.mark.more
def test_a_backup_that_only_the_vault_has_is_asked(odd: Project) -> None:
    [saved] = odd.saved()
    saved.unlink()
    assert answer(odd, saved.name, "SELECT count(*) FROM odd") == [[10]]


def test_a_damaged_backup_says_so(odd: Project) -> None:
    [saved] = odd.saved()
    data = bytearray(saved.read_bytes())
    data[-9] ^= 1
    saved.chmod(0o600)
    saved.write_bytes(data)
    done = odd.refused(4, "undrop", "sql", "latest", "SELECT 1")
    assert f"{saved} is damaged" in done.err or "not what its record says" in done.err


@pytest.mark.more
def test_a_file_that_is_not_whole_alone_is_refused(odd: Project, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    make(other)
    assert answer(odd, str(other), "SELECT count(*) FROM t") == [[50]]
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM t")
        connection.commit()
        assert wal_of(other).stat().st_size > 0
        assert "not whole alone" in odd.refused(4, "undrop", "sql", str(other), "SELECT 1").err


def test_rows_come_as_they_are_read_and_the_reader_may_leave(odd: Project) -> None:
    for more in ("", "--csv"):
        line = f'undrop sql {more} "{ENDLESS} SELECT x FROM c" | head -3'
        done = odd.run("sh", "-c", f"{line}; echo $?")
        assert done.out.split() == ["x", "1", "2", "0"]
        assert done.err == ""


@pytest.mark.more
def test_ctrl_c_stops_a_long_query(odd: Project) -> None:
    started = odd.root / "started"
    script = (
        "from undrop.sqlitefile import query; from undrop import cli\n"
        "run = query._run\n"
        "def begin(*a):\n    open('started', 'w').close(); return run(*a)\n"
        "query._run = begin; cli.launch()"
    )
    words = python(script, "sql", f"{ENDLESS} SELECT sum(x) FROM c")
    with subprocess.Popen(
        words, cwd=odd.root, env=odd.environment, stderr=subprocess.PIPE
    ) as process:
        while not started.exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert b"stopped by SIGINT" in said


def test_a_long_value_is_shortened_on_a_terminal_alone(odd: Project) -> None:
    query = "SELECT printf('%.99c', 'x') AS v"
    assert "x" * 99 in odd.ok("undrop", "sql", query)
    shown = on_a_terminal(odd, "undrop", "sql", query)
    assert f"{'x' * 59}…" in shown
    assert "x" * 60 not in shown


@pytest.mark.more
@pytest.mark.parametrize("there", ["litecli", "sqlite3"])
def test_without_a_query_a_shell_that_only_reads_is_started(odd: Project, there: str) -> None:
    programs = odd.root / "programs"
    programs.mkdir()
    for name in ("litecli", "sqlite3")[there == "sqlite3" :]:
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@"\nexit 7\n')
        (programs / name).chmod(0o755)
    path = f"{programs}:{odd.environment['PATH']}"
    [saved] = odd.saved()
    options = " -readonly" if there == "sqlite3" else ""
    done = odd.undrop("sql", "latest", PATH=path)
    assert done.out == f"{there}{options} {saved.as_uri()}?mode=ro&immutable=1\n"
    assert done.code == 7
    for words in ((), ("live",)):
        done = odd.undrop("sql", *words, PATH=path)
        assert done.out == f"{there}{options} {odd.database.as_uri()}?mode=ro\n"


def test_a_shell_leaves_a_backup_and_live_as_they_are(odd: Project) -> None:
    before = odd.tree()
    for name in ("latest", "live"):
        done = odd.told(b"SELECT count(*) FROM odd; DELETE FROM odd;", "undrop", "sql", name)
        assert done.out in {"10\n", "9\n"}
        assert "readonly" in done.err
    assert odd.tree() == before


@pytest.mark.more
def test_without_a_shell_it_says_what_to_install(odd: Project) -> None:
    programs = odd.root / "programs"
    programs.mkdir()
    (programs / "undrop").symlink_to(Path(sys.executable).with_name("undrop"))
    done = odd.refused(1, "undrop", "sql", "latest", PATH=str(programs))
    assert "install litecli or sqlite3" in done.err


def test_without_a_database_a_backup_is_asked_all_the_same(odd: Project) -> None:
    odd.lose()
    assert answer(odd, "latest", "SELECT count(*) FROM odd") == [[10]]
    assert "no live database" in odd.undrop("sql", "SELECT 1").err
