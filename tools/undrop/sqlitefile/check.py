"""Is this file a whole database? Header arithmetic, digest, quick_check, and what it holds."""

import re
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from undrop import digest, durable, errors
from undrop.sqlitefile import connect, header, virtual
from undrop.sqlitefile.connect import Connection
from undrop.values import Definitions, Examined, Facts, version_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from undrop.values import Progress, Session

CONTENT = r"ok$|NULL value in|\*\*\* in database"
"""Lines of a check that tell of content, or of nothing."""
UNKNOWN_PAGES = r"|Page \d+(:| is) never used$|max rootpage"
"""Those that follow where the definition of what they belong to could not be read."""
UNKNOWN_ORDER = r"|row not in PRIMARY KEY order"
"""Those that follow where bytes stand in for an application's collation."""
MISMATCH = re.compile(r'foreign key mismatch - ".*" referencing "(.*)"', re.DOTALL)
LITESTREAM = frozenset({"_litestream_lock", "_litestream_seq"})
"""Tables that Litestream makes when it opens a database (its db.go, ``init``) and writes by itself:
they are no part of what anybody did."""


def verify(path: "Path", session: "Session", known: str = "", *, written: bool = False) -> Facts:
    """Read a file that nobody writes back from the disk, through a connection of its own.

    Its digest is ``known``, or is found out while SQLite checks. A file that we have just
    ``written`` is forced to the disk meanwhile: it reads no slower. Raises OSError, DamagedError
    when its size is not what its header says or ``quick_check`` finds anything, UndropError when
    it cannot be read.
    """
    claimed = header.read(path)
    size = claimed.page_size * claimed.pages
    with connect.explained(path, "checking"):
        connection = connect.connect(path, "immutable")
        try:
            connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
            with _quick_check_beside(connection, session.progress):
                bytes_digest = known or digest.of(path, session.progress, size)
                if written:
                    durable.sync_path(path)
            counts = rows(connection)
            return Facts(
                bytes=size,
                digest=bytes_digest,
                user_version=_number(connection, "PRAGMA user_version"),
                application_id=_number(connection, "PRAGMA application_id"),
                revisions=revisions(connection, session.version_table),
                filled=[table for table, count in counts.items() if count],
                rows=counts,
                check=", ".join(filter(None, ("ok", not_checked(connection)))),
            )
        finally:
            connection.close()


def live(path: "Path", session: "Session") -> None:
    """``quick_check`` the live database, in use or not. Raises DamagedError, UndropError."""
    with connect.explained(path, "checking", session.patience):
        connection = connect.connect(path, "rw")
        try:
            connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
            connect.begin(
                connection, session.patience, "BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1"
            )
            with _quick_check_beside(connection, session.progress):
                pass
        finally:
            connection.close()


@contextmanager
def _quick_check_beside(connection: Connection, progress: "Progress") -> "Iterator[None]":
    """``quick_check`` while the block does its own work."""
    with beside([connection], lambda: quick_check(connection), lambda: progress("check", 1, 1)):
        yield


@contextmanager
def beside(
    connections: "Sequence[sqlite3.Connection]",
    work: "Callable[[], object]",
    tick: "Callable[[], None]",
) -> "Iterator[None]":
    """Long SQL in a thread, so that Ctrl-C and the block's own work need not wait for it.

    Calls ``tick`` while the block is done and the work is not; raises what the work raised.
    """
    errors: list[BaseException] = []
    # A thread whose join() a signal interrupts counts as ended, and is not (Python 3.11); one whose
    # start() it interrupts may work or not.
    began, ended, given_up = threading.Event(), threading.Event(), False

    def run() -> None:
        began.set()
        try:
            if not given_up:
                work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            ended.set()

    try:
        threading.Thread(target=run, daemon=True).start()
        yield
        while not ended.wait(0.2):
            tick()
    finally:
        given_up = True
        while began.is_set() and not ended.wait(0.01):
            for connection in connections:
                connection.interrupt()
    if errors:
        raise errors[0]


def quick_check(connection: Connection) -> None:
    """Raise DamagedError unless ``PRAGMA quick_check`` finds the file whole."""
    if found := _problems(connection, "quick_check"):
        raise errors.damaged(found)


def examine(connection: Connection) -> Examined:
    """What is wrong with the project's own database, its indexes and foreign keys included.

    Raises DamagedError, sqlite3.Error.
    """
    by = "integrity_check and foreign_key_check"
    problems = [*filter(None, [_problems(connection, "integrity_check")])]
    if connection.functions or connection.collations:  # an index is by what they really give
        by = "quick_check and foreign_key_check"
        quick_check(connection)
        problems = []
    by = ", ".join(filter(None, (by, not_checked(connection))))
    problems += [key.broken(count) for key, count in orphans(connection).items()]
    return Examined(by, problems)


