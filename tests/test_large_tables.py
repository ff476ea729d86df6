"""A large table is compared by two threads: no row falls between their halves, or counts twice."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from undrop.compare import files, rows
from undrop.values import quiet

KINDS = ("id INTEGER PRIMARY KEY, v TEXT", "v TEXT")
"""A row that is not found by its key is gone; one without a key may be elsewhere."""


def make(path: Path, columns: str, rowids: list[int]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        values = [(rowid, f"row {rowid}") for rowid in rowids]
        connection.executemany("INSERT INTO t (rowid, v) VALUES (?, ?)", values)


def found(path: Path, statement: str) -> tuple[int, int, list[str]]:
    """Rows and values that a comparison misses after a statement, and which it shows."""
    after = path.with_name("after.db")
    shutil.copyfile(path, after)
    with closing(sqlite3.connect(after)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        assert connection.execute(statement).rowcount == 1
    [table] = files.compare(path, after, quiet).tables
    shown = [str(row["v"]) for row in table.samples]
    shown += [str(row["before"]) for column in table.columns for row in column.samples]
    return table.gone, sum(column.lost for column in table.columns), shown


@pytest.mark.parametrize("columns", KINDS)
def test_whichever_row_is_lost_or_emptied_it_is_the_one_that_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setattr(rows, "LARGE", 4)
    rowids = [*range(1, 8), 9]
    make(tmp_path / "before.db", columns, rowids)
    lost = {
        each: found(tmp_path / "before.db", f"DELETE FROM t WHERE rowid = {each}")
        for each in rowids
    }
    assert lost == {each: (1, 0, [f"row {each}"]) for each in rowids}
    if columns == KINDS[1]:
        return  # without a key a row with another value is another row
    emptied = {
        each: found(tmp_path / "before.db", f"UPDATE t SET v = NULL WHERE rowid = {each}")
        for each in rowids
    }
    assert emptied == {each: (0, 1, [f"row {each}"]) for each in rowids}


@pytest.mark.parametrize("low", [1, -rows.LARGE // 3])
@pytest.mark.parametrize("span", [rows.LARGE - 1, rows.LARGE, rows.LARGE + 1])
def test_no_row_is_lost_unseen_where_a_table_gets_large(
    tmp_path: Path, low: int, span: int
) -> None:
    """The real limit, and a few rows around where it splits the table."""
    middle = low + span // 2
    rowids = [low, middle - 1, middle, middle + 1, low + span]
    make(tmp_path / "before.db", KINDS[0], rowids)
    for each in rowids:
        lost = found(tmp_path / "before.db", f"DELETE FROM t WHERE id = {each}")
        assert lost == (1, 0, [f"row {each}"])
