"""``just find TEXT``: which tables, columns and rows hold it, in the newest state that does."""

import json
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import confined
import pytest
from shop import Project, uncheckpointed
from test_life import backed_up, line

from undrop import settings
from undrop.compare import search
from undrop.engines.sqlite import look
from undrop.steps import find
from undrop.values import Session

ITEMS = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, note TEXT, price REAL)"


def found(project: Project, *words: str, code: int = 0) -> dict[str, Any]:
    """What ``undrop find`` says in JSON."""
    done = project.undrop("find", *words, "--json")
    assert done.code == code, done
    return dict(json.loads(done.out))


def where(project: Project, *words: str) -> set[tuple[str, str, int]]:
    return {(hit["table"], hit["column"], hit["rows"]) for hit in found(project, *words)["hits"]}


@pytest.fixture
def shop(project: Project) -> Project:
    """Three states: Zinc is in the first two, Copper in the first, Steel in all."""
    first = "(1, 'Zinc bolt', 'steel', 1.5), (2, 'copper nut', 'steel', 12)"
    backed_up(project, ITEMS, f"INSERT INTO items VALUES {first}, (3, 'pin', NULL, NULL)")
    backed_up(project, "DELETE FROM items WHERE id = 2")
    project.sql("UPDATE items SET name = 'bolt' WHERE id = 1")
    return project


def test_the_newest_state_that_holds_it_is_told(shop: Project) -> None:
    oldest, newer = (path.name for path in shop.saved())
    assert (found(shop, "steel")["state"], found(shop, "steel")["in_live"]) == ("live", True)
    told = found(shop, "zinc")
    assert (told["state"], told["in_live"], told["searched"]) == (newer, False, 2)
    [hit] = told["hits"]
    assert hit == {
        "table": "items",
        "column": "name",
        "rows": 1,
        "samples": [{"key": {"id": 1}, "value": "Zinc bolt"}],
    }
    assert found(shop, "copper")["state"] == oldest


@pytest.mark.more
def test_it_ends_with_the_line_that_brings_it_back(shop: Project) -> None:
    oldest, newer = (path.name for path in shop.saved())
    gone, overwritten = shop.undrop("find", "COPPER"), shop.undrop("find", "Zinc")
    assert line(gone.err).endswith(f"recover --from {oldest} 'rows items' --key 2")
    said = line(overwritten.err)
    assert said.endswith(f"recover --from {newer} items.name --key 1 --overwrite")
    [action] = found(shop, "zinc")["next_actions"]
    shop.ok("undrop", action["name"], *action["arguments"])
    assert shop.sql("SELECT name FROM items WHERE id = 1") == [("Zinc bolt",)]
    assert f"in {newer}, of just now; live does not hold it any more" in overwritten.err
    here = shop.undrop("find", "steel")
    assert line(here.err).endswith("log items 1")
    assert "live holds it" in here.err


def test_where_live_has_no_such_table_its_life_is_told(shop: Project) -> None:
    shop.sql("ALTER TABLE items RENAME TO products")
    assert line(shop.undrop("find", "copper").err).endswith("log items 2")


@pytest.mark.more
def test_nothing_holds_it_is_exit_4_and_says_what_was_searched(shop: Project) -> None:
    done = shop.undrop("find", "platinum")
    assert (done.code, done.out) == (4, "")
    assert 'nothing holds "platinum": searched live and 2 state(s) in backups' in done.err
    told = found(shop, "platinum", code=4)
    assert (told["hits"], told["state"], told["in_live"]) == ([], None, False)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("100%", [1]),
        ("_under", [2]),
        ("%", [1]),
        ("a\\b", [3]),
        ("it's", [4]),
        ("ABC", [5]),
        ("two\nlines", [6]),
        ("🔩", [6]),
        ("5", [7, 8, 11]),
        ("5.25", [8]),
        ("-dash", [10]),
        (" blank ", [12]),
    ],
)
def test_a_text_is_taken_as_it_is(project: Project, text: str, ids: list[int]) -> None:
    """No sign in it stands for others; the case of ASCII letters does not count; blobs do not."""
    values = (
        *("'100% sure'", "'an _under'", "'a\\b'", "'it''s'", "'xAbCx'", "'two\nlines 🔩'"),
        *("15", "5.25", "x'3535'", "'a-dash'", "'no. 5'", "'a blank one'", "NULL"),
    )
    rows = ", ".join(f"({value})" for value in values)
    backed_up(
        project, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", f"INSERT INTO t (v) VALUES {rows}"
    )
    project.sql("UPDATE t SET id = id + 100000")
    done = project.undrop("find", "--json", "--", text)
    assert done.code == 0, done
    hits = {hit["column"]: hit for hit in json.loads(done.out)["hits"]}
    keys = [each["key"]["id"] - 100000 for each in hits["v"]["samples"]]
    assert keys == ids
    assert hits["v"]["rows"] == len(ids)


@pytest.mark.more
def test_all_words_are_one_text(shop: Project) -> None:
    assert where(shop, "copper", "nut") == where(shop, "copper nut") == {("items", "name", 1)}
    assert found(shop, "copper", "bolt", code=4)["text"] == "copper bolt"


def test_nothing_to_look_for_is_told(shop: Project) -> None:
    shop.refused(2, "undrop", "find", "")
    shop.refused(2, "undrop", "find")


