"""The life of a row, or of a table, over all backups and live.

A table is followed from the newest state that has one of that name, to older and to newer ones:
where its definition is another, the comparison of the two states says what it and its columns are
called there. Nothing is assumed of what lies between two states: a row can go and come back.
"""

from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from undrop.compare import lookup
from undrop.compare.structure import fold
from undrop.errors import UndropError, UsageError
from undrop.recipes import Action
from undrop.steps import live
from undrop.steps.bring_back import Back
from undrop.steps.states import LIVE, States, is_live

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from undrop.compare.comparison import Comparison, TableChange
    from undrop.compare.lookup import Row, Schema
    from undrop.compare.readable import Readable
    from undrop.compare.structure import Structure, Table
    from undrop.settings import Settings
    from undrop.store.step import Step
    from undrop.store.timeline import Moment

FIRST, CHANGED, RENAMED, GONE, BACK = "first seen", "changed", "renamed", "gone", "came back"
MANY = 3  # names that are given for one that there is not


class Place(NamedTuple):
    """The table in one state, and the columns that a row is known by there."""

    table: "Table"
    key: tuple[str, ...]
    text: str
    """Its definition."""


class View(NamedTuple):
    """What one state has of the table."""

    schema: "Schema"
    place: Place | None
    """None where it has no such table."""
    row: "Row | None"
    """None where it has no such row."""
    rows: int
    """How many there are, where that was asked."""


class Known(NamedTuple):
    """A state that has the table, nearer to the one that has it by the name that was given."""

    moment: "Moment"
    schema: "Schema"
    place: Place


class Cause(NamedTuple):
    """What lies between two states that were read."""

    steps: "tuple[Step, ...]"
    others: bool
    """Whether others may have worked."""
    at: "datetime | None"
    """When a step ended, or the backup was taken in which it was seen; None for now."""
    revisions: tuple[tuple[str, ...], tuple[str, ...]] | None
    """Alembic's before and after, where they differ."""


class Cell(NamedTuple):
    """A value that changed."""

    name: str
    """Of its column; empty where that came."""
    now: str
    """Empty where that went."""
    before: object
    after: object


