"""What the page says of each state, in words."""

from typing import TYPE_CHECKING, NamedTuple

from undrop import record
from undrop.cli import sql, states, tables
from undrop.cli.diff import differences
from undrop.compare.rows import short
from undrop.recipes import Action
from undrop.steps import history
from undrop.steps.undo import DAMAGED, EMPTY
from undrop.store.timeline import command_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from undrop.compare.comparison import Comparison, TableChange
    from undrop.compare.listing import Listed
    from undrop.recipes import Prompt
    from undrop.steps.history import Change, State

LONG = 80  # characters of a value
SHOWN = 3  # lines to copy that bring rows or values back
TABLES, WIDE = 10, 24  # of which rows are shown, and columns of them
MINUS = "\N{MINUS SIGN}"


class Chip(NamedTuple):
    """What became of a table, short."""

    text: str
    kind: str
    """``gone``, ``new``, ``other``."""


class Line(NamedTuple):
    """Something to type, and what it does."""

    what: str
    text: str


class Row(NamedTuple):
    """One that was removed, added or changed."""

    sign: str
    cells: "Sequence[str]"


class Rows(NamedTuple):
    """Some of a table's."""

    columns: "Sequence[str]"
    rows: "Sequence[Row]"
    more: str
    """What is not shown; empty where all is."""


class Table(NamedTuple):
    """What became of one."""

    name: str
    counts: str
    """Rows before and afterwards."""
    said: "Sequence[str]"
    """What else: rows, columns."""
    is_loss: bool
    rows: "Sequence[Rows]"


class Entry(NamedTuple):
    """A state on the page."""

    number: int
    """1 for the oldest."""
    kind: str
    """What its mark is: ``step``, ``others``, ``lost``, ``damaged``, ``nothing``."""
    day: str
    clock: str
    title: str
    command: str
    reason: str
    alarms: "Sequence[str]"
    chips: "Sequence[Chip]"
    total: str
    size: str
    revision: str
    """Empty where it is as before."""
    name: str
    is_now: bool
    """Whether live is so."""
    since: str
    """What it was compared with; empty where there is none."""
    tables: "Sequence[Table]"
    parts: "Sequence[str]"
    """What else changed: of the schema, or that nothing was compared."""
    lines: "Sequence[Line]"
    quiet: "Sequence[str]"
    """Steps that changed nothing."""


