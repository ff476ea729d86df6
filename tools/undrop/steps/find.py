"""Which tables, columns and rows hold a text: in the newest state that does."""

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from undrop.compare import lookup, search
from undrop.compare.structure import fold
from undrop.errors import UsageError
from undrop.recipes import Action
from undrop.steps.bring_back import Back
from undrop.steps.states import States, is_live

if TYPE_CHECKING:
    from undrop.compare.lookup import Row
    from undrop.compare.readable import Readable
    from undrop.compare.search import Hits
    from undrop.compare.structure import Table
    from undrop.settings import Settings
    from undrop.store.timeline import Moment

MOST = 1000  # rows of a column that are told
KEYS = 20  # of rows that are named in a line to type


class Searched(NamedTuple):
    """What one state has."""

    hits: "list[Hits]"
    unread: list[str]
    """Tables that could not be searched."""
    tables: "dict[str, Table]"
    """By folded name."""


class Finding(NamedTuple):
    """Where a text is."""

    text: str
    moment: "Moment | None"
    """The newest state that has it; None where none has."""
    searched: Searched | None
    in_live: bool | None
    """None where live was not looked at."""
    back: Back | None
    """What of it live has not, and can be brought back, where that is told at once."""
    states: int
    """How many different ones were searched."""
    passed_over: dict[str, str]
    no_live: str


def find(settings: "Settings", text: str) -> Finding:
    """Search live, then the backups from the newest. Raises UsageError, UndropError."""
    if not text:
        raise UsageError("it takes a text to look for", Action("find", "TEXT", typed=False))
    states = States(settings)
    seen: set[str] = set()
    live: Searched | None = None
    last: search.Done | None = None
    for moment in reversed(states.moments):
        if moment.content in seen:
            continue
        work = partial(_search, settings, text, last)
        searched = states.read(moment, work, whole=True)
        if searched is None:
            continue
        seen.add(moment.content)
        if is_live(moment):
            live = searched
        elif not searched.hits:
            last = search.Done(states.path(moment), searched.tables)
        if searched.hits and (is_live(moment) or states.is_whole(moment)):
            in_live = None if live is None else is_live(moment)
            back = None if in_live else _back(states, moment, searched, live)
            told = (len(seen), states.passed_over, states.no_live)
            return Finding(text, moment, searched, in_live, back, *told)
    in_live = None if live is None else False
    return Finding(text, None, live, in_live, None, len(seen), states.passed_over, states.no_live)


def _search(
    settings: "Settings", text: str, last: "search.Done | None", state: "Readable"
) -> Searched:
    """Every table of a state. Raises sqlite3.Error."""
    session = settings.engine.session
    structure = lookup.structure(state, session.version_table)
    hits: list[Hits] = []
    for done, table in enumerate(search.left(state, structure.tables, last)):
        session.progress("read", done, len(structure.tables))
        hits += search.search(state, table, text, MOST)
    return Searched(hits, structure.unread, structure.tables)


def _back(
    states: States, moment: "Moment", searched: Searched, live: Searched | None
) -> Back | None:
    """The line for the first column that has it, where live tells at once what it lacks of it."""
    if live is None:
        return Back(moment.name, (), ())
    hits = searched.hits[0]
    table, there = (every.tables.get(fold(hits.table)) for every in (searched, live))
    keys = [hit.key for hit in hits.samples]
    known = all(type(value) in {int, str} for key in keys for value in key.values())
    if table is None or there is None or not _known_alike(table, there) or not known:
        return None
    names = [column.name for column in there.key]

    def look(state: "Readable") -> "list[Row | None]":
        words = ([str(value) for value in key.values()] for key in keys)
        return [lookup.row(state, there, names, each) for each in words]

    rows = states.read(states.moments[-1], look)
    column = there.columns.get(fold(hits.column))
    if not rows or hits.rows > KEYS:
        return None
    if not any(rows):
        return Back(moment.name, (f"rows {hits.table}",), tuple(keys))
    if not all(rows) or column is None:
        return None
    overwrite = any(row and row[column.name] not in lookup.NO_VALUE for row in rows)
    name = f"{hits.table}.{hits.column}"
    return Back(moment.name, (name,), tuple(keys), overwrite=overwrite)


def _known_alike(one: "Table", other: "Table") -> bool:
    """Whether rows of both are known by a key of the same name."""
    keys = [[fold(column.name) for column in table.key] for table in (one, other)]
    return bool(keys[0]) and keys[0] == keys[1]
