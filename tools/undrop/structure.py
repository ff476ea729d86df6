"""What a database is made of: tables, columns, keys, constraints, indexes, triggers, views."""

import sqlite3
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from undrop import ddl, sqlite
from undrop.ddl import fold

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    """By folded name, in their order."""
    key_index: bool
    """Whether the primary key has an index of its own."""
    foreign_keys: frozenset[ForeignKey]
    uniques: frozenset[tuple[str, ...]]
    checks: frozenset[str]
    definition: str
    """Its SQL with comments, spaces and its own name taken out."""
    root: int
    """Number of the page where it begins: a renamed table stays there."""

    @property
    def data(self) -> list[Column]:
        """The columns whose values are stored, not computed."""
        return [column for column in self.columns.values() if column.hidden == 0]

    @property
    def key(self) -> list[Column]:
        """The primary key's columns in its order."""
        return sorted((c for c in self.columns.values() if c.key), key=lambda c: c.key)

    @property
    def key_is_rowid(self) -> bool:
        """Whether the primary key is the rowid's alias (sqlite.org/lang_createtable.html#rowid)."""
        return self.rowid and not self.virtual and bool(self.key) and not self.key_index

    @property
    def rowid_name(self) -> str:
        """Its alias, or a name of the rowid that no column hides; empty when there is none."""
        if self.key_is_rowid:
            return self.key[0].name
        free = (name for name in ("rowid", "_rowid_", "oid") if name not in self.columns)
        return next(free, "") if self.rowid else ""


class Part(NamedTuple):
    """An index, a trigger, a view, or a virtual table with nothing to read in it (``table``)."""

    kind: str
    name: str
    table: str
    definition: str
    """Its SQL with comments, spaces and its own name taken out."""


class Structure(NamedTuple):
    """A database's schema."""

    tables: dict[str, Table]
    """By folded name; not SQLite's own, Alembic's, nor what virtual tables keep data in."""
    parts: dict[tuple[str, str], Part]
    """By kind and folded name."""
    unread: list[str]
    """Virtual tables that this SQLite has no module for; they are among the parts."""


def read(connection: sqlite3.Connection, schema: str) -> Structure:
    """The structure of an attached database (``main`` or the name it was attached by).

    Raises sqlite3.Error.
    """
    master = connection.execute(
        f"SELECT type, name, tbl_name, coalesce(sql, ''), rootpage FROM {schema}.sqlite_master"  # noqa: S608 - our own name
    ).fetchall()
    sql = {name: (text, root) for kind, name, _, text, root in master if kind == "table"}
    owners = {fold(name): text for name, (text, _) in sql.items()}
    found = connection.execute(
        "SELECT name, type, NOT wr FROM pragma_table_list WHERE schema = ?"
        " AND type <> 'view' AND substr(name, 1, 7) <> 'sqlite_'",
        [schema],
    ).fetchall()
    tables, unread = [], []
    for name, kind, rowid in found:
        text, root = sql[name]
        if ddl.is_derived(text) or (kind == "shadow" and not ddl.is_users(name, owners)):
            continue
        try:
            tables.append(_table(connection, schema, (name, kind, rowid), text, root))
        except sqlite3.OperationalError:  # a virtual table whose module only its application has
            if kind != "virtual":
                raise
            unread.append(name)
    parts = [
        Part(kind, name, table, ddl.definition(text, name))
        for kind, name, table, text, _ in master
        if text and (kind != "table" or ddl.is_derived(text) or name in unread)
    ]
    return Structure(
        {
            fold(table.name): table
            for table in tables
            if [(column.name, column.type) for column in table.columns.values()]
            != sqlite.VERSION_TABLE
        },
        {(part.kind, fold(part.name)): part for part in parts},
        unread,
    )


def _table(
    connection: sqlite3.Connection, schema: str, listed: tuple[str, str, int], sql: str, root: int
) -> Table:
    name, kind, rowid = listed
    return Table(
        name,
        kind == "virtual",
        bool(rowid),
        _columns(connection, schema, name),
        _has_key_index(connection, schema, name),
        frozenset(_foreign_keys(connection, schema, name)),
        frozenset(_uniques(connection, schema, name)),
        frozenset(ddl.checks(sql)),
        ddl.definition(sql, name),
        root,
    )


def _columns(connection: sqlite3.Connection, schema: str, table: str) -> dict[str, Column]:
    rows = connection.execute(
        'SELECT name, upper(type), "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, ?)',
        [table, schema],
    )
    return {fold(row[0]): Column(row[0], row[1], bool(row[2]), *row[3:]) for row in rows}


def _has_key_index(connection: sqlite3.Connection, schema: str, table: str) -> bool:
    sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?, ?) WHERE origin = 'pk')"
    return bool(connection.execute(sql, [table, schema]).fetchone()[0])


def _foreign_keys(
    connection: sqlite3.Connection, schema: str, table: str
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
    connection: sqlite3.Connection, schema: str, table: str
) -> "Iterator[tuple[str, ...]]":
    rows = connection.execute(
        "SELECT l.name, lower(i.name) FROM pragma_index_list(?1, ?2) AS l, "
        'pragma_index_info(l.name, ?2) AS i WHERE l."unique" AND NOT l.partial'
        " AND l.origin <> 'pk' ORDER BY 1, 2",
        [table, schema],
    )
    for _, index in groupby(rows, itemgetter(0)):
        yield tuple(str(row[1]) for row in index)
