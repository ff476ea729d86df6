"""Where sequences stand, and moving them forward: a number is given out once."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from undrop.compare.structure import fold
from undrop.engines.postgres import session
from undrop.engines.postgres.catalogs import MEMBER, NAME, SYSTEM
from undrop.engines.postgres.content import HELD
from undrop.errors import ChangedError, UndropError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from undrop.compare.merge import Ops
    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.catalogs import Ask
    from undrop.sqlitefile.connect import Connection

COUNTERS = (
    "SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), s.seqincrement, "  # noqa: S608
    "s.seqcycle, s.seqmin, s.seqmax, v.last_value FROM pg_sequence s "
    "JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_sequences v ON v.schemaname = n.nspname AND v.sequencename = c.relname "
    f"WHERE NOT ({SYSTEM}) AND NOT {MEMBER.format('pg_class', 'c')}"
)
USED = (
    f"SELECT u.sequence, {NAME}, quote_ident(a.attname) FROM ("  # noqa: S608 - our own
    "SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number FROM pg_depend d "
    "WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass "
    "AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 "
    "UNION SELECT d.refobjid, f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f "
    "ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid "
    "WHERE d.refclassid = 'pg_class'::regclass) u JOIN pg_sequence s ON s.seqrelid = u.sequence "
    "JOIN pg_class c ON c.oid = u.relation JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_attribute a ON a.attrelid = u.relation AND a.attnum = u.number"
)
"""The columns that a sequence belongs to, or that have a default by it."""


class Counter(NamedTuple):
    """A sequence."""

    step: int
    cycles: bool
    least: int
    most: int
    last: int | None
    """The last number that it gave out; None for none."""
    columns: tuple[tuple[str, str], ...]
    """Tables and columns that have its numbers; folded names."""


def read(ask: "Ask") -> dict[str, Counter]:
    """Every sequence, by its name in SQL."""
    used: dict[int, list[tuple[str, str]]] = {}
    for oid, table, column in ask(USED):
        used.setdefault(oid, []).append((fold(table), fold(column)))
    return {
        name: Counter(step, cycles, least, most, last, tuple(used.get(oid, ())))
        for oid, name, step, cycles, least, most, last in ask(COUNTERS)
    }


class End(NamedTuple):
    """Where a sequence stands."""

    number: int
    """The one before the one that it gives out next."""
    step: int
    cycles: bool

    def is_behind(self, number: int) -> bool:
        """Whether it will give out again what one at that number has given out.

        No nextval brings it there, others' neither, but of one that begins anew (CYCLE).
        """
        return not self.cycles and (number - self.number) * self.step > 0


def ends(ask: "Ask") -> dict[str, End]:
    """Where every sequence stands, by its name in SQL."""
    ask(HELD)
    known = [(name, step, cycles) for _, name, step, cycles, *_ in ask(COUNTERS)]
    each = " UNION ALL ".join(
        f"SELECT {number}, last_value, is_called FROM {name}"  # noqa: S608 - quoted
        for number, (name, *_) in enumerate(known)
    )
    found: dict[str, End] = {}
    for number, last, called in ask(each) if each else ():
        name, step, cycles = known[number]
        found[name] = End(last if called else last - step, step, cycles)
    return found


def wanted(
    counters: "Mapping[str, Counter]",
    others: "Sequence[tuple[str, Mapping[str, Counter]]]",
    ops: "Iterable[Ops]",
    sqlite: "Connection",
) -> dict[str, int]:
    """Where each of ``counters`` must not stand below.

    What other sides' gave out; those are told by name (``base``, ``theirs``) to find a column's
    there. And the keys of rows that are put in.
    """
    numbers: dict[str, list[int]] = {}
    by_column = {at: name for name, each in counters.items() for at in each.columns}
    for _, there in others:
        for name in counters.keys() & there.keys():
            if (last := there[name].last) is not None:
                numbers.setdefault(name, []).append(last)
    for each in ops:
        for column in each.match.shared:
            name = by_column.get((fold(each.table.name), fold(column.ours.name)), "")
            if not name:
                continue
            for side, there in others:
                table = each.match.base if side == "base" else each.match.theirs
                other = column.base if side == "base" else column.theirs
                at = (fold(table.name), fold(other.name))
                lasts = (counter.last for counter in there.values() if at in counter.columns)
                numbers.setdefault(name, []).extend(last for last in lasts if last is not None)
            place = [fold(c.name) for c in each.table.data].index(fold(column.ours.name))
            ends = sqlite.ask(
                f"SELECT min(d{place}), max(d{place}) FROM {each.rows} "  # noqa: S608 - ours
                f"WHERE does = 'put' AND typeof(d{place}) = 'integer'"
            )
            numbers.setdefault(name, []).extend(end for end in ends[0] if end is not None)
    return {
        name: max(values) if counters[name].step > 0 else min(values)
        for name, values in numbers.items()
        if values and not counters[name].cycles
    }


def positions(connection: "psycopg.Connection[Any]", ask: "Ask") -> dict[str, Counter]:
    """Every sequence, of which nobody gets a number any more until the transaction ends."""
    for name, counter in read(ask).items():
        hold(connection, name, counter.step)
    return read(ask)


def behind(numbers: "Mapping[str, int]", counters: "Mapping[str, Counter]") -> dict[str, int]:
    """The same numbers, or where ``counters`` stand, if they are further on."""
    all_of_them = dict(numbers)
    for name, each in counters.items():
        if each.last is not None and not each.cycles:
            further = max if each.step > 0 else min
            all_of_them[name] = further(each.last, all_of_them.get(name, each.last))
    return all_of_them


def forward(
    connection: "psycopg.Connection[Any]", ask: "Ask", numbers: "Mapping[str, int]"
) -> None:
    """Have each sequence go on behind that number, if it does not already."""
    there = read(ask)
    for name, number in numbers.items():
        counter = there.get(name)
        if counter is None or counter.cycles:
            continue
        least, most, step = counter.least, counter.most, counter.step
        last = min(max(number, least), most)
        sign = "<" if step > 0 else ">"
        behind = f"(last_value {sign} {last} OR last_value = {last} AND NOT is_called)"
        if ask(f"SELECT 1 FROM {name} WHERE {behind}"):  # noqa: S608 - quoted
            hold(connection, name, step)
            called = name.replace("'", "''")
            ask(f"SELECT setval('{called}', {last}) FROM {name} WHERE {behind}")  # noqa: S608


def put_back(address: "Address", stood: "Mapping[str, Sequence[Any]]") -> None:
    """Have those that a transaction set back go on where they stood (``ends``).

    No rollback does that (functions-sequence.html). Raises ChangedError.
    """
    missed: dict[str, int] = {}
    try:
        with session.opened(address, "moving sequences on again") as connection:
            ask = session.asker(connection)
            now = ends(ask)
            numbers = {name: End(*each).number for name, each in stood.items()}
            missed = {
                name: number
                for name, number in numbers.items()
                if name in now and now[name].is_behind(number)
            }
            forward(connection, ask, missed)
            connection.commit()
    except UndropError as error:
        if not missed:
            raise
        names = (name.replace("'", "''") for name in missed)
        lines = (
            f"SELECT setval('{name}', {number});"
            for name, number in zip(names, missed.values(), strict=True)
        )
        raise ChangedError(
            "the migrations were rolled back, but sequences that they set back stay so, as they do "
            f"in PostgreSQL, and could not be moved on again: {error.what}",
            " ".join(lines),
        ) from error


def hold(connection: "psycopg.Connection[Any]", name: str, step: int) -> None:
    """Let nobody have a number until the transaction ends, where this user may do that.

    No table's lock does it: nextval() asks for none (sql-altersequence.html, Notes).
    """
    with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute(f"ALTER SEQUENCE {name} INCREMENT BY {step}")
