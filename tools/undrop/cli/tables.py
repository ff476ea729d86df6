"""Tables and texts for people: coloured on a terminal, plain anywhere else."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 3  # names on one line


def age(when: datetime) -> str:
    """``just now``, ``5 min ago``, ``3 h ago``, ``12 days ago``."""
    seconds = (datetime.now(UTC) - when).total_seconds()
    if seconds < 60:
        return "just now"
    for unit, name, most in ((60, "min", 60), (3600, "h", 24)):
        if seconds < unit * most:
            return f"{int(seconds // unit)} {name} ago"
    days = int(seconds // 86400)
    return f"{days} day{'s' if days > 1 else ''} ago"


def size(count: int) -> str:
    """Bytes for people, in powers of 1,000."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def clean(text: str) -> str:
    """One printable line: a reason or a file's name can hold anything."""
    return "".join(char if char.isprintable() else "�" for char in text)


def some(names: "Sequence[str]") -> str:
    """The first of them, and how many more there are."""
    more = f" (and {len(names) - SHOWN} more)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def show(columns: "Sequence[str]", *rows: "Sequence[str]") -> None:
    """Print a table on stdout; the first row is the live database's."""
    lines = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for number, line in enumerate(lines):
            bad = line[-1].startswith(("damaged", "failed", "FINDING"))
            style = "green" if number == 0 else "red" if bad else ""
            table.add_row(*(Text(cell, style) for cell in line))
        Console().print(table)
        return
    print("\n".join(aligned([column.lower() for column in columns], *lines)))


def aligned(*rows: "Sequence[str]") -> list[str]:
    """Lines of text with their cells one under the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