def _problems(connection: Connection, pragma: str) -> str:
    """The first few lines of what a check finds.

    Every cell's size is looked at (``cell_size_check``). Rows that break a NOT NULL or a CHECK are
    content, not damage: they were there before, and a copy without them would be wrong.
    """
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    most = 1000
    while len(rows := connection.ask(f"PRAGMA {pragma}({most})")) == most:
        most *= 10  # so many NULLs may hide what comes after them
    lines = [line for row in rows for line in str(row[0]).split("\n")]
    passed = CONTENT
    if connection.unread:
        passed += UNKNOWN_PAGES
    if connection.collations:
        passed += UNKNOWN_ORDER
    problems = [line for line in lines if not re.match(passed, line)]
    text = "; ".join(problems[:3])
    return f"{pragma} finds: {text}" if text else ""


def not_checked(connection: Connection) -> str:
    """What could not be looked at, and why; empty where that is nothing."""
    parts = []
    if connection.unread:
        names = ", ".join(sorted(not_loaded(connection) | connection.unread.keys()))
        said = "; ".join(f"{name}: {text}" for name, text in connection.unread.items())
        parts = [f"{names} (this SQLite, {sqlite3.sqlite_version}, cannot read {said})"]
    parts += [
        f"{name} (this SQLite, {sqlite3.sqlite_version}, cannot read it: {said})"
        for name, said in _without_module(connection).items()
    ]
    own = f"(this SQLite, {sqlite3.sqlite_version}, does not have it)"
    parts += [f"what {name}() gives {own}" for name in sorted(connection.functions)]
    parts += [f"the order by {name} {own}" for name in sorted(connection.collations)]
    return f"not checked: {'; '.join(parts)}" if parts else ""


def _without_module(connection: Connection) -> dict[str, str]:
    """Virtual tables that only their application, or a newer SQLite, can open, and what is said."""
    sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual'"
    said: dict[str, str] = {}
    for (name,) in connection.ask(sql):
        try:
            connection.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 0")  # noqa: S608 - its own
        except sqlite3.OperationalError as error:
            said[str(name)] = str(error)
    return said


def not_loaded(connection: Connection, schema: str = "main") -> set[str]:
    """Tables, views and indexes whose definition this SQLite cannot read."""
    if not connection.unread:
        return set()
    sql = (
        f"SELECT name FROM {schema}.sqlite_master WHERE type IN ('table', 'view') "  # noqa: S608
        "AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema = ?1) UNION ALL "
        f"SELECT name FROM {schema}.sqlite_master AS m WHERE type = 'index' "
        "AND name NOT IN (SELECT name FROM pragma_index_list(m.tbl_name, ?1))"
    )
    return {str(row[0]) for row in connection.ask(sql, schema)}


def revisions(connection: Connection, version_table: str) -> list[str]:
    """The revision(s) of this database; none without a version table (``values.VersionTable``)."""
    for table in version_tables(version_table):
        columns = connection.ask("SELECT lower(name) FROM pragma_table_info(?)", table.name)
        if table.columns <= {name for (name,) in columns}:
            sql = f"SELECT {table.revision} FROM {quoted(table.name)} ORDER BY {table.order}"  # noqa: S608
            rows = [str(revision) for (revision,) in connection.ask(sql)]
            return rows if table.every else rows[-1:]
    return []


def rows(connection: Connection) -> dict[str, int]:
    """Rows by table, but for SQLite's own and Litestream's, which it writes by itself.

    Of virtual tables those count that keep rows of their own, where their module is here.
    """
    sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow')"
    tables = {str(row[0]): str(row[0]) for row in connection.execute(sql)}
    for name in virtual.kept(connection):
        del tables[name]
    tables |= virtual.counted(connection)
    return {
        name: int(connection.ask(f"SELECT count(*) FROM {quoted(tables[name])}")[0][0])  # noqa: S608
        for name in sorted(tables)
        if not name.startswith("sqlite_") and name not in LITESTREAM
    }


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


class Key(NamedTuple):
    """A foreign key."""

    table: str
    columns: tuple[str, ...]
    """Empty where SQLite cannot check it: the parent's columns are not unique, or are not there."""
    parent: str

    def broken(self, count: int) -> str:
        """What is wrong with so many of its rows, for people."""
        if not self.columns:
            return f"a foreign key of {self.table} does not fit {self.parent}"
        return f"{count:,} row(s) of {self.table} point to no row of {self.parent}"


