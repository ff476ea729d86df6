"""What a merge has worked out, done in one transaction: to a work copy, then maybe to live.

The statements are the same both times, and so are the pages that they begin with: what they lead
to is known when live is changed.
"""

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from undrop.compare.merge import Ops, identity
from undrop.compare.refused import HAS_CHILDREN, NO_PARENT, Refused
from undrop.compare.structure import fold
from undrop.sqlitefile import connect, virtual
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.compare.structure import Table

FULL_TEXT = {"fts3", "fts4", "fts5"}
WRITES = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}


class Script(NamedTuple):
    """What is done to a database, besides what stands in the file of operations."""

    ops: list[Ops]
    first: list[str]
    """Statements that come before everything else."""
    aside: list[str]
    """Triggers that are set aside meanwhile."""
    triggers: dict[str, str]
    """Those of the same tables, and their definitions, in the order in which they were made: SQLite
    fires them by that."""
    counters: dict[str, int]
    """What AUTOINCREMENT must not fall below, by table."""
    numbers: dict[str, int]
    """``user_version`` and ``application_id``, where they change."""
    rebuilt: list[str]
    """Full-text indexes that are made anew from the rows that they are of."""


def opened(path: "Path", operations: "Path", operations_mode: str = "rw") -> sqlite3.Connection:
    """A database that is to be written to, with the file of operations attached.

    What an application's own functions give is not guessed here: without them SQLite refuses. Its
    triggers may write to virtual tables, as they may in the application
    (sqlite.org/pragma.html#pragma_trusted_schema).
    """
    connection = sqlite3.connect(
        connect.uri(path, "rw"),
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    # It does nothing inside of a transaction (sqlite.org/pragma.html#pragma_foreign_keys).
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(f"ATTACH '{connect.uri(operations, operations_mode)}' AS ops")
    return connection


def run(connection: sqlite3.Connection, script: Script) -> list[Refused]:
    """Do it all, in the transaction that is open; what the database refuses is returned.

    Where there is any, the rest is done or not: the transaction is to be taken back.
    Raises sqlite3.Error.
    """
    for statement in script.first:
        connection.execute(statement)
    for name in script.aside:
        connection.execute(f"DROP TRIGGER main.{quoted(name)}")
    refused: list[Refused] = []
    for ops in script.ops:
        refused += _Table(connection, ops).run()
    for name in script.triggers.keys() - {*script.aside}:
        connection.execute(f"DROP TRIGGER main.{quoted(name)}")
    for definition in script.triggers.values():
        connection.execute(definition)
    for name in script.rebuilt:
        text = quoted(name)
        connection.execute(f"INSERT INTO main.{text}({text}) VALUES ('rebuild')")  # noqa: S608
    for name, last in script.counters.items():
        _count_on(connection, name, last)
    for name, number in script.numbers.items():
        connection.execute(f"PRAGMA main.{name} = {number}")
    return refused


def _count_on(connection: sqlite3.Connection, name: str, last: int) -> None:
    """AUTOINCREMENT gives no number out again (sqlite.org/autoinc.html)."""
    sql = "UPDATE main.sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
    if not connection.execute(sql, [last, name]).rowcount:
        connection.execute("INSERT INTO main.sqlite_sequence VALUES (?, ?)", [name, last])


@contextmanager
def _taken_back(connection: sqlite3.Connection) -> "Iterator[None]":
    """Nothing of the block stays where it fails."""
    connection.execute("SAVEPOINT undrop_part")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO undrop_part")
        raise
    finally:
        if connection.in_transaction:
            connection.execute("RELEASE undrop_part")


class _Table:
    def __init__(self, connection: sqlite3.Connection, ops: Ops) -> None:
        self.connection, self.ops = connection, ops
        table = ops.table
        self.name = f"main.{quoted(table.name)}"
        self.identity = identity(table)
        self.data = [quoted(column.name) for column in table.data]
        self.rowid = "" if table.key_is_rowid else quoted(table.rowid_name or "")
        self.given = [
            n for n, column in enumerate(table.data) if fold(column.name) in self._placed()
        ]

    def _placed(self) -> set[str]:
        return {fold(column.ours.name) for column in self.ops.match.shared}

    def run(self) -> list[Refused]:
        """Rows go, change, come."""
        self._delete("gone")
        return [*self._change(), *self._put("put", self.given)]

    def _delete(self, does: str) -> None:
        if not self.identity:
            return
        ids = ", ".join(f"i{n}" for n in range(len(self.identity)))
        known = ", ".join(self.identity)
        self.connection.execute(
            f"DELETE FROM {self.name} WHERE ({known}) IN "  # noqa: S608 - quoted
            f"(SELECT {ids} FROM {self.ops.rows} WHERE does = '{does}')"
        )

    def _change(self) -> list[Refused]:
        """In place; where rows take one another's unique values, all of them go and come again."""
        sql = f"SELECT 1 FROM {self.ops.rows} WHERE does = 'change' LIMIT 1"  # noqa: S608 - ours
        if not self.connection.execute(sql).fetchone():
            return []
        keys = {fold(column.ours.name) for column in self.ops.match.key}
        named = [(n, c) for n, c in enumerate(self.ops.table.data) if fold(c.name) not in keys]
        sets = ", ".join(f"{quoted(column.name)} = x.d{n}" for n, column in named)
        where = " AND ".join(f"t.{name} = x.i{n}" for n, name in enumerate(self.identity))
        try:
            with _taken_back(self.connection):
                self.connection.execute(
                    f"UPDATE OR ABORT {self.name} AS t SET {sets} "  # noqa: S608 - quoted
                    f"FROM {self.ops.rows} AS x WHERE x.does = 'change' AND {where}"
                )
        except sqlite3.IntegrityError:
            self._delete("change")
            return self._put("change", range(len(self.data)))
        return []

    def _put(self, does: str, columns: "range | list[int]") -> list[Refused]:
        names = [self.data[n] for n in columns]
        values = [f"d{n}" for n in columns]
        if self.rowid not in {"", '""'}:
            names, values = [*names, self.rowid], [*values, "r"]
        insert = (
            f"INSERT OR ABORT INTO {self.name} ({', '.join(names)}) "  # noqa: S608 - quoted
            f"SELECT {', '.join(values)} FROM {self.ops.rows} WHERE does = '{does}'"
        )
        order = "ORDER BY r IS NULL, n"  # what has a rowid takes that before others are given one
        try:
            with _taken_back(self.connection):
                self.connection.execute(f"{insert} {order}")
        except sqlite3.IntegrityError:
            return self._one_by_one(insert, does, order)
        return []

    def _one_by_one(self, insert: str, does: str, order: str) -> list[Refused]:
        """Which rows it is, and what SQLite says of each."""
        numbers = self.connection.execute(
            f"SELECT n FROM {self.ops.rows} WHERE does = '{does}' {order}"  # noqa: S608 - ours
        ).fetchall()
        refused = []
        for (n,) in numbers:
            try:
                self.connection.execute(f"{insert} AND n = {n}")
            except sqlite3.IntegrityError as error:
                if not self._is_there(n):
                    refused.append(Refused(self.ops, n, str(error), self._taken(n, str(error))))
        return refused

    def _taken(self, n: int, said: str) -> dict[str, object] | None:
        """Of the row that has what is unique already, that and its key; None where none has."""
        table = self.ops.table
        sql = (
            "SELECT group_concat(i.name, char(0)) FROM pragma_index_list(?) AS l, "
            'pragma_index_info(l.name) AS i WHERE l."unique" AND NOT l.partial GROUP BY l.name'
        )
        at = {column.name: place for place, column in enumerate(table.data)}
        for (listed,) in self.connection.execute(sql, [table.name]).fetchall():
            names = (listed or "").split("\0")
            told = ", ".join(f"{table.name}.{name}" for name in names)
            if said.endswith(f": {told}") and {*names} <= at.keys():
                keys = [c.ours.name for c in self.ops.match.key if c.ours.name not in names]
                same = " AND ".join(f"t.{quoted(name)} = x.d{at[name]}" for name in names)
                found = self.connection.execute(
                    f"SELECT {', '.join(f't.{quoted(name)}' for name in [*keys, *names])} "  # noqa: S608
                    f"FROM {self.name} AS t, {self.ops.rows} AS x WHERE x.n = {n} AND {same}"
                ).fetchone()
                return dict(zip([*keys, *names], found, strict=True)) if found else None
        return None

    def _is_there(self, n: int) -> bool:
        """Whether a trigger put the row of a full-text table in already."""
        if not (self.ops.table.virtual and self.identity):
            return False
        values = " AND ".join(f"t.{name} IS x.d{at}" for at, name in enumerate(self.data))
        sql = (
            f"SELECT 1 FROM {self.name} AS t, {self.ops.rows} AS x "  # noqa: S608 - quoted
            f"WHERE x.n = {n} AND t.{self.identity[0]} = x.r AND {values}"
        )
        return bool(self.connection.execute(sql).fetchall())


class ForeignKeys:
    """Which of the operations leave a row without the row that it points to.

    What pointed nowhere before is nobody's doing.
    """

    def __init__(self, connection: sqlite3.Connection, ops: list[Ops]) -> None:
        self._connection = connection
        self._ops = {fold(each.table.name): each for each in ops}
        self._keys = list(self._read())
        self._known = self._before()

    def _read(self) -> "Iterator[_ForeignKey]":
        """Those of tables that change, and to tables that do."""
        sql = (
            'SELECT m.name, f.id, f."table", f."from", f."to" FROM main.sqlite_master AS m, '
            "pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table' ORDER BY 1, 2, f.seq"
        )
        known: dict[tuple[str, int], _ForeignKey] = {}
        for child, number, parent, column, to in self._connection.execute(sql).fetchall():
            key = known.setdefault((child, number), _ForeignKey(child, parent, [], []))
            key.columns.append(column)
            key.to.append(to)
        for key in known.values():
            if not {fold(key.child), fold(key.parent)} & self._ops.keys():
                continue
            if None in key.to:
                info = "SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk"
                key.to[:] = [row[0] for row in self._connection.execute(info, [key.parent])]
            if len(key.to) == len(key.columns):  # else SQLite cannot check it either
                yield key

    def _before(self) -> set[tuple[str, int, int]]:
        """Operations on rows that point nowhere already, by table, its key and number."""
        known = set()
        for at, key in enumerate(self._keys):
            ops = self._ops.get(fold(key.child))
            if ops is None or key.places(ops, key.columns) is None:
                continue
            old = key.orphan(ops, "o", "x")
            new = key.unchanged(ops)
            sql = f"SELECT n FROM {ops.rows} AS x WHERE does = 'change' AND {old} AND {new}"  # noqa: S608
            known |= {(fold(key.child), at, n) for (n,) in self._connection.execute(sql)}
        return known

    def broken(self) -> list[Refused]:
        """Once it is all done: new rows without a parent; where there are none, lost parents."""
        refused: dict[tuple[int, int], Refused] = {}
        for at, key in enumerate(self._keys):
            ops = self._ops.get(fold(key.child))
            if ops is None or key.places(ops, key.columns) is None:
                continue
            sql = f"SELECT n FROM {ops.rows} AS x WHERE does <> 'gone' AND {key.orphan(ops, 'd', 'x')}"  # noqa: S608, E501
            for (n,) in self._connection.execute(sql).fetchall():
                if (fold(key.child), at, n) not in self._known:
                    refused[ops.number, n] = Refused(ops, n, f"{NO_PARENT} ({key.parent})")
        if refused:
            return [*refused.values()]
        for key in self._keys:
            ops = self._ops.get(fold(key.parent))
            if ops is None or key.places(ops, key.to) is None:
                continue
            for (n,) in self._connection.execute(key.left_behind(ops)).fetchall():
                refused[ops.number, n] = Refused(ops, n, f"{HAS_CHILDREN} ({key.child})")
        return [*refused.values()]


class _ForeignKey(NamedTuple):
    child: str
    parent: str
    columns: list[str]
    to: list[str]

    @staticmethod
    def places(ops: Ops, names: list[str]) -> list[int] | None:
        """Which of a table's values these are; None for computed ones, which nobody writes."""
        at = {fold(column.name): n for n, column in enumerate(ops.table.data)}
        numbers = [at.get(fold(name), -1) for name in names]
        return None if -1 in numbers else numbers

    def orphan(self, ops: Ops, side: str, alias: str) -> str:
        """SQL for: the row's values point somewhere, and nothing is there."""
        values = [f"{alias}.{side}{n}" for n in self.places(ops, self.columns) or ()]
        set_ = " AND ".join(f"{value} IS NOT NULL" for value in values)
        match = " AND ".join(
            f"p.{quoted(name)} = {value}" for name, value in zip(self.to, values, strict=True)
        )
        return (
            f"{set_} AND NOT EXISTS (SELECT 1 FROM main.{quoted(self.parent)} AS p WHERE {match})"  # noqa: S608
        )

    def unchanged(self, ops: Ops) -> str:
        """SQL for: it points to where it did."""
        return " AND ".join(f"x.o{n} IS x.d{n}" for n in self.places(ops, self.columns) or ())

    def left_behind(self, ops: Ops) -> str:
        """SQL for the operations that took a parent away which rows point to still."""
        places = self.places(ops, self.to) or []
        there = " AND ".join(
            f"p.{quoted(name)} = x.o{n}" for name, n in zip(self.to, places, strict=True)
        )
        point = " AND ".join(
            f"x.o{n} = c.{quoted(name)}" for name, n in zip(self.columns, places, strict=True)
        )
        gone = (
            f"SELECT * FROM {ops.rows} AS x WHERE does <> 'put' AND "  # noqa: S608 - quoted
            f"NOT EXISTS (SELECT 1 FROM main.{quoted(self.parent)} AS p WHERE {there})"
        )
        return (
            f"SELECT DISTINCT x.n FROM main.{quoted(self.child)} AS c CROSS JOIN "  # noqa: S608
            f"({gone}) AS x ON {point}"
        )


def triggers(
    path: "Path", tables: "list[Table]"
) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """By table, its triggers that do more than keep full-text tables, and what the others keep.

    Names of tables are folded. Nobody writes the file.

    SQLite's own authorizer tells what each writes (sqlite.org/c3ref/set_authorizer.html), when a
    statement that fires it is prepared.
    """
    with closing(sqlite3.connect(connect.uri(path, "immutable"), uri=True)) as connection:
        return _triggers(connection, tables)


def _triggers(
    connection: sqlite3.Connection, tables: "list[Table]"
) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    text = {
        name
        for name, sql in connection.execute(
            "SELECT name, sql FROM main.sqlite_master WHERE sql LIKE 'create virtual table %'"
        )
        if virtual.module(sql) in FULL_TEXT
    }
    aside: dict[str, list[str]] = {}
    kept: dict[str, set[str]] = {}
    for table in tables:
        defined = definitions(connection, table.name)
        if not defined:
            continue
        writes = _writes(connection, table, set(defined))
        for name in defined:
            written = writes.get(name) if writes is not None else None
            if written and written <= text:
                kept.setdefault(fold(table.name), set()).update(map(fold, written))
            else:
                aside.setdefault(fold(table.name), []).append(name)
    return aside, kept


def definitions(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The triggers of a table, in the order in which they were made."""
    sql = (
        "SELECT name, sql FROM main.sqlite_master "
        "WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY rowid"
    )
    return dict(connection.execute(sql, [table]).fetchall())


def _writes(
    connection: sqlite3.Connection, table: "Table", names: set[str]
) -> dict[str, set[str]] | None:
    """What each trigger writes to; None where SQLite cannot prepare one of them."""
    writes: dict[str, set[str]] = {}

    def note(action: int, one: str | None, _two: object, _schema: object, by: str | None) -> int:
        if by in names and action in WRITES and one:
            writes.setdefault(str(by), set()).add(one)
        return sqlite3.SQLITE_OK

    columns = ", ".join(f"{quoted(c.name)} = {quoted(c.name)}" for c in table.data)
    name = quoted(table.name)
    connection.set_authorizer(note)
    try:
        for sql in (
            f"INSERT INTO main.{name} DEFAULT VALUES",
            f"DELETE FROM main.{name}",  # noqa: S608 - it is only explained
            f"UPDATE main.{name} SET {columns}",  # noqa: S608
        ):
            connection.execute(f"EXPLAIN {sql}").fetchall()
    except sqlite3.Error:
        return None
    finally:
        connection.set_authorizer(None)
    return writes
