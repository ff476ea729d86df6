"""Tables and texts for people: coloured on a terminal, plain anywhere else."""

import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING

from undrop.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

SHOWN = 3  # names on one line
WIDE = 60  # characters of a cell on a terminal
FIRST = 1000  # rows that decide how wide the columns are


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
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "�" for char in text)


def some(names: "Sequence[str]") -> str:
    """The first of them, and how many more there are."""
    more = f" (and {len(names) - SHOWN} more)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def show(columns: "Sequence[str]", *rows: "Sequence[str]") -> None:
    """Print a table on stdout: all of it where that is no terminal."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        text = terminal.lines(columns, *cells)
    else:
        text = aligned([column.lower() for column in columns], *cells)
    print("\n".join(text))


def aligned(*rows: "Sequence[str]") -> list[str]:
    """Lines of text with their cells one under the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_line(row, widths) for row in rows]


def stream(columns: "Sequence[str]", rows: "Iterable[Sequence[str]]") -> int:
    """Print a table as its rows come, one line each, shortened on a terminal alone; how many."""
    short = sys.stdout.isatty()
    lines = ([shortened(clean(cell)) if short else clean(cell) for cell in row] for row in rows)
    head = [clean(column) for column in columns]
    first = list(islice(lines, FIRST))
    widths = [max(map(len, column)) for column in zip(head, *first, strict=True)]
    colour = terminal.BOLD if terminal.has_colour(sys.stdout) else ""
    print(terminal.coloured(_line(head, widths), colour))
    count = 0
    for line in chain(first, lines):
        print(_line(line, widths))
        count += 1
    return count


@contextmanager
def reader_may_leave(stream: "TextIO") -> "Iterator[None]":
    """Print to ``stream`` inside; ``undrop list | head`` is no failure, nor hides one."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def shortened(text: str) -> str:
    """As much of a text as a cell has room for."""
    return text if len(text) <= WIDE else f"{text[: WIDE - 1]}…"


def _line(cells: "Iterable[str]", widths: "Iterable[int]") -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()