def foreign_key_violations(
    path: "Path", passed_over: "Callable[[str, set[str]], bool]" = lambda _table, _parents: False
) -> dict[Key, int]:
    """Rows of a file nobody writes whose foreign key points nowhere.

    ``passed_over`` is asked about each table and its parents.
    """
    connection = connect.connect(path, "immutable")
    try:
        connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
        return orphans(connection, passed_over)
    finally:
        connection.close()


def orphans(
    connection: Connection,
    passed_over: "Callable[[str, set[str]], bool]" = lambda _table, _parents: False,
) -> dict[Key, int]:
    """The same of what a connection has open. Raises sqlite3.Error."""
    counts: dict[Key, int] = {}
    unread = not_loaded(connection)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    for (table,) in tables.fetchall():
        keys = foreign_keys(connection, table)
        parents = {key.parent for key in keys.values()}
        if not keys or passed_over(table, parents):
            continue
        sql = "SELECT fkid, count(*) FROM pragma_foreign_key_check(?) GROUP BY fkid"
        try:
            rows = connection.ask(sql, table)
            unknown = _unknown_order(connection, table)
            for number, count in rows:
                if keys[number].parent not in unread and number not in unknown:
                    counts[keys[number]] = count
        except sqlite3.OperationalError as error:
            mismatch = MISMATCH.search(str(error))
            if not mismatch:
                raise
            counts[Key(table, (), mismatch[1])] = 1
    return counts


def _unknown_order(connection: Connection, table: str) -> set[int]:
    """Its foreign keys whose parent is looked for in the order of an application's collation.

    The parent's index is the one that has that (sqlite.org/foreignkeys.html#fk_indexes).
    """
    if not connection.collations:
        return set()
    sql = (
        'SELECT f.id, c.coll FROM pragma_foreign_key_list(?) AS f, pragma_index_list(f."table") AS '
        'i, pragma_index_xinfo(i.name) AS c WHERE i."unique" AND c.key AND '
        """(c.name = f."to" COLLATE NOCASE OR f."to" IS NULL AND i.origin = 'pk')"""
    )
    own = {name.casefold() for name in connection.collations}
    return {number for number, name in connection.ask(sql, table) if name.casefold() in own}


def foreign_keys(connection: Connection, table: str) -> dict[int, Key]:
    """Those of a table by SQLite's number. Raises sqlite3.Error."""
    sql = 'SELECT id, "table", "from" FROM pragma_foreign_key_list(?) ORDER BY id, seq'
    keys: dict[int, Key] = {}
    for number, parent, column in connection.ask(sql, table):
        known = keys.get(number, Key(table, (), parent))
        keys[number] = known._replace(columns=(*known.columns, column))
    return keys


def tables(path: "Path", mode: str = "immutable") -> dict[str, str]:
    """The tables in a file, opened in that mode, and their definitions."""
    connection = connect.connect(path, mode)
    try:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        return {str(name): str(sql) for name, sql in rows}
    finally:
        connection.close()


def litestream(path: "Path") -> dict[str, str]:
    """Litestream's own tables in a file nobody writes, and their definitions. Raises UndropError.

    Nothing else is read: another table's definition may be damaged.
    """
    with connect.explained(path, "looking for Litestream's tables"):
        connection = connect.connect(path, "immutable")
        try:
            marks = ", ".join("?" * len(LITESTREAM))
            sql = f"SELECT name, sql FROM sqlite_master WHERE name IN ({marks})"  # noqa: S608
            return dict(connection.execute(sql, sorted(LITESTREAM)).fetchall())
        finally:
            connection.close()


def _number(connection: Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])


def has_table(path: "Path") -> bool:
    """Whether there is any: a file with none is nobody's backup unless a record vouches for it."""
    return not tables(path).keys() <= LITESTREAM


def definitions(path: "Path", version_table: str) -> Definitions:
    """Those of a file nobody writes. Raises UndropError."""
    with connect.explained(path, "reading the schema"):
        connection = connect.connect(path, "immutable")
        try:
            return defined(connection, version_table)
        finally:
            connection.close()


def defined(connection: Connection, version_table: str) -> Definitions:
    """Those of what a connection has open. Raises sqlite3.Error."""
    sql = "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
    rows = connection.execute(sql).fetchall()
    # ANALYZE's tables are sqlite_'s own, too.
    found = [row for row in rows if not row[1].startswith("sqlite_") and row[1] not in LITESTREAM]
    return Definitions(found, revisions(connection, version_table))
