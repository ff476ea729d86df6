"""diff and history: what changed between backups, and how the database grew."""

from typing import TYPE_CHECKING, Any

from undrop.cli.answer import Answer, Run
from undrop.errors import UsageError
from undrop.recipes import Action

if TYPE_CHECKING:
    from undrop.compare.comparison import Comparison, TableChange

COLUMNS = ("TABLE", "ROWS", "ADDED", "REMOVED", "CHANGED", "COLUMNS")


def diff(run: Run) -> Answer:
    """Rows added, removed and changed per table from A to B; ``live`` is the database."""
    from undrop.steps import diff as core

    old, new = run.arguments.before, run.arguments.after
    comparison = core.between(run.settings, old, new, run.standing)
    table, parts = differences(comparison)
    result = {"before": old, "after": new, **fields(comparison)}
    if comparison.same:
        return Answer(result, notes=(f"no difference between {old} and {new}",))
    return Answer(result, notes=parts, table=table)


def differences(comparison: "Comparison") -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """A comparison for people: a table of the tables that changed, and what else did."""
    changed = [each for each in comparison.tables if not each.same]
    parts = [f"{part.kind} {part.name} gone" for part in comparison.parts_gone]
    parts += [f"{part.kind} {part.name} added" for part in comparison.parts_new]
    parts += [f"{name} defined anew" for name in comparison.redefined]
    return (COLUMNS, *map(_row, changed)) if changed else (), tuple(parts)


def changes(comparison: "Comparison") -> list[str]:
    """What changed, by table, in words."""
    texts = []
    for change in comparison.tables:
        counts = {"added": change.added, "removed": change.gone, "changed": change.changed}
        said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        if not change.now or not change.name:
            texts.append(f"table {change.name or change.now} {'added' if change.now else 'gone'}")
        elif said or not change.same:
            texts.append(f"{change.now}: {said or 'other columns'}")
    return [*texts, *differences(comparison)[1]]


def fields(comparison: "Comparison") -> dict[str, Any]:
    """A comparison in JSON."""
    return {
        "same": comparison.same,
        "tables": [change_fields(change) for change in comparison.tables],
        "schema": differences(comparison)[1],
    }


def change_fields(change: "TableChange") -> dict[str, Any]:
    """What became of a table, in JSON."""
    keys = {"rows_before": "before", "rows_after": "after"}
    return {keys.get(name, name): value for name, value in change._asdict().items()}


def _row(change: "TableChange") -> tuple[str, ...]:
    name = (
        change.name
        if change.name == change.now
        else f"{change.name or '(new)'} -> {change.now or '(gone)'}"
    )
    columns = [f"+{column}" for column in change.new_columns]
    columns += [f"-{column}" for column in change.gone_columns]
    columns += [f"{old} -> {new}" for old, new in change.renamed]
    return (
        name,
        f"{change.rows_before:,} -> {change.rows_after:,}",
        f"{change.added:,}" if change.added else "",
        f"{change.gone:,}" if change.gone else "",
        f"{change.changed:,}" if change.changed else "",
        ", ".join(columns),
    )


def history(run: Run) -> Answer:
    """A chart of the database's size and of its largest tables over the backups."""
    from undrop.cli import chart
    from undrop.steps import history as core

    points = core.points(run.settings)
    if not points:
        raise UsageError(
            f"there are no verified backups in {run.settings.backups}", Action("backup")
        )
    result = {
        "backups": [
            {
                "path": str(each.backup.path),
                "created": each.backup.created.isoformat(),
                "bytes": each.bytes,
                "revisions": each.revisions,
                "rows": each.rows,
            }
            for each in points
        ]
    }
    return Answer(result, chart.draw(points))