class Teller:
    """Makes the entries of a page."""

    def __init__(
        self, prompt: "Prompt", names: "Mapping[str, str]", *, values: bool, is_there: bool
    ) -> None:
        """``names``: what to show and type for backups' names; without ``values`` nothing else."""
        self._prompt, self._names, self._values = prompt, names, values
        self._is_there = is_there

    def name(self, name: str) -> str:
        """A backup's name, as it is to be shown and typed."""
        return self._names.get(name, "")

    def told(self, text: str) -> str:
        """A message of ours, which may name a backup."""
        return text if self._values else record.NAMED.sub(r"\1", text)

    def entry(self, number: int, line: "Sequence[State]", change: "Change | None") -> Entry:
        """The state of that number, from 1."""
        state = line[number - 1]
        before = line[number - 2] if number > 1 else None
        moment = state.moment
        since = change.since.rows if change else None
        moved = (
            history.moved(since, state.rows) if since is not None and state.rows is not None else {}
        )
        known = (each.moment.revisions for each in reversed(line[: number - 1]))
        same = moment.revisions == next(filter(None, known), None)
        comparison = change.comparison if change else None
        is_now = self._is_there and number == len(line)
        return Entry(
            number=number,
            kind=self._kind(state, change, moved),
            day=f"{state.at.day} {state.at:%B %Y}" if state.at else "",
            clock=f"{state.at:%H:%M}" if state.at else "",
            title=self._title(state, before),
            command=self._command(state),
            reason=self._reason(state),
            alarms=[*map(self.told, self._alarms(state))],
            chips=[*_compared(comparison)] if comparison else [*_moved(moved)],
            total="" if state.total is None or moment.absent else f"{state.total:,} rows",
            size="" if state.bytes is None or moment.absent else tables.size(state.bytes),
            revision=""
            if same or not moment.revisions
            else record.revision_names(moment.revisions),
            name=self.name(moment.name),
            is_now=is_now,
            since=self._since(change, moved),
            tables=[*self._tables(change)] if comparison else [*_counted(since, state, moved)],
            parts=[*map(self.told, self._parts(change, comparison))],
            lines=[*self._lines(state, change, is_now=is_now)],
            quiet=[self._step(step.kind, step.command) for step in state.quiet],
        )

    def _kind(self, state: "State", change: "Change | None", moved: "Mapping[str, int]") -> str:
        moment = state.moment
        if moment.content == DAMAGED or (moment.backup and moment.backup.is_set):
            return "damaged"
        if moment.absent or moment.content == EMPTY:
            return "nothing"
        if (change and change.missing(state)) or any(count < 0 for count in moved.values()):
            return "lost"
        return "step" if moment.steps else "others"

    def _title(self, state: "State", before: "State | None") -> str:
        moment = state.moment
        parts = [states.by(moment.steps, before), states.lacking(moment)]
        return ": ".join(filter(None, parts))

    def _command(self, state: "State") -> str:
        return command_lines(state.moment.steps) if self._values else ""

    def _step(self, kind: str, command: str) -> str:
        return f"{kind} ({command})" if command and self._values else kind

    def _reason(self, state: "State") -> str:
        known = state.backup.record if state.backup else None
        asked = known and not known.automatic and not state.moment.steps
        return known.reason if known and asked and self._values else ""

    def _alarms(self, state: "State") -> "Iterator[str]":
        backup = state.backup
        if state.shrunk:
            yield f"had rows before and has none: {', '.join(state.shrunk)}"
        if backup and backup.is_set:
            check = backup.record.check if backup.record else ""
            yield f"damaged files, kept as they were: {check}"
        elif state.moment.content == DAMAGED:
            yield "the live database is damaged"
        elif not (
            backup or state.moment.absent or state.moment.live or state.moment.content == EMPTY
        ):
            yield "nothing holds this state: it cannot be put back"
        if backup and backup.only_in_vault:
            yield "backups/ has lost it; the vault has a copy"
        if backup and backup.unproved:
            yield f"not proved: {backup.unproved}"

    def _since(self, change: "Change | None", moved: "Mapping[str, int]") -> str:
        if change is None:
            return ""
        at, name = change.since.at, self.name(change.since.moment.name)
        of = f" of {at:%Y-%m-%d %H:%M}" if at else ""
        return f"{name or 'the state'}{of}" if name or moved else ""

    def _lines(self, state: "State", change: "Change | None", *, is_now: bool) -> "Iterator[Line]":
        for line in self._ways(state, change, is_now=is_now):
            if tables.clean(line.text) == line.text:  # what a page cannot show cannot be copied
                yield line

    def _ways(self, state: "State", change: "Change | None", *, is_now: bool) -> "Iterator[Line]":
        moment = state.moment
        if is_now and moment.live:
            yield self._line("No backup holds this state; to take one", Action("backup"))
        if not is_now and moment.can_be_put_back and (name := self.name(moment.name)):
            yield self._line("Back to this state", Action("restore", name))
        source = self.name(change.since.moment.name) if change else ""
        if change and source:
            for loss, count in [*change.missing(state).items()][:SHOWN]:
                what = f"To have {_lost(loss, count)} back, if still gone"
                yield self._line(what, Action("recover", "--from", source, loss))

    def _line(self, what: str, action: Action) -> Line:
        return Line(what, self._prompt.line(action))

    def _tables(self, change: "Change | None") -> "Iterator[Table]":
        assert change is not None  # noqa: S101 - there is a comparison
        assert change.comparison is not None  # noqa: S101
        listed = {(each.change.name, each.change.now): each for each in change.listed}
        changed = [table for table in change.comparison.tables if not table.same]
        for number, table in enumerate(changed):
            rows = listed.get((table.name, table.now)) if number < TABLES else None
            yield _table(table, [*_rows(rows)] if rows else [])

    def _parts(self, change: "Change | None", comparison: "Comparison | None") -> "Iterator[str]":
        if change and change.why_not:
            yield f"not compared row by row: {change.why_not}"
        if comparison:
            yield from differences(comparison)[1]
            yield from (f"{name} could not be read" for name in comparison.unread)
            if comparison.same:
                yield "rows and definitions are as they were"


