"""log: the life of a row, or of a table."""

from typing import TYPE_CHECKING, Any

from undrop.cli import states, tables, terminal
from undrop.cli.answer import Answer, Run
from undrop.errors import CheckError
from undrop.recipes import Action
from undrop.record import revision_way
from undrop.store.timeline import command_lines, names

if TYPE_CHECKING:
    from undrop.recipes import Text
    from undrop.steps.life import Cause, Event, Life, Point

OF_ROW = ("WHEN", "WHAT", "BY", "REVISION", "LAST IN")
OF_TABLE = ("WHEN", "BY", "REVISION", "ROWS", "ADDED", "REMOVED", "CHANGED", "COLUMNS", "SEEN IN")


def log(run: Run) -> Answer:
    """What became of a table's rows, or of one of them; newest first."""
    from undrop.steps import life as core

    table, key = run.arguments.table, run.arguments.key
    if key:
        return _of_row(run, core.of_row(run.settings, table, key))
    history = core.of_table(run.settings, table)
    looked, points = history.looked, history.points[::-1]
    result = {
        "table": history.table,
        "states": [_point_fields(point) for point in points],
        **_looked(looked.states, looked.passed_over, looked.no_live),
    }
    told: list[Text] = [*states.notes(looked.passed_over, looked.no_live)]
    rows, left = terminal.newest(None, [_point(point) for point in points], run.arguments)
    if left:
        told.append((f"{left} older:", Action("log", table, "--all")))
    return Answer(result, table=(OF_TABLE, *rows), notes=tuple(told))


def _looked(count: int, passed_over: dict[str, str], no_live: str) -> dict[str, Any]:
    return {"searched": count, "passed_over": passed_over, "no_live": no_live}


def _of_row(run: Run, life: "Life") -> Answer:
    looked, back = life.looked, life.back
    result = {
        "table": life.table,
        "key": states.fields(life.key),
        "rowid": life.by_rowid,
        "events": [_event_fields(event) for event in life.events[::-1]],
        "live": states.fields(life.present),
        "back": states.back(back),
        "next_actions": states.action(run.prompt, back.action if back else None),
        **_looked(looked.states, looked.passed_over, looked.no_live),
    }
    notes: list[Text] = [*states.notes(looked.passed_over, looked.no_live)]
    named = ", ".join(f"{name} {word}" for name, word in life.key.items())
    if life.by_rowid:
        notes.append(
            f"{life.table} has no primary key: {named} is a number of SQLite's own, which another "
            "row may get when the table is written anew"
        )
    if not life.events:
        where = states.searched(looked.states, looked.no_live)
        notes.insert(0, f"{life.table} has no row {named}, in no state: looked at {where}")
        return Answer(result, notes=tuple(notes), code=CheckError.exit_code)
    if back:
        notes.append((f"{_what(life)}:", back.action))
    present = "not there" if life.present is None else "there"
    now = ("now", "not looked at" if looked.no_live else present, "", "", "")
    events = [_event(event) for event in life.events[::-1]]
    rows, left = terminal.newest(now, events, run.arguments)
    if left:
        line = Action("log", life.table, *run.arguments.key, "--all")
        notes.insert(0, (f"{left} older:", line))
    return Answer(result, table=(OF_ROW, *rows), notes=tuple(notes))


def _what(life: "Life") -> str:
    """What the line that is printed last does."""
    back = life.back
    if back is None or not back.names or life.present is None:
        return "to bring it back"
    return f"to have {', '.join(back.names)} as in {back.backup}"


def _event(event: "Event") -> tuple[str, ...]:
    cause = event.cause
    return (_when(cause), _said(event), _by(cause), _revision(cause), event.last_in)


def _said(event: "Event") -> str:
    """What happened, in words."""
    old, new = event.tables
    changes = [f"table {old} is now {new}"] if old and new and old.lower() != new.lower() else []
    changes += [f"{before} is now {now}" for before, now in event.renamed]
    for cell in event.cells:
        before, after = states.value(cell.before), states.value(cell.after)
        if not cell.now:
            changes.append(f"{cell.name} {before} -> no such column")
        elif not cell.name:
            changes.append(f"{cell.now} is new: {after}")
        else:
            changes.append(f"{cell.now} {before} -> {after}")
    said = "; ".join(changes)
    if event.what == "first seen":
        return f"first seen: {states.row(event.row or {})}"
    if event.what == "gone":
        with_it = "" if new else ", with its table" if event.first_in else ", with the database"
        return f"gone{with_it}"
    if event.what == "came back":
        return f"came back: {said}" if said else "came back as it was"
    return said


def _when(cause: "Cause") -> str:
    return tables.age(cause.at) if cause.at else "now"


def _by(cause: "Cause") -> str:
    """Whose doing it was."""
    texts = []
    if cause.steps:
        command = command_lines(cause.steps)
        texts.append(names(cause.steps) + (f" ({command})" if command else ""))
    if cause.others:
        texts.append("others")
    return " or ".join(texts) or "not known: it is the oldest state"


def _revision(cause: "Cause") -> str:
    if cause.revisions is None:
        return ""
    return revision_way(*cause.revisions)


def _point(point: "Point") -> tuple[str, ...]:
    change, cause = point.change, point.cause
    counts = [f"{n:,}" if n else "" for n in (point.added, point.removed, point.changed)]
    columns: list[str] = []
    if change:
        if change.name != point.name:
            columns.append(f"table {change.name} -> {point.name}")
        columns += [f"+{name}" for name in change.new_columns]
        columns += [f"-{name}" for name in change.gone_columns]
        columns += [f"{old} -> {new}" for old, new in change.renamed]
    rows = f"{point.rows:,}" if point.name else "no table"
    where = (", ".join(columns), point.first_in)
    return (_when(cause), _by(cause), _revision(cause), rows, *counts, *where)


def _cause_fields(cause: "Cause") -> dict[str, Any]:
    return {
        "at": cause.at.isoformat() if cause.at else None,
        "steps": [step.to_dict() for step in cause.steps],
        "others": cause.others,
        "revisions": [list(each) for each in cause.revisions] if cause.revisions else None,
    }


def _event_fields(event: "Event") -> dict[str, Any]:
    return {
        "what": event.what,
        **_cause_fields(event.cause),
        "first_in": event.first_in or None,
        "last_in": event.last_in or None,
        "table": event.tables[1] or None,
        "row": states.fields(event.row),
        "changes": [
            {
                "column": cell.name or None,
                "now": cell.now or None,
                **(states.fields({"before": cell.before, "after": cell.after}) or {}),
            }
            for cell in event.cells
        ],
        "renamed": [list(pair) for pair in event.renamed],
    }


def _point_fields(point: "Point") -> dict[str, Any]:
    change = point.change
    return {
        **_cause_fields(point.cause),
        "state": point.first_in or None,
        "table": point.name or None,
        "rows": point.rows,
        "added": point.added,
        "removed": point.removed,
        "changed": point.changed,
        "new_columns": list(change.new_columns) if change else [],
        "gone_columns": list(change.gone_columns) if change else [],
        "renamed": [list(pair) for pair in change.renamed] if change else [],
    }
