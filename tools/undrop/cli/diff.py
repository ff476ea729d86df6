"""diff: what changed between backups, or a backup and live."""

import sys
from typing import TYPE_CHECKING, Any

from undrop.cli import sql, tables
from undrop.cli.answer import Answer, Run
from undrop.errors import UsageError
from undrop.recipes import Action

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from undrop.compare.comparison import Comparison, Sample, TableChange
    from undrop.compare.listing import Listed

SHOWN = 20  # rows of a table, for people
COLUMNS = ("TABLE", "ROWS", "ADDED", "REMOVED", "CHANGED", "COLUMNS")


def diff(run: Run) -> Answer:
    """Rows added, removed and changed per table from A to B; ``live`` is the database."""
    from undrop.steps import diff as core

    old, new = run.arguments.before, run.arguments.after
    if run.arguments.sql:
        return _script(run, old, new)
    if run.arguments.rows is not None:
        return _rows(run, old, new)
    comparison = core.between(run.settings, old, new, run.standing)
    table, parts = differences(comparison)
    result = {"before": old, "after": new, **fields(comparison)}
    if comparison.same:
        return Answer(result, notes=(f"no difference between {old} and {new}",))
    return Answer(result, notes=parts, table=table)


def _script(run: Run, old: str, new: str) -> Answer:
    """Statements that turn A into B."""
    from undrop.steps import diff as core

    if run.arguments.rows is not None:
        raise UsageError("it prints rows, or statements", Action("diff", old, new, "--rows"))
    script = run.settings.engine.script()
    core.between(run.settings, old, new, run.standing, script)
    nothing = (f"no difference between {old} and {new}",)
    notes = (*script.notes, *nothing * (not script.lines))
    return Answer(
        {"statements": script.lines, "notes": script.notes}, "\n".join(script.lines), notes
    )


def _rows(run: Run, old: str, new: str) -> Answer:
    """The rows themselves, of one table or of all that differ."""
    from undrop.compare.listing import Listing
    from undrop.steps import diff as core

    table, most = run.arguments.rows, None if run.arguments.json else SHOWN
    listing = Listing(table, most)
    comparison = core.between(run.settings, old, new, run.standing, listing)
    if table and not listing.known:
        names = sorted(change.now or change.name for change in comparison.tables)
        raise UsageError(
            f"there is no table {table!r}: {', '.join(names)}", Action("diff", old, new)
        )
    result = {
        "before": old,
        "after": new,
        "same": not listing.tables,
        "tables": [_listed_fields(listed) for listed in listing.tables],
    }
    lines = [line for listed in listing.tables for line in _listed(listed)]
    return Answer(
        result, "\n".join(lines), (f"no rows differ between {old} and {new}",) * (not lines)
    )


def _listed(listed: "Listed") -> "Iterator[str]":
    """A table's rows for people: removed, added, changed, each a line."""
    change = listed.change
    name, rows, *_, columns = _row(change)
    yield tables.clean("  ".join(filter(None, (name, rows, columns))))
    lines = [f"  - {_values(row)}" for row in listed.removed]
    lines += [f"  + {_values(row)}" for row in listed.added]
    lines += [f"  ~ {_values(each.key)}: {_values(each.columns)}" for each in listed.changed]
    yield from lines[:SHOWN]
    more = change.gone + change.added + change.changed - SHOWN
    if more > 0:
        yield f"    and {more:,} more (--json has all)"


def _values(row: "Mapping[str, object]") -> str:
    """A row, or what changed in it."""
    return tables.clean(", ".join(f"{name}={_shown(value)}" for name, value in row.items()))


def _shown(value: object) -> str:
    """A value in a line: a text in quotes, so that it is told from a number; two that differ."""
    if isinstance(value, tuple):
        return " -> ".join(map(_shown, value))
    text = repr(value) if isinstance(value, str) else sql.cell(value)
    return tables.shortened(text) if sys.stdout.isatty() else text


def _listed_fields(listed: "Listed") -> dict[str, Any]:
    """A table's rows in JSON."""
    change = listed.change
    return {
        "name": change.name,
        "now": change.now,
        "gone_columns": change.gone_columns,
        "new_columns": change.new_columns,
        "renamed": change.renamed,
        "removed": [_plain(row) for row in listed.removed],
        "added": [_plain(row) for row in listed.added],
        "changed": [
            {
                "key": _plain(changed.key),
                "columns": {
                    column: {"before": sql.plain(before), "after": sql.plain(now)}
                    for column, (before, now) in changed.columns.items()
                },
            }
            for changed in listed.changed
        ],
    }


def _plain(row: "Sample") -> dict[str, Any]:
    return {name: sql.plain(value) for name, value in row.items()}


def differences(comparison: "Comparison") -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """A comparison for people: a table of the tables that changed, and what else did."""
    changed = [each for each in comparison.tables if not each.same]
    parts = [f"{part.kind} {part.name} gone" for part in comparison.parts_gone]
    parts += [f"{part.kind} {part.name} added" for part in comparison.parts_new]
    parts += [f"{name} defined anew" for name in comparison.redefined]
    parts += [
        f"counter {each.name} set back from {each.last_before:,} to {each.last_after:,}"
        for each in comparison.counters
    ]
    return (COLUMNS, *map(_row, changed)) if changed else (), tuple(parts)


def changes(comparison: "Comparison") -> list[str]:
    """What changed, by table, in words."""
    texts = []
    for change in comparison.tables:
        rows = "row" if change.gone == 1 else "rows"
        counts = {f"{rows} gone": change.gone, "added": change.added, "changed": change.changed}
        said = [f"{count:,} {what}" for what, count in counts.items() if count]
        said += [f"column {name} gone" for name in change.gone_columns]
        said += [f"column {name} added" for name in change.new_columns]
        said += [f"column {old} now {new}" for old, new in change.renamed]
        if not change.now or not change.name:
            texts.append(f"table {change.name or change.now} {'added' if change.now else 'gone'}")
        elif said or not change.same:
            renamed = f"table {change.name} now " if change.name != change.now else ""
            texts.append(f"{renamed}{change.now}{': ' * bool(said)}{', '.join(said)}")
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
