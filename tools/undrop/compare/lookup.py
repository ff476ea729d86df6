"""One state, looked into: which tables it has, and the row of one that has a key."""

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from undrop.compare import reading
from undrop.compare.structure import fold
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from undrop.compare.readable import Readable
    from undrop.compare.structure import Structure, Table

Row = dict[str, object]
"""Values by the names of their columns."""
Schema = tuple[tuple[str, str], ...]
"""The tables of a state and their definitions, told without reading what they are made of."""
NO_VALUE = (None, "", b"")
"""What is no loss where another value has taken its place."""
BLOB = re.compile(r"[xX]'((?:[0-9a-fA-F]{2})*)'")


def schema(state: "Readable") -> Schema:
    """The state's. Raises sqlite3.Error."""
    if state.known:
        return tuple((table.name, table.definition) for table in state.known.tables.values())
    sql = "SELECT name, sql FROM main.sqlite_master WHERE type = 'table' ORDER BY 1"
    return tuple(state.connection.ask(sql))


def structure(state: "Readable", version_table: str) -> "Structure":
    """What a state is made of. Raises sqlite3.Error."""
    return state.known or reading.read(state.connection, "main", version_table)


def named(name: str, tables: "Iterable[str]") -> str | None:
    """The folded name among ``tables`` that somebody means; PostgreSQL's have quotation marks."""
    schema, _, rest = name.partition(".")
    parts = ((schema, quoted(rest)), (quoted(schema), rest), (quoted(schema), quoted(rest)))
    ways = (name, quoted(name), *map(".".join, parts))
    there = {*tables}
    return next((way for way in map(fold, ways) if way in there), None)


def meanings(word: str) -> list[object]:
    """The values that somebody may mean by a word: a number, a blob, or the text that it is."""
    values: list[object] = []
    if match := BLOB.fullmatch(word):
        values += [bytes.fromhex(match[1]), f"\\x{match[1].lower()}"]  # as PostgreSQL writes it
    with suppress(ValueError):
        number = int(word)
        if str(number) == word and -(2**63) <= number < 2**63:
            values.append(number)
    with suppress(ValueError):
        if not values and re.fullmatch(r"-?\d+(\.\d+([eE][-+]?\d+)?|[eE][-+]?\d+)", word):
            values.append(float(word))
    return [*values, word]


def row(
    state: "Readable", table: "Table", key: "Sequence[str]", words: "Sequence[str]"
) -> Row | None:
    """The row whose ``key`` columns have what the words mean; None where there is none.

    Where there are several, since a number and its text are two keys, it is the number's. Raises
    sqlite3.Error.
    """
    meant = [meanings(word) for word in words]
    shown = [quoted(column.name) for column in table.data]
    # A name in quotation marks that is no column would be a text.
    wanted = [quoted(name) if fold(name) in table.columns else name for name in key]
    tests = (
        f"{name} IN ({', '.join('?' * len(values))})"
        for name, values in zip(wanted, meant, strict=True)
    )
    values = [value for several in meant for value in several]
    sql = f"SELECT {', '.join(shown)} FROM main.{quoted(table.name)} WHERE {' AND '.join(tests)}"  # noqa: S608
    # Numbers come before texts (sqlite.org/datatype3.html, 4.1).
    order = f" ORDER BY {', '.join(wanted)} LIMIT 1"
    rows = state.connection.execute(sql + order, values).fetchall()
    return dict(zip((c.name for c in table.data), rows[0], strict=True)) if rows else None


def count(state: "Readable", table: "Table") -> int:
    """Number of rows. Raises sqlite3.Error."""
    return int(state.connection.ask(f"SELECT count(*) FROM main.{quoted(table.name)}")[0][0])  # noqa: S608


def alike(old: object, new: object) -> bool:
    """Whether two values are the same, be it as another type holds it (``pairing.same``)."""
    numbers = isinstance(old, int | float) and isinstance(new, int | float)
    if numbers or type(old) is type(new):
        return old == new
    return old is not None and new is not None and _text(old) == _text(new)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
