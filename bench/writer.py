"""Commit into the database until stopped; the time of each commit goes to a file, in seconds.

``python writer.py DATABASE TIMES PER_SECOND``, with 0 for without a pause.
"""

import sqlite3
import sys
import time
from pathlib import Path


def main() -> None:
    database, times, rate = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    connection = sqlite3.connect(database, timeout=60, isolation_level=None)
    connection.execute("PRAGMA synchronous = NORMAL")
    with times.open("w", buffering=1) as log:
        while True:
            began = time.perf_counter()
            connection.execute(
                "INSERT INTO stock_movements (item_id, location_id, quantity, moved_at)"
                " VALUES (1, 1, 5, '2026-01-01 08:00:00')"
            )
            took = time.perf_counter() - began
            log.write(f"{took}\n")
            if rate:
                time.sleep(max(0, 1 / rate - took))


if __name__ == "__main__":
    main()