class Event(NamedTuple):
    """Something that happened to the row."""

    what: str
    cause: Cause
    first_in: str
    """The state in which it was seen: a backup's name, or ``live``."""
    last_in: str
    """The newest backup that has the row as it was from then on; empty where none has."""
    row: "Row | None"
    """From then on; None where it went."""
    cells: tuple[Cell, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    """Columns that have another name from then on."""
    tables: tuple[str, str] = ("", "")
    """The table's name before and from then on; empty where there is none."""


class Point(NamedTuple):
    """What became of the table from one state to the next."""

    cause: Cause
    first_in: str
    name: str
    """Of the table; empty where it is gone."""
    rows: int
    change: "TableChange | None"
    """None for the first state, and where the table came or went."""
    added: int
    removed: int
    changed: int


class Looked(NamedTuple):
    """How a look went."""

    states: int
    """How many different ones were read."""
    passed_over: dict[str, str]
    """Backups that were not, and why."""
    no_live: str
    """Why live was not looked at; empty where it was."""


class Life(NamedTuple):
    """The life of a row."""

    table: str
    key: "Row"
    """What was asked for, by column."""
    by_rowid: bool
    events: list[Event]
    """Oldest first; none where no state has it."""
    present: "Row | None"
    """As live has it."""
    back: Back | None
    """What can be brought back."""
    looked: Looked


class History(NamedTuple):
    """The life of a table."""

    table: str
    points: list[Point]
    """Where it changed, oldest first."""
    looked: Looked


def of_row(settings: "Settings", table: str, words: "Sequence[str]") -> Life:
    """The life of the row with that key. Raises UsageError, UndropError."""
    walk = _Walk(settings, table, words)
    place = walk.anchor
    while True:
        walk.visit()
        back = walk.back()
        if back is None or walk.states.is_whole(back[0]):
            break
        walk.forget(back[0])
    events = [*walk.events()]
    row = events[-1].row or {} if events else {}
    key: Row = {name: row.get(name, word) for name, word in zip(place.key, words, strict=True)}
    shown = walk.live.row if walk.live else None
    by_rowid = not place.table.key
    return Life(place.table.name, key, by_rowid, events, shown, back and back[1], walk.looked)


def of_table(settings: "Settings", table: str) -> History:
    """The life of a table. Raises UsageError, UndropError."""
    walk = _Walk(settings, table)
    walk.visit()
    return History(walk.anchor.table.name, walk.points(), walk.looked)


NOTHING = View((), None, None, 0)
"""What there is where there is no database."""


class _Walk:
    """Over the states, with what each has of a table."""

    def __init__(
        self, settings: "Settings", name: str, words: "Sequence[str] | None" = None
    ) -> None:
        self.settings, self.states = settings, States(settings)
        self._words = words
        self._version_table = settings.engine.session.version_table
        self._views: dict[str, View] = {}
        """By what tells a state from others."""
        self._places: dict[Schema, Place | None] = {}
        self._pairs: dict[tuple[Schema, Schema], Comparison | None] = {}
        self._has_rowids = True
        self._at, self._schema, self.anchor = self._found(name)

    @property
    def live(self) -> View | None:
        """What live has; None where it was not looked at."""
        last = self.states.moments[-1]
        return self._views.get(last.content) if last.live else None

    @property
    def looked(self) -> Looked:
        """How it went."""
        return Looked(len(self._views), self.states.passed_over, self.states.no_live)

    def _found(self, name: str) -> "tuple[int, Schema, Place]":
        """The newest state that has a table of that name. Raises UsageError."""
        known: dict[Schema, Structure] = {}
        names: dict[str, None] = {}
        seen = set[str]()
        moments = self.states.moments
        for at in range(len(moments) - 1, -1, -1):
            if moments[at].content in seen:
                continue
            answer = self.states.read(moments[at], partial(self._structure, known))
            if answer is None:
                continue
            seen.add(moments[at].content)
            schema, structure = answer
            if key := lookup.named(name, structure.tables):
                place = self._placed(structure.tables[key], schema)
                self._places[schema] = place
                return at, schema, place
            names |= dict.fromkeys(table.name for table in structure.tables.values())
        raise self._unknown(name, [*names])

    def _structure(
        self, known: "dict[Schema, Structure]", state: "Readable"
    ) -> "tuple[Schema, Structure]":
        schema = lookup.schema(state)
        self._has_rowids = state.known is None
        if schema not in known:
            known[schema] = lookup.structure(state, self._version_table)
        return schema, known[schema]

    def _placed(self, table: "Table", schema: "Schema") -> Place:
        """The table that was asked for, and by what its rows are known. Raises UsageError."""
        key = self._key(table)
        if self._words is not None and (not key or len(self._words) != len(key)):
            what = f"{table.name} has no primary key, and a row of it is not told from others"
            if key:
                listed = ", ".join(key) if table.key else "its rowid: there is no primary key"
                what = f"a row of {table.name} is known by {listed}"
            words = [name.strip('"').upper() for name in key]
            raise UsageError(what, Action("log", table.name, *words, typed=not key))
        return Place(table, key, _text(schema, table.name))

    def _key(self, table: "Table") -> tuple[str, ...]:
        key = tuple(column.name for column in table.key)
        return key or ((table.rowid_name,) if table.rowid_name and self._has_rowids else ())

    def _unknown(self, name: str, names: list[str]) -> UsageError:
        folded = {fold(each): each for each in names}
        near = [folded[each] for each in get_close_matches(fold(name), folded, MANY, 0.4)]
        where = f"a backup ({self.states.no_live})" if self.states.no_live else "live or a backup"
        what = f"there is no table {name!r} in {where}"
        if near:
            what += f"; the nearest: {', '.join(near)}"
        words = self._words or ()
        return UsageError(what, Action("log", near[0], *words) if near else Action("list"))

    def visit(self) -> None:
        """Read what each state has, beginning with the one that has a table of the name."""
        moments, at = self.states.moments, self._at
        for part, is_older in ((moments[at::-1], True), (moments[at + 1 :], False)):
            nearest = Known(moments[at], self._schema, self.anchor)
            for done, moment in enumerate(part):
                self.settings.engine.session.progress("read", done, len(part))
                view = self._view(moment, nearest, is_older=is_older)
                if view and view.place:
                    nearest = Known(moment, view.schema, view.place)

    def forget(self, moment: "Moment") -> None:
        """Have a state looked at anew: the file that it was read from is not to be trusted."""
        del self._views[moment.content]

    def _view(self, moment: "Moment", nearest: Known, *, is_older: bool) -> View | None:
        """What a state has."""
        if moment.content in self._views:
            return self._views[moment.content]
        answer = self.states.read(moment, self._look, whole=self._words is None)
        if answer and answer[1] is None:  # outside of the state: it may be compared
            schema = answer[0]
            self._places[schema] = self._located(schema, moment, nearest, is_older=is_older)
            answer = self.states.read(moment, self._look, whole=self._words is None)
        if answer is None or answer[1] is None:
            return None
        self._views[moment.content] = answer[1]
        return answer[1]

    def _look(self, state: "Readable") -> "tuple[Schema, View | None]":
        """What is in a state, where it is known what the table is called there."""
        schema = lookup.schema(state)
        if schema not in self._places:
            return schema, None
        place, row, rows = self._places[schema], None, 0
        if place and self._words is None:
            rows = lookup.count(state, place.table)
        elif place and place.key and self._words:
            row = lookup.row(state, place.table, place.key, self._words)
        return schema, View(schema, place, row, rows)

    def _located(
        self, schema: "Schema", moment: "Moment", nearest: Known, *, is_older: bool
    ) -> Place | None:
        """What the table is called in a state with another schema than the nearest."""
        place = nearest.place
        if _text(schema, place.table.name) == place.text:
            return place
        if is_older:
            comparison = self._compared(moment, schema, nearest.moment, nearest.schema)
        else:
            comparison = self._compared(nearest.moment, nearest.schema, moment, schema)
        if comparison is None:
            return self._by_name(schema, moment, place)
        table, renamed = _counterpart(comparison, place.table, is_older=is_older)
        if table is None:
            return None
        return self._there(schema, place, table, renamed)

    def _by_name(self, schema: "Schema", moment: "Moment", place: Place) -> Place | None:
        """The table of the same name, where two states cannot be compared."""
        answer = self.states.read(moment, partial(self._structure, {}))
        table = answer and answer[1].tables.get(fold(place.table.name))
        return self._there(schema, place, table, {}) if table else None

    def _there(
        self, schema: "Schema", place: Place, table: "Table", renamed: dict[str, str]
    ) -> Place:
        """Where rows of a place are in another state; their key's columns may have other names."""
        key = tuple(renamed.get(fold(name), name) for name in place.key)
        if not place.table.key:
            key = self._key(table)
        is_there = all(fold(name) in table.columns or name == table.rowid_name for name in key)
        return Place(table, key if is_there else (), _text(schema, table.name))

    def _compared(
        self, old: "Moment", schema_before: "Schema", new: "Moment", schema_after: "Schema"
    ) -> "Comparison | None":
        """From a state to a later one, once for two schemas; None where they cannot be compared.

        Raises UndropError for live, as for a lock that lasts.
        """
        pair = (schema_before, schema_after)
        if pair not in self._pairs:
            try:
                self._pairs[pair] = self._comparison(old, new)
            except UndropError:  # damage in another table
                if is_live(new):
                    raise
                self._pairs[pair] = None
        return self._pairs[pair]

    def _comparison(self, old: "Moment", new: "Moment") -> "Comparison":
        if is_live(new):
            return live.compare(self.settings, self.states.path(old))
        return self.settings.engine.compare(self.states.path(old), self.states.path(new))

    def _read(self) -> "Iterator[tuple[Moment, View, Cause]]":
        """The states that were read, and what lies between each and the one before."""
        steps: list[Step] = []
        others, is_first, last = False, True, ""
        revisions: tuple[str, ...] | None = None
        for moment in self.states.moments:
            if moment.content != last:
                steps += moment.steps
                others = others or not moment.steps
            last = moment.content
            view = NOTHING if moment.absent else self._views.get(moment.content)
            if view is None:
                continue
            at = self.states.live_at if is_live(moment) else moment.revisions
            moved = (revisions, at) if revisions is not None and at is not None else None
            when = moment.backup.created if moment.backup else None
            if steps and not others:
                when = steps[-1].when
            if is_first:
                steps, others = [], False
            yield (
                moment,
                view,
                Cause(tuple(steps), others, when, moved if revisions != at else None),
            )
            steps, others, is_first, revisions = [], False, False, at

    def events(self) -> "Iterator[Event]":
        """What happened to the row, oldest first."""
        event: Event | None = None
        had: tuple[Moment, View] | None = None
        before = NOTHING
        for moment, view, cause in self._read():
            after = self._event(had, before, (moment, view), cause)
            if after:
                if event:
                    yield event
                event = after
            if view.row is not None:
                had = (moment, view)
                if event and moment.backup:
                    event = event._replace(last_in=moment.name)
            before = view
        if event:
            yield event

    def _event(
        self,
        had: "tuple[Moment, View] | None",
        before: View,
        now: "tuple[Moment, View]",
        cause: Cause,
    ) -> Event | None:
        """What happened between two states; ``had`` is the last one that has the row."""
        moment, view = now
        first_in = LIVE if is_live(moment) else moment.name
        if view.place is None or view.row is None:
            if before.row is None or before.place is None:
                return None
            tables = (before.place.table.name, view.place.table.name if view.place else "")
            return Event(GONE, cause, first_in, "", None, tables=tables)
        name = view.place.table.name
        if had is None or had[1].place is None:
            return Event(FIRST, cause, first_in, "", view.row, tables=("", name))
        pairs = self._columns(*had, *now)
        renamed = tuple(pair for pair in pairs if all(pair) and fold(pair[0]) != fold(pair[1]))
        cells = tuple(_cells(pairs, had[1].row or {}, view.row))
        tables = (had[1].place.table.name, name)
        is_renamed = renamed or fold(tables[0]) != fold(tables[1])
        what = BACK if before.row is None else CHANGED if cells else RENAMED
        if what == RENAMED and not is_renamed:
            return None
        return Event(what, cause, first_in, "", view.row, cells, renamed, tables)

    def _columns(
        self, old: "Moment", before: View, new: "Moment", after: View
    ) -> list[tuple[str, str]]:
        """Which column is which; empty where there is none."""
        one, other = before.place, after.place
        if one is None or other is None:
            return []
        names = [column.name for column in one.table.data]
        renamed: dict[str, str] = {}
        if one.text != other.text or fold(one.table.name) != fold(other.table.name):
            renamed = self._renamed(old, before, new, after)
        taken = {fold(name) for name in renamed.values()}
        stayed = {fold(c.name): c.name for c in other.table.data if fold(c.name) not in taken}
        pairs = [(n, renamed.get(fold(n)) or stayed.pop(fold(n), "")) for n in names]
        return [*pairs, *(("", name) for name in stayed.values())]

    def _renamed(self, old: "Moment", before: View, new: "Moment", after: View) -> dict[str, str]:
        """Columns that have another name: by their folded ones before."""
        name = before.place.table.name if before.place else ""
        comparison = self._compared(old, before.schema, new, after.schema)
        change = comparison and _change_of(comparison, name, is_older=False)
        return {fold(old): new for old, new in change.renamed} if change else {}

    def back(self) -> "tuple[Moment, Back] | None":
        """The newest state of a backup that has of the row what live has not."""
        last: View | None = None
        states = [(moment, view) for moment, view, _ in self._read() if moment.backup]
        for moment, view in reversed(states):
            if view.row is None or view.place is None or view == last:
                continue
            last = view
            names, overwrite = self._lacking(moment, view, view.place.table.name)
            if names or self.live is None or not self.live.schema:
                words = zip(view.place.key, self._words or (), strict=True)
                key: Row = {n: view.row.get(n, lookup.meanings(word)[0]) for n, word in words}
                by_rowid = not view.place.table.key
                return moment, Back(moment.name, names, (key,), by_rowid, overwrite)
        return None

    def _lacking(self, moment: "Moment", view: View, name: str) -> tuple[tuple[str, ...], bool]:
        """What live has not, as the loss report names it; whether it has other values instead."""
        if self.live is None or not self.live.schema:  # there is nothing to put it into
            return (), False
        is_kept = self._is_kept(moment, view, self.live)
        if self.live.row is None:
            return (f"rows {name}" if is_kept else f"table {name}",), False
        pairs = self._columns(moment, view, self.states.moments[-1], self.live)
        cells = [
            cell
            for cell in _cells(pairs, view.row or {}, self.live.row)
            if cell.name and cell.before not in lookup.NO_VALUE
        ]
        if cells and not is_kept:
            return (f"table {name}",), False
        names = tuple(f"{name}.{cell.name}" for cell in cells)
        return names, any(cell.now and cell.after not in lookup.NO_VALUE for cell in cells)

    def _is_kept(self, moment: "Moment", view: View, present: View) -> bool:
        """Whether the comparison, by which recover goes, takes live's table for the same."""
        one, other = view.place, present.place
        if one is None or other is None:
            return False
        if fold(one.table.name) == fold(other.table.name):
            return True
        last = self.states.moments[-1]
        comparison = self._compared(moment, view.schema, last, present.schema)
        change = comparison and _change_of(comparison, one.table.name, is_older=False)
        return change is not None and fold(change.now) == fold(other.table.name)

    def points(self) -> list[Point]:
        """What became of the table, oldest first."""
        points: list[Point] = []
        compared: dict[tuple[str, str], Comparison] = {}
        last: tuple[Moment, View] | None = None
        states = [*self._read()]
        for done, (moment, view, cause) in enumerate(states):
            self.settings.engine.session.progress("compare", done, len(states))
            before = last[1] if last else NOTHING
            change: TableChange | None = None
            if last and before.place and view.place and last[0].content != moment.content:
                pair = (last[0].content, moment.content)
                if pair not in compared:
                    compared[pair] = self._comparison(last[0], moment)
                change = _change_of(compared[pair], before.place.table.name, is_older=False)
            first_in = LIVE if is_live(moment) else moment.name
            name = view.place.table.name if view.place else ""
            counts = (view.rows, before.rows, 0)
            if change and fold(change.now) == fold(name):
                counts = (change.added, change.gone, change.changed)
            elif before.place and last and last[0].content == moment.content:
                counts = (0, 0, 0)
            came_or_went = bool(before.place) != bool(view.place)
            if came_or_went or (change and not change.same):
                points.append(Point(cause, first_in, name, view.rows, change, *counts))
            last = (moment, view)
        return points


def _text(schema: "Schema", name: str) -> str:
    """The definition of a table, with its name; empty where there is none."""
    return next((text for each, text in schema if fold(each) == fold(name)), "")


def _change_of(comparison: "Comparison", name: str, *, is_older: bool) -> "TableChange | None":
    """What became of the table that has that name in the newer state, or in the older one."""
    for change in comparison.tables:
        if fold(change.now if is_older else change.name) == fold(name):
            return change
    return None


def _counterpart(
    comparison: "Comparison", table: "Table", *, is_older: bool
) -> "tuple[Table | None, dict[str, str]]":
    """What a table of one state is in the other, and its columns' names there by the folded ones.

    ``is_older``: the other is the older one. The comparison takes a table for a renamed one where
    every row and value is there; else it is one that has the same root, or the same columns, if
    nothing else has.
    """
    here, there = comparison.structure_before, comparison.structure_after
    if is_older:
        here, there = there, here
    change = _change_of(comparison, table.name, is_older=is_older)
    name = change and (change.name if is_older else change.now)
    if change and name:
        pairs = change.renamed if not is_older else [(new, old) for old, new in change.renamed]
        return there.tables[fold(name)], {fold(one): other for one, other in pairs}
    key = [fold(column.name) for column in table.key]
    alone = [
        other
        for change in comparison.tables
        if not (change.name and change.now)
        and (other := there.tables.get(fold(change.name or change.now)))
        and [fold(column.name) for column in other.key] == key
    ]
    for likely in (
        [other for other in alone if 0 != other.root == table.root],
        [other for other in alone if other.columns.keys() == table.columns.keys()],
    ):
        if len(likely) == 1 and fold(likely[0].name) not in here.tables:
            return likely[0], {}
    return None, {}


def _cells(pairs: list[tuple[str, str]], before: "Row", after: "Row") -> "Iterator[Cell]":
    """Values that are not the same."""
    for old, new in pairs:
        values = (before.get(old), after.get(new))
        if not lookup.alike(*values) and values != (None, None):
            yield Cell(old, new, *values)
