"""Made-up stock for Quartermaster: the same seed and number of rows give the same content.

``python sample.py [ROWS]`` fills the project's database; tests, tour and bench call ``fill``.
"""

import random
import sqlite3
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

SIZES = ("M3", "M4", "M5", "M6", "M8", "10 mm", "25 mm", "1/4 in", "1/2 in")
MATERIALS = ("steel", "brass", "oak", "nylon", "copper", "zinc", "rubber", "Größe-S felt")
THINGS = ("hex bolt", "washer", "hinge", "bracket", "cable tie", "pipe clip", "hook", "castor")
NOTES = (None, None, None, "counted twice", "returned by customer", "damaged box", "für Müller")
OPENED = datetime(2024, 1, 1, 8)
PER_ITEM, PER_SUPPLIER, LOCATIONS = 10, 25, 12


def fill(database: Path, rows: int, seed: int = 1) -> None:
    """Add ``rows`` stock movements and the items, suppliers and locations they need.

    Works on a schema at revision 0005 or newer; one transaction. Raises sqlite3.Error.
    """
    pick = random.Random(seed)  # noqa: S311 - sample data, not a secret
    items = rows // PER_ITEM + 1
    suppliers = items // PER_SUPPLIER + 1
    connection = sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)
    try:
        with connection:
            connection.execute("PRAGMA foreign_keys = ON")
            first_item = _next_id(connection, "items")
            first_supplier = _next_id(connection, "suppliers")
            connection.executemany(
                "INSERT INTO suppliers (id, name) VALUES (?, ?)",
                ((n, f"Supplier {n}") for n in range(first_supplier, first_supplier + suppliers)),
            )
            connection.executemany(
                "INSERT INTO supplier_contacts (supplier_id, kind, value) VALUES (?, ?, ?)",
                (
                    (n, kind, value)
                    for n in range(first_supplier, first_supplier + suppliers)
                    for kind, value in (
                        ("email", f"sales@supplier-{n}.example"),
                        ("phone", f"+49 30 {pick.randrange(10**6):06}"),
                    )
                ),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO locations (id, code, description) VALUES (?, ?, ?)",
                ((n, f"A{n:02}", f"Aisle {n}") for n in range(1, LOCATIONS + 1)),
            )
            connection.executemany(
                "INSERT INTO items (id, sku, name, supplier_id, price_cents)"
                " VALUES (?, ?, ?, ?, ?)",
                (
                    (
                        n,
                        f"QM-{n:06}",
                        f"{pick.choice(SIZES)} {pick.choice(MATERIALS)} {pick.choice(THINGS)}",
                        first_supplier + pick.randrange(suppliers),
                        pick.randrange(5, 20_000),
                    )
                    for n in range(first_item, first_item + items)
                ),
            )
            connection.executemany(
                "INSERT INTO stock_movements (item_id, location_id, quantity, moved_at, note)"
                " VALUES (?, ?, ?, ?, ?)",
                _movements(pick, rows, first_item, items),
            )
    finally:
        connection.close()


def _movements(
    pick: random.Random, rows: int, first_item: int, items: int
) -> Iterator[tuple[int, int, int, str, str | None]]:
    """Deliveries, and sales of no more than there is."""
    in_stock: dict[tuple[int, int], int] = {}
    for n in range(rows):
        shelf = first_item + pick.randrange(items), 1 + pick.randrange(LOCATIONS)
        there = in_stock.get(shelf, 0)
        quantity = -pick.randint(1, there) if there and pick.random() < 0.5 else pick.randint(1, 99)
        in_stock[shelf] = there + quantity
        moved_at = OPENED + timedelta(minutes=7 * n)
        yield (*shelf, quantity, moved_at.isoformat(" "), pick.choice(NOTES))


def _next_id(connection: sqlite3.Connection, table: str) -> int:
    sql = f"SELECT coalesce(max(id), 0) + 1 FROM {table}"  # noqa: S608 - our own table names
    return int(connection.execute(sql).fetchone()[0])


def main() -> None:
    """Fill the database of the project that this is run in."""
    from undrop import settings

    live = settings.load(Path.cwd()).live
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    try:
        fill(live, rows)
    except sqlite3.Error as error:
        sys.exit(f"{error} ({live}). The schema comes first: just migrate")
    print(f"{rows} stock movements added to {live}")


if __name__ == "__main__":
    main()
