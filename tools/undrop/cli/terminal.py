"""A table on a terminal: as wide as that, the newest row last, in colours that mean something."""

import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from typing import TextIO

    Row = tuple[str, ...]

MOST = 20  # rows of a list that a terminal is shown, where nobody asks for another number
LEAST = 10  # characters that are left of a cell which gives way
GAP = "  "
RED, YELLOW, GREEN, BOLD = "31", "33", "32", "1"
LEFT_OUT = ("DISK", "CHECK", "REVISION", "REASON")
"""Columns that give way where a line would be too long, the least needed first."""
SHORTENED = ("CHANGE", "ROWS", "BY", "REASON", "CHECK", "COLUMNS", "WHAT", "KEY", "REVISION")
"""Columns that are cut where those are not enough; a name is in none of them."""
LOSSES = ("REMOVED", "LOST")


def has_colour(stream: "TextIO") -> bool:
    """Whether escapes may go there: to a terminal that knows them, unless NO_COLOR is set.

    https://no-color.org
    """
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: str) -> str:
    """It between the escapes of ECMA-48."""
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and text else text


def newest(now: "Row | None", rows: "Sequence[Row]", asked: "Namespace") -> "tuple[list[Row], int]":
    """Those of ``rows`` that are shown, which come newest first, and how many are not.

    ``now`` comes before all. On a terminal the last line is the newest, and they are not many.
    """
    most = at_most(asked)
    shown = [*([now] if now else []), *rows[:most]]
    return shown[:: -1 if sys.stdout.isatty() else 1], len(rows) - len(rows[:most])


def at_most(asked: "Namespace") -> int | None:
    """How many rows are shown; None for all of them."""
    return None if asked.all else asked.most or (MOST if sys.stdout.isatty() else None)


def lines(columns: "Sequence[str]", *rows: "Sequence[str]") -> list[str]:
    """The table's lines for the terminal that stdout is."""
    layout = _layout(columns, rows, shutil.get_terminal_size().columns)
    colour = has_colour(sys.stdout)
    heads = layout.lines(columns, [BOLD if colour else ""] * len(columns))
    told = [heads[0]]
    for row in rows:
        colours = [
            _colour(name, cell) if colour else "" for name, cell in zip(columns, row, strict=True)
        ]
        told += layout.lines(row, colours)
    return told


class Layout(NamedTuple):
    """How wide the columns are, none where one is left out."""

    widths: list[int]
    last: int
    """The column that may go below the others, with those behind it."""
    width: int

    @property
    def over(self) -> int:
        """How much wider than the terminal it is."""
        there = [width for width in self.widths if width]
        return sum(there) + len(GAP) * (len(there) - 1) - self.width

    def lines(self, row: "Sequence[str]", colours: "Sequence[str]") -> list[str]:
        """A row, whose last cell has lines of its own where it has no room."""
        cells = [*zip(row, colours, self.widths, strict=True)]
        behind = [(cell, colour) for cell, colour, _ in cells[self.last :] if cell]
        head = GAP.join(_cell(*each) for each in cells[: self.last] if each[2])
        start = sum(width + len(GAP) for width in self.widths[: self.last] if width)
        if start + len(GAP.join(cell for cell, _ in behind)) <= self.width:
            rest = GAP.join(coloured(*each) for each in behind)
            return [f"{head}{GAP if head else ''}{rest}".rstrip()]
        below = [
            f"    {coloured(line, colour)}"
            for cell, colour in behind
            for line in textwrap.wrap(
                cell, self.width - 4, break_long_words=False, break_on_hyphens=False
            )
        ]
        return [head.rstrip(), *below] if head else below


def _cell(cell: str, colour: str, width: int) -> str:
    text = cell if len(cell) <= width else f"{cell[: width - 1]}…"
    return coloured(text, colour) + " " * (width - len(text))


def _layout(columns: "Sequence[str]", rows: "Sequence[Sequence[str]]", width: int) -> Layout:
    natural = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    last = max(at for at, name in enumerate(columns) if name)
    # Few names are as long as a name may be: those alone go below.
    beside = Layout(
        [*natural[:last], min(natural[last], width * 3 // 5), *natural[last + 1 :]], last, width
    )
    for at in _those(LEFT_OUT, columns[:last]):
        said = {row[at] for row in rows} if columns[at] == "CHECK" else set()
        if beside.over > 0 and not said - {"ok", ""}:
            beside.widths[at] = 0
    if beside.over <= 0:
        return beside
    below = Layout([*natural[:last], *[0] * (len(columns) - last)], last, width)
    for at in _those(SHORTENED, columns[:last]):
        if below.over > 0 and below.widths[at] > LEAST:
            below.widths[at] = max(LEAST, below.widths[at] - below.over)
    return below


def _those(names: "Sequence[str]", columns: "Sequence[str]") -> list[int]:
    return [columns.index(name) for name in names if name in columns]


def _colour(column: str, cell: str) -> str:
    """Red for what is lost or failed, yellow for a warning, green for what was verified."""
    if column == "CHECK" and cell:
        bad = cell.startswith(("damaged", "failed"))
        return RED if bad else GREEN if cell == "ok" else YELLOW
    is_loss = (column in LOSSES and cell) or (column == "CHANGE" and cell.startswith("-"))
    if cell == "FINDING" or is_loss:
        return RED
    return YELLOW if cell.startswith("not seen to end") else ""
