"""What an SQLite database is made of."""

import sqlite3
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from undrop.compare import ddl
from undrop.compare.structure import (
    Clause,
    Column,
    ForeignKey,
    Part,
    Reference,
    Structure,
    Table,
    fold,
)
from undrop.sqlitefile import check, virtual
from undrop.sqlitefile.connect import Connection
from undrop.values import version_tables

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(connection: Connection, schema: str, version_table: str) -> Structure:
    """The structure of an attached database (``main`` or the name it was attached by).

    Raises sqlite3.Error.
    """
    master = connection.execute(
        f"SELECT type, name, tbl_name, coalesce(sql, ''), rootpage FROM {schema}.sqlite_master"  # noqa: S608 - our own name
    ).fetchall()
    sql = {name: (text, root) for kind, name, _, text, root in master if kind == "table"}
    listed = connection.execute(
        "SELECT name, type, NOT wr FROM pragma_table_list WHERE schema = ?"
        " AND type <> 'view' AND substr(name, 1, 7) <> 'sqlite_'",
        [schema],
    ).fetchall()
    passed_over = {*check.LITESTREAM, *virtual.kept(connection, schema)}
    counters = _counters(connection, schema)
    tables: list[Table] = []
    derived: list[Table] = []
    unread = sorted(check.not_loaded(connection, schema) & sql.keys())
    of_others = {name for name, (text, _) in sql.items() if virtual.is_derived(text)}
    for name, kind, rowid in listed:
        if name in passed_over:
            continue
        text, root = sql[name]
        try:
            table = _table(connection, schema, (name, kind, rowid), text, root)
        except sqlite3.OperationalError:  # a virtual table whose module only its application has
            if kind != "virtual":
                raise
            unread += [name] * (name not in of_others)
        else:
            counts = table.clauses.get(Clause("AUTOINCREMENT"))
            counter = counters.get(fold(name), 0) if counts else 0
            (derived if name in of_others else tables).append(table._replace(counter=counter))
    parts = [
        Part(
            kind,
            name,
            table,
            ddl.definition(text, name),
            ddl.index(text) if kind == "index" else {},
        )
        for kind, name, table, text, _ in master
        if text and (kind != "table" or name in of_others or name in unread)
    ]
    return Structure(
        {fold(table.name): table for table in tables if not _keeps_revisions(table, version_table)},
        {(part.kind, fold(part.name)): part for part in parts},
        unread,
        {fold(table.name): table for table in derived if virtual.content(sql[table.name][0])},
    )


def _keeps_revisions(table: Table, version_table: str) -> bool:
    """Whether a tool keeps in it which migrations there were: that is told as the revision."""
    return any(
        fold(table.name) == fold(known.name) and known.columns <= table.columns.keys()
        for known in version_tables(version_table)
    )


def _table(
    connection: Connection, schema: str, listed: tuple[str, str, int], sql: str, root: int
) -> Table:
    name, kind, rowid = listed
    declared = ddl.Declared(sql)
    return Table(
        name,
        kind == "virtual",
        bool(rowid),
        _columns(connection, schema, name),
        _has_key_index(connection, schema, name),
        frozenset(_foreign_keys(connection, schema, name)),
        frozenset(_uniques(connection, schema, name)),
        frozenset(declared.checks),
        ddl.definition(sql, name),
        root,
        declared.clauses,
        counter=0,
        references=tuple(_references(connection, schema, name)),
    )


def _counters(connection: Connection, schema: str) -> dict[str, int]:
    """By folded name of a table, the last number that it gave out (sqlite.org/autoinc.html)."""
    there = f"SELECT 1 FROM {schema}.sqlite_master WHERE name = 'sqlite_sequence'"  # noqa: S608
    if not connection.execute(there).fetchone():
        return {}
    rows = connection.execute(
        f"SELECT name, max(seq) FROM {schema}.sqlite_sequence"  # noqa: S608 - our own name
        " WHERE typeof(seq) = 'integer' AND typeof(name) = 'text' GROUP BY name"
    )
    return {fold(name): number for name, number in rows}


def _columns(connection: Connection, schema: str, table: str) -> dict[str, Column]:
    rows = connection.execute(
        'SELECT name, upper(type), "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, ?)',
        [table, schema],
    )
    return {fold(row[0]): Column(row[0], row[1], bool(row[2]), *row[3:]) for row in rows}


def _has_key_index(connection: Connection, schema: str, table: str) -> bool:
    sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?, ?) WHERE origin = 'pk')"
    return bool(connection.execute(sql, [table, schema]).fetchone()[0])


def _foreign_keys(connection: Connection, schema: str, table: str) -> "Iterator[ForeignKey]":
    rows = connection.execute(
        'SELECT id, lower("from"), lower("table"), on_update, on_delete'
        " FROM pragma_foreign_key_list(?, ?) ORDER BY id, seq",
        [table, schema],
    )
    for _, key in groupby(rows, itemgetter(0)):
        columns = list(key)
        yield ForeignKey(tuple(row[1] for row in columns), *columns[0][2:])


def _references(connection: Connection, schema: str, table: str) -> "Iterator[Reference]":
    rows = connection.execute(
        'SELECT id, "from", "table", "to", on_delete FROM pragma_foreign_key_list(?, ?) '
        "ORDER BY id, seq",
        [table, schema],
    ).fetchall()
    for _, group in groupby(rows, itemgetter(0)):
        key = list(group)
        parent, to = key[0][2], [row[3] for row in key]
        if None in to:  # the parent's primary key is meant (sqlite.org/foreignkeys.html, 3)
            info = "SELECT name FROM pragma_table_info(?, ?) WHERE pk ORDER BY pk"
            to = [row[0] for row in connection.execute(info, [parent, schema])]
        columns = tuple(fold(row[1]) for row in key)
        if len(to) == len(columns):
            yield Reference(columns, fold(parent), tuple(map(fold, to)), key[0][4])


def _uniques(connection: Connection, schema: str, table: str) -> "Iterator[tuple[str, ...]]":
    rows = connection.execute(
        "SELECT l.name, lower(i.name) FROM pragma_index_list(?1, ?2) AS l, "
        'pragma_index_info(l.name, ?2) AS i WHERE l."unique" AND NOT l.partial'
        " AND l.origin <> 'pk' ORDER BY 1, 2",
        [table, schema],
    )
    for _, index in groupby(rows, itemgetter(0)):
        yield tuple(str(row[1]) for row in index)
