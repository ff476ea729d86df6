"""The curves of the page: SVG's numbers, made here so that no script has to."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.cli import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from undrop.steps.history import State

MOST = 5  # tables that are drawn
STATES = 250  # the newest, that are drawn
WIDE, HIGH = 10, 40  # units of a state, and of a curve
EDGE = 3  # units that are left free above and below


class Curve(NamedTuple):
    """Of one table, or of the size."""

    name: str
    line: str
    """The path of an SVG, WIDE by HIGH units for each state."""
    area: str
    drops: "Sequence[str]"
    """Paths, where it has less than in the state before."""
    most: str
    last: str


def of(states: "Sequence[State]") -> list[Curve]:
    """The size, and the tables with the most rows; nothing where there is one state."""
    names = {name for state in states for name in state.rows or ()}
    most = sorted(
        names,
        key=lambda name: (-max((state.rows or {}).get(name, 0) for state in states), name),
    )
    drawn = states[-STATES:]
    curves = [
        _curve(name, [_of_table(state, name) for state in drawn], "{:,}".format)
        for name in most[:MOST]
    ]
    return [*curves, _curve("size", [state.bytes for state in drawn], tables.size)]


def _of_table(state: "State", name: str) -> int | None:
    """Rows; 0 where there is no such table."""
    return None if state.rows is None else state.rows.get(name, 0)


def _curve(name: str, values: "Sequence[int | None]", text: "Callable[[int], str]") -> Curve:
    most = max([value for value in values if value is not None], default=0)
    scale = (HIGH - 2 * EDGE) / most if most else 0
    line, area, drops = "", "", []
    last: int | None = None
    for at, value in enumerate(values):
        if value is not None:
            x, y = at * WIDE, round(HIGH - EDGE - value * scale, 1)
            line += f"{'M' if last is None else 'L'}{x} {y}H{x + WIDE}"
            area += f"M{x} {HIGH}V{y}H{x + WIDE}V{HIGH}Z"
            if last is not None and value < last:
                drops.append(f"M{x} {round(HIGH - EDGE - last * scale, 1)}V{y}")
        last = value
    known = [value for value in values if value is not None]
    return Curve(name, line, area, drops, text(most), text(known[-1]) if known else "")