@pytest.mark.more
def test_tables_of_any_kind_are_searched_and_what_nobody_wrote_is_not(project: Project) -> None:
    backed_up(
        project,
        "CREATE TABLE alembic_version (version_num TEXT)",
        "INSERT INTO alembic_version VALUES ('needle')",
        "CREATE TABLE _litestream_lock (id)",
        "INSERT INTO _litestream_lock VALUES ('needle')",
        "CREATE TABLE needle (id INTEGER PRIMARY KEY AUTOINCREMENT, v)",
        "INSERT INTO needle (v) VALUES ('hay')",  # its name is in sqlite_sequence
        "CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID",
        "INSERT INTO w VALUES ('a needle', 'x')",
        'CREATE TABLE "odd name" ("a ""b" TEXT)',
        "INSERT INTO \"odd name\" VALUES ('NEEDLE')",
        "CREATE VIRTUAL TABLE notes USING fts5 (body)",
        "INSERT INTO notes VALUES ('a needle in it')",
        "CREATE VIRTUAL TABLE shown USING fts5 (k, content='w')",
        "INSERT INTO shown (rowid, k) VALUES (1, 'needle')",
        "CREATE VIEW v AS SELECT * FROM w",
    )
    assert where(project, "needle") == {
        *(("w", "k", 1), ("odd name", 'a "b', 1), ("notes", "body", 1))
    }


def test_three_rows_of_a_column_are_shown_and_all_are_counted(project: Project) -> None:
    rows = ", ".join(f"('{'before ' * 40}needle{' after' * 100}')" for _ in range(1200))
    backed_up(project, "CREATE TABLE t (v TEXT)", f"INSERT INTO t VALUES {rows}")
    shown = project.ok("just", "find", "needle").splitlines()
    assert len(shown) == 4
    assert shown[1].split()[:5] == ["t", "v", "1,200", "rowid", "1"]
    assert all("needle" in row and len(row) < 130 for row in shown[1:])
    [hit] = found(project, "needle")["hits"]
    assert (hit["rows"], len(hit["samples"])) == (1200, 1000)
    assert all("needle" in each["value"] and len(each["value"]) < 300 for each in hit["samples"])


@pytest.mark.more
def test_backups_in_the_vault_alone_are_searched(shop: Project) -> None:
    for path in shop.saved():
        path.unlink()
    assert found(shop, "copper")["hits"]


def test_what_cannot_be_read_is_passed_over_and_said(shop: Project) -> None:
    oldest, newer = shop.saved()
    newer.chmod(0o600)
    newer.write_bytes(b"\xff" * newer.stat().st_size)
    done = shop.undrop("find", "zinc")
    assert done.code == 0
    assert oldest.name in done.err
    assert f"passed over: {newer.name}" in done.err
    data = oldest.read_bytes()
    oldest.chmod(0o600)
    oldest.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    assert "digest" in found(shop, "zinc", code=4)["passed_over"][oldest.name]


@pytest.mark.more
@pytest.mark.parametrize("how", ["absent", "damaged"])
def test_without_live_the_backups_alone_are_searched(shop: Project, how: str) -> None:
    shop.database.unlink()
    if how == "damaged":
        shop.database.write_text("no database " * 100)
    done = shop.undrop("find", "zinc")
    assert done.code == 0
    assert "the backups alone were looked at" in done.err
    assert line(done.err).endswith(f"restore {shop.saved()[-1].name}")
    assert found(shop, "zinc")["in_live"] is None


def test_live_in_use_is_searched_with_what_is_in_its_wal(project: Project) -> None:
    backed_up(project, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    with uncheckpointed(project.database, 1) as connection:
        connection.execute("UPDATE t SET v = 'in the wal'")
        connection.commit()
        connection.execute("BEGIN IMMEDIATE")
        assert found(project, "in the wal")["state"] == "live"


@pytest.mark.more
def test_a_large_live_file_in_rollback_mode_keeps_no_writer_waiting(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of it is searched, outside of the project."""
    monkeypatch.setattr(look, "LONG", 1)
    written: list[str] = []

    def write(phase: str, _done: int, _total: int) -> None:
        if phase == "read":
            with closing(sqlite3.connect(shop.database, timeout=0)) as writer, writer:
                writer.execute("UPDATE items SET note = 'changed'")
            written.append(phase)

    finding = find.find(settings.load(shop.root, Session(write)), "steel")
    assert written
    assert finding.in_live


class StopError(Exception):
    """Somebody typed Ctrl-C."""


def test_a_search_that_lasts_can_be_stopped(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_number: int, _frame: object) -> None:
        raise StopError

    for_ever = "(WITH c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c)"
    monkeypatch.setattr(search, "_has", lambda *_: f"?1 = {for_ever}")
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(StopError):
            find.find(settings.load(shop.root), "steel")
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.more
def test_a_look_writes_nothing_and_works_where_nothing_can_be_written(shop: Project) -> None:
    before = shop.tree()
    said = found(shop, "zinc")
    with confined.read_only(shop.root, Path(shop.environment["XDG_STATE_HOME"])):
        done = confined.run(shop, confined.as_anybody, "undrop", "find", "zinc", "--json")
    assert (done.code, json.loads(done.out)) == (0, said)
    assert shop.tree() == before


def test_one_that_was_copied_into_the_folder_has_no_record(shop: Project) -> None:
    shutil.copy(shop.database, shop.backups / f"{shop.stem}-20250101-000000-x.db")
    assert "it has no record" in shop.undrop("find", "steel").err
