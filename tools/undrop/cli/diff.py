"""diff and history: what changed between backups, and how the database grew."""

from typing import TYPE_CHECKING, Any

from undrop.cli.answer import Answer, Run
from undrop.errors import UsageError
from undrop.recipes import Action
from undrop.store.lock import locked

if TYPE_CHECKING:
    from undrop.compare.comparison import Comparison, TableChange

COLUMNS = ("TABLE", "ROWS", "ADDED", "REMOVED", "CHANGED", "COLUMNS")


def diff(run: Run) -> Answer:
    """Rows added, removed and changed per table from A to B; ``live`` is the database."""
    from undrop.steps import diff as core

    before, after = run.arguments.before, run.arguments.after
    with locked(run.settings, run.say) as lock:
        found = core.between(lock, before, after, run.standing)
    table, parts = differences(found)
    result: dict[str, Any] = {
        "before": before,
        "after": after,
        "same": found.same,
        "tables": [each._asdict() for each in found.tables],
        "schema": parts,
    }
    if found.same:
        return Answer(result, notes=(f"no difference between {before} and {after}",))
    return Answer(result, notes=parts, table=table)


def differences(found: "Comparison") -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """A comparison for people: a table of the tables that changed, and what else did."""
    changed = [each for each in found.tables if not each.same]
    parts = [f"{part.kind} {part.name} gone" for part in found.parts_gone]
    parts += [f"{part.kind} {part.name} added" for part in found.parts_new]
    parts += [f"{name} defined anew" for name in found.redefined]
    return (COLUMNS, *map(_row, changed)) if changed else (), tuple(parts)


def _row(each: "TableChange") -> tuple[str, ...]:
    name = (
        each.name if each.name == each.now else f"{each.name or '(new)'} -> {each.now or '(gone)'}"
    )
    columns = [f"+{column}" for column in each.new_columns]
    columns += [f"-{column}" for column in each.gone_columns]
    columns += [f"{old} -> {new}" for old, new in each.renamed]
    return (
        name,
        f"{each.before:,} -> {each.after:,}",
        f"{each.added:,}" if each.added else "",
        f"{each.gone:,}" if each.gone else "",
        f"{each.changed:,}" if each.changed else "",
        ", ".join(columns),
    )


def history(run: Run) -> Answer:
    """A chart of the database's size and of its largest tables over the backups."""
    from undrop.cli import chart
    from undrop.steps import history as core

    with locked(run.settings, run.say) as lock:
        points = core.points(lock)
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
