"""``just diff`` of SQLite: odd values, a live database in use; ``engines/`` has the rest."""

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import inside
import pytest
from shop import Project, wal_of

from undrop import settings
from undrop.compare import files, rows
from undrop.compare.comparison import TableChange
from undrop.compare.structure import Table
from undrop.engines.sqlite import look
from undrop.sqlitefile import connect
from undrop.steps import diff, live


def write(project: Project, *statements: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_number_that_json_has_not_is_a_text(stocked: Project) -> None:
    stocked.ok("just", "backup")
    write(stocked, "INSERT INTO locations (code, description) VALUES (9e999, 9e999)")
    stocked.ok("just", "backup")
    found = stocked.ok("just", "diff", "latest", stocked.saved()[0].name, "--json")
    assert "Infinity" not in found
    assert json.loads(found)["same"] is False


def gone(project: Project) -> dict[str, int]:
    """Rows that live has lost since the latest backup, by table, where there are any."""
    found = json.loads(project.ok("just", "diff", "--json"))
    return {table["name"]: table["gone"] for table in found["tables"] if table["gone"]}


def test_what_is_only_in_the_wal_counts(stocked: Project) -> None:
    stocked.ok("just", "backup")
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("DELETE FROM stock_movements WHERE id IN (1, 2, 3)")
        connection.commit()
        assert wal_of(stocked.database).stat().st_size > 0
        assert gone(stocked) == {"stock_movements": 3}
        connection.execute("DELETE FROM stock_movements WHERE id = 4")
        assert gone(stocked) == {"stock_movements": 3}  # which is not committed


@pytest.mark.parametrize("live_first", [False, True])
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_comparison_with_live_is_of_one_moment(
    stocked: Project, monkeypatch: pytest.MonkeyPatch, mode: str, *, live_first: bool
) -> None:
    """Somebody writes when the first table is compared; in rollback mode they have to wait."""
    kept = inside.back_up(stocked)
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    original, tried = rows.compare, list[str]()

    def compare(connections: Sequence[connect.Connection], old: Table, new: Table) -> TableChange:
        if not tried:
            with closing(sqlite3.connect(stocked.database, timeout=0)) as writer:
                try:
                    writer.execute("DELETE FROM stock_movements")
                    writer.commit()
                    tried.append("written")
                except sqlite3.OperationalError as error:
                    tried.append(str(error))
        return original(connections, old, new)

    monkeypatch.setattr(rows, "compare", compare)
    loaded = settings.load(stocked.root)
    assert live.compare(loaded, kept, live_first=live_first).same
    assert tried == ["written" if mode == "WAL" else "database is locked"]


def test_a_large_table_is_compared_with_live_as_with_a_backup(
    stocked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And sees one state, however many connections it takes, with somebody who goes on writing."""
    monkeypatch.setattr(rows, "LARGE", 4)
    kept = inside.back_up(stocked)
    write(stocked, "PRAGMA journal_mode = WAL", "DELETE FROM stock_movements WHERE id % 3 = 0")
    later, original = inside.back_up(stocked), files._both

    def both(old: Path, new: Path, in_use: Path | None, stack: ExitStack) -> sqlite3.Connection:
        opened = original(old, new, in_use, stack)
        write(stocked, "DELETE FROM stock_movements")
        return opened

    loaded = settings.load(stocked.root)
    with monkeypatch.context() as writing:
        writing.setattr(files, "_both", both)
        found = live.compare(loaded, kept, live_first=False)
    assert found == diff.between(loaded, kept.name, str(later), stocked.root)
    assert {table.name: table.gone for table in found.tables if table.gone} == {
        "stock_movements": 100
    }


@pytest.mark.parametrize("room", ["room", "no room"])
def test_writers_do_not_wait_for_a_long_comparison(
    stocked: Project, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    """In rollback mode, where a reader keeps them waiting: a copy is compared if there is room."""
    kept = inside.back_up(stocked)
    monkeypatch.setattr(look, "LONG", 10)
    if room == "no room":
        none = type("Disk", (), {"f_bavail": 0, "f_frsize": 1})
        monkeypatch.setattr(os, "statvfs", lambda _: none)
    original, tried = files._both, list[str]()

    def both(old: Path, new: Path, in_use: Path | None, stack: ExitStack) -> sqlite3.Connection:
        connection = original(old, new, in_use, stack)  # from now on it reads
        with closing(sqlite3.connect(stocked.database, timeout=0)) as writer:
            try:
                writer.execute("DELETE FROM stock_movements WHERE id = 1")
                writer.commit()
                tried.append("written")
            except sqlite3.OperationalError as error:
                tried.append(str(error))
        return connection

    monkeypatch.setattr(files, "_both", both)
    assert live.compare(settings.load(stocked.root), kept, live_first=False).same
    assert set(tried) == {"written" if room == "room" else "database is locked"}
