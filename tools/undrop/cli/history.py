"""history: the states of the database over time, as a table, in JSON, as a page."""

import sys
from typing import TYPE_CHECKING, Any

from undrop.cli import states as words
from undrop.cli import tables, terminal
from undrop.cli.answer import Answer, Run
from undrop.errors import UsageError
from undrop.recipes import Action
from undrop.record import revision_names
from undrop.steps import history as core
from undrop.store.timeline import command_lines

if TYPE_CHECKING:
    from undrop.cli.terminal import Row
    from undrop.recipes import Text
    from undrop.steps.history import State

WIDTH = 6  # of a bar
BLOCKS = "▏▎▍▌▋▊▉█"
COLUMNS = ("WHEN (UTC)", "ALL ROWS", "CHANGE", "SIZE", "REVISION", "BY", "NAME")


def history(run: Run) -> Answer:
    """Rows, size and revision of each state; live at the end."""
    asked = run.arguments
    if asked.no_values and asked.html is None:
        raise UsageError(
            "it goes with --html: nothing else shows values",
            Action("history", "--html", "--no-values"),
        )
    found = core.look(run.settings)
    if asked.html is not None:
        return _page(run, found)
    states = found.states
    result = {
        "backups": [
            {"path": str(state.backup.path), "created": state.backup.created.isoformat()}
            | _fields(state)
            for state in states
            if state.backup and state.moment.can_be_put_back
        ],
        "live": {
            "backup": states[-1].moment.name or None,
            "exists": not states[-1].moment.absent,
            **_fields(states[-1]),
        }
        if found.is_there
        else None,
    }
    notes: list[Text] = [found.no_live] if found.no_live else []
    notes += [f"cannot be put back: {name}: {why}" for name, why in found.left_out.items()]
    rows, left = terminal.newest(*_rows(found), run.arguments)
    if left:
        notes.append((f"{left} older:", Action("history", "--all")))
    return Answer(result, table=(COLUMNS, *rows), notes=tuple(notes))


def _page(run: Run, found: core.History) -> Answer:
    """It as a page, in a file or on stdout."""
    from undrop.cli import page  # Mako takes its time

    asked = run.arguments
    changes = core.changes(run.settings, found, values=not asked.no_values)
    text = page.made(run.settings, found, changes, values=not asked.no_values)
    where = None
    if asked.html:
        where = run.standing / asked.html
        page.write(run.settings, where, text)
    left = sum(bool(each.why_not) for each in changes.values())
    result = {
        "page": str(where) if where else None,
        "html": None if where else text,
        "states": len(found.states),
        "not_compared": left,
    }
    return Answer(result, str(where) if where else text)


def _fields(state: "State") -> dict[str, Any]:
    return {
        "bytes": state.bytes,
        "revisions": [*(state.moment.revisions or ())],
        "rows": state.rows and {**state.rows},
    }


def _rows(found: core.History) -> "tuple[Row | None, list[Row]]":
    """Live, where it was looked at, and the states, newest first."""
    states = found.states
    most = max(state.total or 0 for state in states)
    pairs = zip(states, [None, *states], strict=False)
    rows = [_row(state, before, most) for state, before in pairs][::-1]
    if not found.is_there:
        return None, rows
    last = states[-1]
    now = _row(last, last, most) if last.backup else rows.pop(0)
    return ("now", *now[1:-1], words.lacking(last.moment) or "live"), rows


def _row(state: "State", before: "State | None", most: int) -> "Row":
    """A state's cells; what is as it was ``before`` is not said again."""
    moment, old = state.moment, before.rows if before else None
    moved = core.moved(old, state.rows) if old is not None and state.rows is not None else {}
    first = next(iter(moved.items()), None)
    more = f", {len(moved) - 1} more" if len(moved) > 1 else ""
    same = before is not None and before.moment.revisions == moment.revisions
    line = command_lines(moment.steps)
    by = f"{words.by(moment.steps, before)}{f' ({line})' * bool(line)}"
    return (
        f"{state.at:%b %d %H:%M}" if state.at else "",
        "" if state.total is None else f"{_bar(state.total, most)} {state.total:,}",
        f"{first[1]:+,} {first[0]}{more}" if first else "",
        "" if state.bytes is None or moment.absent else tables.size(state.bytes),
        "" if same or not moment.revisions else revision_names(moment.revisions),
        "" if state is before else by,
        moment.name or words.lacking(moment),
    )


def _bar(count: int, most: int) -> str:
    """As long as there are rows, beside the state that has the most of them."""
    eighths = -(-count * WIDTH * 8 // most) if most else 0
    whole, rest = divmod(eighths, 8)
    drawn = "█" * whole + BLOCKS[rest - 1 : rest]
    try:
        drawn.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        drawn = "#" * -(-eighths // 8)
    return drawn.ljust(WIDTH)