def _lost(loss: str, count: int) -> str:
    """What went, by its name in a report of losses, in words."""
    kind, _, table = loss.partition(" ")
    if kind == "rows" and table:
        return f"the {count:,} row(s) of {table}"
    return loss if kind == "table" and table else f"the {count:,} value(s) of {loss}"


def shown(text: str) -> str:
    """A text as a page can show it: the signs in it that show nothing are seen."""
    return tables.clean(text.replace("\n", "\N{RETURN SYMBOL}"))


def _moved(moved: "Mapping[str, int]") -> "Iterator[Chip]":
    """Short, what numbers of rows tell."""
    for table, count in moved.items():
        text = f"{table} {count:+,}".replace("-", MINUS)
        yield Chip(text, "gone" if count < 0 else "new")


def _compared(comparison: "Comparison") -> "Iterator[Chip]":
    """Short, what became of rows; those that went first."""
    tables = [(each.now or each.name, each) for each in comparison.tables]
    yield from _moved({name: -each.gone for name, each in tables if each.gone})
    yield from _moved({name: each.added for name, each in tables if each.added})
    for name, each in tables:
        if each.changed:
            yield Chip(f"{name} {each.changed:,} changed", "other")


def _counted(
    since: "Mapping[str, int] | None", state: "State", moved: "Mapping[str, int]"
) -> "Iterator[Table]":
    """What numbers alone tell."""
    for name, count in moved.items():
        old, new = (since or {}).get(name), (state.rows or {}).get(name)
        counts = " → ".join("no table" if each is None else f"{each:,}" for each in (old, new))
        yield Table(name, counts, (), is_loss=count < 0, rows=())


def _table(change: "TableChange", rows: list[Rows]) -> Table:
    name = change.now or change.name
    if change.name and change.now and change.name != change.now:
        name = f"{change.name} → {change.now}"
    said = [] if change.name else ["new table"]
    said += [] if change.now else ["table gone"]
    counts = {"removed": change.gone, "added": change.added, "changed": change.changed}
    said += [f"{count:,} {what}" for what, count in counts.items() if count]
    said += [f"+ column {column}" for column in change.new_columns]
    said += [f"{MINUS} column {column}" for column in change.gone_columns]
    said += [f"column {old} → {new}" for old, new in change.renamed]
    numbers = f"{change.rows_before:,} → {change.rows_after:,}"
    return Table(name, numbers, said, is_loss=bool(change.gone or change.gone_columns), rows=rows)


def _rows(listed: "Listed") -> "Iterator[Rows]":
    change = listed.change
    for sign, some, count in (
        (MINUS, listed.removed, change.gone),
        ("+", listed.added, change.added),
    ):
        if some:
            columns = [*dict.fromkeys(name for row in some for name in row)]
            yield _some(sign, columns, [[*map(row.get, columns)] for row in some], count)
    if listed.changed:
        keys = [*listed.changed[0].key]
        columns = [*dict.fromkeys(name for row in listed.changed for name in row.columns)]
        cells = [
            [*row.key.values(), *(row.columns.get(name, ()) for name in columns)]
            for row in listed.changed
        ]
        yield _some("~", [*keys, *columns], cells, change.changed)


def _some(sign: str, columns: list[str], cells: "list[list[object]]", count: int) -> Rows:
    """Some of the ``count`` rows, as wide as a page can be."""
    rows = [Row(sign, [*map(_value, row[:WIDE])]) for row in cells]
    left = {"row(s)": count - len(rows), "column(s)": len(columns) - WIDE}
    more = [f"{number:,} {what}" for what, number in left.items() if number > 0]
    return Rows(columns[:WIDE], rows, f"and {', '.join(more)} more" if more else "")


def _value(value: object) -> str:
    """One; of one that changed, both: a pair."""
    if isinstance(value, tuple):
        return " → ".join(map(_value, value))
    return sql.cell(short(value, LONG))
