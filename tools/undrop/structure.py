"""What a database is made of: tables, columns, keys, constraints, indexes, triggers, views."""

import re
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

VERSION_COLUMN = "version_num VARCHAR(32) NOT NULL"
"""By this column Alembic's table is known: projects may rename the table."""

TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^]]*\]|\w+|[^\s\w]""",
    re.DOTALL,
)


class Column(NamedTuple):
    """A column, as ``PRAGMA table_xinfo`` gives it (sqlite.org/pragma.html#pragma_table_xinfo)."""

    name: str
    type: str
    """As declared, in capitals."""
    required: bool
    """NOT NULL."""
    default: str | None
    key: int
    """Its place in the primary key from 1; 0 when it is not in it."""
    hidden: int
    """0 for data; 1 for a virtual table's own, 2 and 3 for generated columns."""


class ForeignKey(NamedTuple):
    """From which columns to which table, and what happens when a row there changes or goes."""

    columns: tuple[str, ...]
    parent: str
    on_update: str
    on_delete: str


class Table(NamedTuple):
    """A table that holds rows of its own; of a virtual one, what it shows."""

    name: str
    virtual: bool
    rowid: bool
    columns: dict[str, Column]
    """By lower-case name, in their order."""
    foreign_keys: frozenset[ForeignKey]
    uniques: frozenset[tuple[str, ...]]
    checks: frozenset[str]

    @property
    def data(self) -> list[Column]:
        """The columns whose values are stored, not computed."""
        return [column for column in self.columns.values() if column.hidden == 0]

    @property
    def key(self) -> list[Column]:
        """The primary key's columns in its order."""
        return sorted((c for c in self.columns.values() if c.key), key=lambda c: c.key)

    @property
    def rowid_name(self) -> str:
        """A name of the rowid that no column hides; empty when there is none."""
        free = (name for name in ("rowid", "_rowid_", "oid") if name not in self.columns)
        return next(free, "") if self.rowid else ""


class Part(NamedTuple):
    """An index, a full-text table without text of its own (``table``), a trigger or a view."""

    kind: str
    name: str
    table: str
    definition: str
    """Its SQL with comments, spaces and its own name taken out."""


class Structure(NamedTuple):
    """A database's schema."""

    tables: dict[str, Table]
    """By lower-case name; not SQLite's own, Alembic's, nor what virtual tables keep data in."""
    parts: dict[tuple[str, str], Part]
    """By kind and lower-case name."""


def read(connection: "sqlite3.Connection", schema: str) -> Structure:
    """The structure of an attached database (``main`` or the name it was attached by).

    Raises sqlite3.Error.
    """
    sql = dict(
        connection.execute(f"SELECT name, sql FROM {schema}.sqlite_master WHERE type = 'table'")  # noqa: S608 - our own name
    )
    found = connection.execute(
        "SELECT name, type = 'virtual', NOT wr FROM pragma_table_list WHERE schema = ?"
        " AND type IN ('table', 'virtual') AND substr(name, 1, 7) <> 'sqlite_'",
        [schema],
    ).fetchall()
    parts = connection.execute(
        f"SELECT type, name, tbl_name, sql FROM {schema}.sqlite_master "  # noqa: S608
        "WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL"
    ).fetchall()
    parts += [("table", name, name, text) for name, text in sql.items() if _is_index(text)]
    return Structure(
        {
            name.lower(): Table(
                name,
                bool(virtual),
                bool(rowid),
                _columns(connection, schema, name),
                frozenset(_foreign_keys(connection, schema, name)),
                frozenset(_uniques(connection, schema, name)),
                frozenset(_checks(sql[name])),
            )
            for name, virtual, rowid in found
            if VERSION_COLUMN not in sql[name] and not _is_index(sql[name])
        },
        {
            (kind, name.lower()): Part(kind, name, table, _definition(sql, name))
            for kind, name, table, sql in parts
        },
    )


def _columns(connection: "sqlite3.Connection", schema: str, table: str) -> dict[str, Column]:
    rows = connection.execute(
        'SELECT name, upper(type), "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, ?)',
        [table, schema],
    )
    return {row[0].lower(): Column(row[0], row[1], bool(row[2]), *row[3:]) for row in rows}


def _foreign_keys(
    connection: "sqlite3.Connection", schema: str, table: str
) -> "Iterator[ForeignKey]":
    rows = connection.execute(
        'SELECT id, lower("from"), lower("table"), on_update, on_delete'
        " FROM pragma_foreign_key_list(?, ?) ORDER BY id, seq",
        [table, schema],
    )
    for _, key in groupby(rows, itemgetter(0)):
        columns = list(key)
        yield ForeignKey(tuple(row[1] for row in columns), *columns[0][2:])


def _uniques(
    connection: "sqlite3.Connection", schema: str, table: str
) -> "Iterator[tuple[str, ...]]":
    rows = connection.execute(
        "SELECT l.name, lower(i.name) FROM pragma_index_list(?1, ?2) AS l, "
        'pragma_index_info(l.name, ?2) AS i WHERE l."unique" AND NOT l.partial'
        " AND l.origin <> 'pk' ORDER BY 1, 2",
        [table, schema],
    )
    for _, index in groupby(rows, itemgetter(0)):
        yield tuple(str(row[1]) for row in index)


def _is_index(sql: str) -> bool:
    """Whether a full-text table keeps no text of its own (sqlite.org/fts5.html, 4.4)."""
    words = " ".join(_plain(token) for token in _tokens(sql))
    return " using fts" in words and ", content =" in words


def _tokens(sql: str) -> list[str]:
    return [token for token in TOKEN.findall(sql) if not token.startswith(("--", "/*"))]


def _plain(token: str) -> str:
    """A name without its quotes, anything else in small letters."""
    return token[1:-1].lower() if token[0] in '"`[' else token if token[0] == "'" else token.lower()


def _definition(sql: str, name: str) -> str:
    """What an index, trigger or view does, without how it is called."""
    tokens = [_plain(token) for token in _tokens(sql)]
    if name.lower() in tokens:
        tokens.remove(name.lower())
    return " ".join(tokens)


def _checks(sql: str) -> list[str]:
    """The CHECK constraints in a CREATE TABLE: no pragma tells of them."""
    tokens = [_plain(token) for token in _tokens(sql)]
    found = []
    for start, words in enumerate(pairwise(tokens)):
        if words != ("check", "("):
            continue
        depth, end = 0, start + 1
        while end < len(tokens):
            depth += {"(": 1, ")": -1}.get(tokens[end], 0)
            end += 1
            if depth == 0:
                break
        found.append(" ".join(tokens[start + 2 : end - 1]))
    return found
