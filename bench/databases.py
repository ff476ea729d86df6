"""The benchmark's databases: Quartermaster's schema, filled the same way every time."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from quartermaster.sample import fill

ROWS = 70_000  # of stock movements in the smallest database, about 5 MB
SIZES = {"5 MB": 1, "200 MB": 54, "1 GB": 281}  # and how many times they are in each
MULTIPLY = """
INSERT INTO stock_movements (item_id, location_id, quantity, moved_at, note)
WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < ?)
SELECT item_id, location_id, quantity + n, moved_at, note FROM copy CROSS JOIN stock_movements
WHERE quantity > 0 OR quantity + n < 0
"""


def make(project: Path, environment: dict[str, str], times: int) -> Path:
    """Fill ``project``'s database with ``times`` as many movements as the smallest has."""
    database = project / "quartermaster.db"
    subprocess.run(
        ["undrop", "migrate"], cwd=project, env=environment, check=True, capture_output=True
    )
    fill(f"sqlite:///{database}", ROWS)
    if times > 1:
        with closing(sqlite3.connect(database)) as connection:
            # Without the index and the trigger that looks at the stock it is a matter of seconds.
            parts = connection.execute(
                "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = 'stock_movements'"
                " AND type IN ('index', 'trigger') AND sql <> ''"
            ).fetchall()
            connection.execute("PRAGMA synchronous = OFF")
            for kind, name, _ in parts:
                connection.execute(f"DROP {kind} {name}")
            connection.execute(MULTIPLY, [times - 1])
            for _, _, sql in parts:
                connection.execute(sql)
            connection.commit()
    return database
