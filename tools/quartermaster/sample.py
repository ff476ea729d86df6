"""Made-up stock for Quartermaster: the same seed and number of rows give the same content.

``python sample.py [ROWS]`` fills the project's database; tests, tour and bench call ``fill``.
"""

import random
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection

    from undrop.settings import Settings

SIZES = ("M3", "M4", "M5", "M6", "M8", "10 mm", "25 mm", "1/4 in", "1/2 in")
MATERIALS = ("steel", "brass", "oak", "nylon", "copper", "zinc", "rubber", "Größe-S felt")
THINGS = ("hex bolt", "washer", "hinge", "bracket", "cable tie", "pipe clip", "hook", "castor")
NOTES = (None, None, None, "counted twice", "returned by customer", "damaged box", "für Müller")
OPENED = datetime(2024, 1, 1, 8)
PER_ITEM, PER_SUPPLIER, LOCATIONS = 10, 25, 12


def fill(url: "str | URL", rows: int, seed: int = 1) -> None:
    """Add ``rows`` stock movements and the items, suppliers and locations they need.

    Works on a schema at revision 0005 or newer; one transaction. Raises SQLAlchemyError.
    """
    pick = random.Random(seed)  # noqa: S311 - sample data, not a secret
    items = rows // PER_ITEM + 1
    suppliers = items // PER_SUPPLIER + 1
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        first_item = _next_id(connection, "items")
        first_supplier = _next_id(connection, "suppliers")
        _insert(
            connection,
            "INSERT INTO suppliers (id, name) VALUES (:id, :name)",
            ((n, f"Supplier {n}") for n in range(first_supplier, first_supplier + suppliers)),
        )
        _insert(
            connection,
            "INSERT INTO supplier_contacts (supplier_id, kind, value) VALUES (:id, :kind, :value)",
            (
                (n, kind, value)
                for n in range(first_supplier, first_supplier + suppliers)
                for kind, value in (
                    ("email", f"sales@supplier-{n}.example"),
                    ("phone", f"+49 30 {pick.randrange(10**6):06}"),
                )
            ),
        )
        _insert(
            connection,
            "INSERT INTO locations (id, code, description) VALUES (:id, :code, :what)"
            " ON CONFLICT DO NOTHING",
            ((n, f"A{n:02}", f"Aisle {n}") for n in range(1, LOCATIONS + 1)),
        )
        _insert(
            connection,
            "INSERT INTO items (id, sku, name, supplier_id, price_cents)"
            " VALUES (:id, :sku, :name, :supplier, :price)",
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
        _insert(
            connection,
            "INSERT INTO stock_movements (item_id, location_id, quantity, moved_at, note)"
            " VALUES (:item, :location, :quantity, :at, :note)",
            _movements(pick, rows, first_item, items),
        )
        if engine.dialect.name == "postgresql":  # whose numbering knows nothing of ours
            for table in ("suppliers", "locations", "items"):
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"  # noqa: S608
                )


def _insert(connection: "Connection", sql: str, rows: "Iterator[tuple[object, ...]]") -> None:
    """Insert ``rows``, in the order of the names in ``sql``."""
    names = re.findall(r":(\w+)", sql)
    statement = text(sql)
    for batch in iter(lambda: list(islice(rows, 10_000)), []):
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in batch])


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


def _next_id(connection: "Connection", table: str) -> int:
    sql = f"SELECT coalesce(max(id), 0) + 1 FROM {table}"  # noqa: S608 - our own table names
    return int(connection.exec_driver_sql(sql).scalar_one())


def _rows(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is no number of rows")


def _add(project: "Settings", rows: int) -> None:
    """``fill`` the project's database where there is one. Raises UndropError."""
    from undrop.alembic import live_url
    from undrop.errors import UndropError
    from undrop.recipes import Action

    label, following = project.engine.label, (Action("migrate"), ", then the same again")
    if not project.engine.exists():
        raise UndropError(f"there is no database {label}: its schema comes first", *following)
    try:
        fill(live_url(project), rows)
    except DBAPIError as error:
        raise UndropError(f"{label} takes no sample data: {error.orig}", *following) from error


def main() -> None:
    """Fill the database of the project that this is run in."""
    from undrop import settings
    from undrop.errors import UndropError
    from undrop.recipes import Prompt

    parser = ArgumentParser("just sample", description="Made-up stock for Quartermaster.")
    parser.add_argument("rows", type=_rows, nargs="?", default=1000, help="stock movements (1000)")
    rows, root = parser.parse_args().rows, Path.cwd()
    try:
        project = settings.load(root)
        _add(project, rows)
    except UndropError as error:
        print(error.told(Prompt(root).text(error.next_parts)), file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"{rows} stock movements added to {project.engine.label}")


if __name__ == "__main__":
    main()
