"""The chart of history, drawn in the terminal."""

import sys
from typing import TYPE_CHECKING

from plotille import Figure

from undrop.cli import tables
from undrop.record import revision_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undrop.steps.history import Point

WIDTH, HEIGHT = 60, 8  # characters
MOST = 4  # tables that are drawn
COLOURS = ("cyan", "green", "yellow", "magenta")
MARKS = "ox+*"


def draw(points: "Sequence[Point]") -> str:
    """Size above, rows of the tables with the most of them below, oldest backup on the left."""
    names = {name for point in points for name in point.rows}
    most = sorted(names, key=lambda name: (-max(p.rows.get(name, 0) for p in points), name))[:MOST]
    size = _figure(points, "bytes")
    _line(size, [point.bytes for point in points], "bytes", 0)
    rows = _figure(points, "rows")
    for number, name in enumerate(most):
        _line(rows, [point.rows.get(name, 0) for point in points], tables.clean(name), number)
    first, last = (point.backup.created for point in (points[0], points[-1]))
    return "\n".join(
        [
            f"{len(points)} backups, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC",
            *_without_axis_of_x(size.show(legend=False)),
            *_without_axis_of_x(rows.show(legend=False)),
            "  ".join(f"{MARKS[n]} {tables.clean(name)}" for n, name in enumerate(most)),
            *(f"| backup {at + 1}: revision {name}" for at, name in _changes(points)),
        ]
    )


def _figure(points: "Sequence[Point]", what: str) -> Figure:
    figure = Figure()
    figure.width, figure.height = WIDTH, HEIGHT
    figure.with_colors = sys.stdout.isatty()
    figure.x_label, figure.y_label = "backup", what
    figure.set_x_limits(0, max(1, len(points) - 1))
    most = max(
        [point.bytes if what == "bytes" else max([*point.rows.values(), 1]) for point in points]
    )
    figure.set_y_limits(0, most * 1.1)
    figure.register_label_formatter(int, lambda value, *_args, **_named: f"{value:>12,}")
    figure.register_label_formatter(float, lambda value, *_args, **_named: f"{value:>12,.0f}")
    for at, _name in _changes(points)[1:]:
        figure.axvline(at / max(1, len(points) - 1), lc="red")
    return figure


def _line(figure: Figure, values: "Sequence[int]", label: str, number: int) -> None:
    at = list(range(len(values)))
    if len(values) == 1:
        figure.scatter(at, values, lc=COLOURS[number], marker=MARKS[number], label=label)
    else:
        figure.plot(at, values, lc=COLOURS[number], marker=MARKS[number], label=label)


def _without_axis_of_x(drawn: str) -> list[str]:
    """The y axis and the canvas: backups are counted, so an axis of numbers says nothing."""
    return [line.rstrip() for line in drawn.splitlines()[: HEIGHT + 3]]


def _changes(points: "Sequence[Point]") -> list[tuple[int, str]]:
    """Where the revision is not the one before, and what it is there."""
    names = [revision_names(point.revisions) for point in points]
    return [(at, name) for at, name in enumerate(names) if at == 0 or name != names[at - 1]]
