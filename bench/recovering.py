"""What it takes to bring back rows and keep the rest, next to a restore of the whole."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from measure import Place, in_turn
from scenarios import Bound, Line, Result

SHOP = """
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL, note TEXT);
CREATE TABLE sold (id INTEGER PRIMARY KEY,
    product_id INT NOT NULL REFERENCES products ON DELETE CASCADE, count INT);
CREATE INDEX sold_product ON sold (product_id);
CREATE VIRTUAL TABLE found USING fts5 (name, note, content='products', content_rowid='id');
CREATE TRIGGER i AFTER INSERT ON products BEGIN
    INSERT INTO found (rowid, name, note) VALUES (new.id, new.name, new.note); END;
CREATE TRIGGER d AFTER DELETE ON products BEGIN
    INSERT INTO found (found, rowid, name, note)
        VALUES ('delete', old.id, old.name, old.note); END;
CREATE TRIGGER u AFTER UPDATE ON products BEGIN
    INSERT INTO found (found, rowid, name, note)
        VALUES ('delete', old.id, old.name, old.note);
    INSERT INTO found (rowid, name, note) VALUES (new.id, new.name, new.note); END;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 190000)
    INSERT INTO products SELECT i, 'product ' || i || ' ' || hex(randomblob(4)), i * 1.5,
        'about ' || (i % 977) || ' things' FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
    INSERT INTO sold SELECT i, 1 + (i * 7) % 190000, i % 9 FROM n;
"""
LOSS = """
PRAGMA foreign_keys = ON;
DELETE FROM products WHERE id BETWEEN 5000 AND 5020;
UPDATE products SET price = NULL WHERE id BETWEEN 100 AND 109;
"""
OTHERS = "INSERT INTO products (name, price) VALUES ('a new one', 1)"
ROWS = 700_000


def _write(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{script};")


def _lost(place: Place, whole: Path, loss: str, others: str) -> str:
    """A database that lost some in a step, with others' work since; the backup of all of it."""
    place.database.unlink(missing_ok=True)
    place.database.write_bytes(whole.read_bytes())
    backup = place.run("undrop", "backup", "all of it").strip()
    script = f"import sqlite3; sqlite3.connect('quartermaster.db').executescript('''{loss}''')"
    place.run("undrop", "run", "--", "python", "-c", script)
    _write(place.database, others)
    return backup


def _timed(place: Place, whole: Path, loss: str, others: str, rounds: int) -> dict[str, float]:
    def after(*command: str) -> Callable[[], float]:
        def run() -> float:
            backup = _lost(place, whole, loss, others)
            return place.seconds("undrop", *(word or backup for word in command))

        return run

    name = "products" if "products" in loss else "t3"
    runs = {
        "recover": after("recover", name, "--with-children"),
        "undo --keep": after("undo", "--keep"),
        "restore": after("restore", ""),
    }
    return in_turn(rounds, runs, lambda: None)


def rows(place: Place) -> Result:
    """390,000 rows, a cascade, full text kept by triggers: 43 rows and 10 values."""
    kept = place.folder / "kept.db"
    place.database.rename(kept)
    whole = place.folder / "whole.db"
    _write(whole, SHOP)
    found = _timed(place, whole, LOSS, OTHERS, 5)
    whole.unlink()
    place.database.unlink()
    kept.rename(place.database)
    return _told("390,000 rows", found, 2.0)


def gigabyte(place: Place) -> Result:
    """Ten tables, one of which lost rows."""
    kept = place.folder / "kept.db"
    place.database.rename(kept)
    whole = place.folder / "whole.db"
    for number in range(10):
        _write(
            whole,
            f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, a TEXT, b INT, c REAL);"
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
            f"WHERE i < {ROWS}) INSERT INTO t{number} "
            "SELECT i, 'text ' || i || hex(randomblob(50)), i % 1000, i * 0.5 FROM n",
        )
    loss = "DELETE FROM t3 WHERE id BETWEEN 1000 AND 1040"
    found = _timed(place, whole, loss, "INSERT INTO t3 (a) VALUES ('a new one')", 3)
    whole.unlink()
    place.database.unlink()
    kept.rename(place.database)
    return _told("1 GB, one table of ten", found, found["restore"])


def _told(what: str, found: dict[str, float], most: float) -> Result:
    lines = [
        Line(f"{what}: {name}", took, "s", took / found["restore"], "restore of all")
        for name, took in found.items()
    ]
    names = ("recover", "undo --keep")
    return lines, [Bound(f"{what}: {name}, seconds", found[name], most) for name in names]
