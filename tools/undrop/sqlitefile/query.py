"""One statement of somebody's that may only read: what it gives, or what of it is refused."""

import re
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from undrop import errors
from undrop.sqlitefile import check, connect, statement, virtual
from undrop.sqlitefile.check import quoted
from undrop.values import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.errors import UsageError
    from undrop.sqlitefile.connect import Connection

T = TypeVar("T")
BATCH = 1000  # rows that are asked for at once
FUNCTION, PRAGMA, UPDATE = sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_PRAGMA, sqlite3.SQLITE_UPDATE
READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
ACTIONS = {
    getattr(sqlite3, f"SQLITE_{name.replace('VIRTUAL TABLE', 'VTABLE').replace(' ', '_')}"): name
    for name in (
        *("ALTER TABLE", "ANALYZE", "ATTACH", "DELETE", "DETACH", "INSERT", "REINDEX"),
        *("SAVEPOINT", "TRANSACTION", "UPDATE", "CREATE VIRTUAL TABLE", "DROP VIRTUAL TABLE"),
        *(
            f"{verb} {temporary}{kind}"
            for verb in ("CREATE", "DROP")
            for temporary in ("", "TEMP ")
            for kind in ("INDEX", "TABLE", "TRIGGER", "VIEW")
        ),
    )
}
"""What an authorizer is asked about (sqlite.org/c3ref/c_alter_table.html), as SQL calls it."""
BEGINS = {"DELETE": "DELETE FROM", "INSERT": "INSERT INTO", "TRANSACTION": ""}
SCHEMA = "sqlite_master"
READONLY = 8  # SQLITE_READONLY
DEFINES = re.compile(
    r"ANALYZE|(CREATE|DROP|ALTER)(\s+(TEMP|TEMPORARY|UNIQUE|VIRTUAL))*\s+\w+", re.I
)
NEVER = connect.NEVER | {"edit", "readfile", "writefile"}
"""Functions that load code, or go to other files."""
TELL = {
    *("application_id", "auto_vacuum", "automatic_index", "busy_timeout", "cache_size"),
    *("cache_spill", "cell_size_check", "collation_list", "compile_options", "data_version"),
    *("database_list", "defer_foreign_keys", "encoding", "foreign_keys", "freelist_count"),
    *("function_list", "journal_mode", "journal_size_limit", "legacy_alter_table"),
    *("locking_mode", "max_page_count", "mmap_size", "module_list", "page_count", "page_size"),
    *("pragma_list", "query_only", "recursive_triggers", "schema_version", "secure_delete"),
    *("synchronous", "temp_store", "threads", "trusted_schema", "user_version"),
    *("wal_autocheckpoint", "writable_schema"),
}
"""Pragmas that only tell something, as long as they are given nothing."""
TELL_OF = {
    *("foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo"),
    *("integrity_check", "quick_check", "table_info", "table_list", "table_xinfo"),
}
"""Those that are given what they tell of."""
WRONG = {1, 18, 20, 25}
"""SQLITE_ERROR, TOOBIG, MISMATCH and RANGE (sqlite.org/rescode.html): it is the statement."""


class _Guard:
    """An authorizer that lets reading through, and knows what it refused first."""

    def __init__(self) -> None:
        self.refused = ""

    def __call__(self, action: int, one: str | None, two: str | None, *_: str | None) -> int:
        # Where a module declares a table of its own, SQLite asks about that; query_only is on.
        if action in READS or (action == UPDATE and one == SCHEMA):
            return sqlite3.SQLITE_OK
        if action == FUNCTION:
            said = f"{two}()" if (two or "").lower() in NEVER else ""
        elif action == PRAGMA:
            name = (one or "").lower()
            tells = name in TELL_OF or (two is None and name in TELL)
            said = "" if tells else f"PRAGMA {one}{'' if two is None else f' = {two}'}"
        else:
            name = ACTIONS.get(action, "a change")
            said = f"{BEGINS.get(name, name)} {one or ''}".strip()
        self.refused = self.refused or said
        return sqlite3.SQLITE_DENY if said else sqlite3.SQLITE_OK


def read(connection: "Connection", sql: str) -> Result:
    """What one statement gives, in the transaction that is open.

    ``connection`` reads nothing else from then on. Texts that are no UTF-8 keep their bytes, by
    surrogates. Raises UsageError for what does not only read, and with SQLite's words for what is
    no statement of its; sqlite3.Error.
    """
    words = [token[0] for token in statement.tokens(sql)]
    if not {*words} - {";"}:
        raise errors.wrong_query("there is no query in it")
    if words[0].upper() == "VACUUM":  # no authorizer is asked
        raise errors.refused_query("VACUUM")
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    _connect_virtual(connection)
    connection.execute("PRAGMA query_only = ON")
    guard, defined = _Guard(), _definitions(connection)
    try:
        cursor = _run(connection, sql, guard, defined)
    except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
        raise _told(error, sql, guard) or error from error
    if cursor.description is None:  # REINDEX, where there is nothing to be asked about
        raise errors.refused_query(words[0].upper())
    names = [str(column[0]) for column in cursor.description]
    return Result(names, _rows(connection, cursor, sql, guard), _notes(connection))


def _run(connection: "Connection", sql: str, guard: _Guard, defined: set[str]) -> sqlite3.Cursor:
    """Begin it; as ``Connection.execute``, but for functions that the schema does not name."""
    while True:
        connection.set_authorizer(guard)
        try:
            return _beside(connection, lambda: sqlite3.Connection.execute(connection, sql))
        except sqlite3.Error as error:
            connection.set_authorizer(None)
            missing = connect.FUNCTION.fullmatch(str(error))
            misspelt = missing and missing[1].lower() not in defined
            if misspelt or guard.refused or not connection.can_do_without(str(error)):
                raise


def _rows(
    connection: "Connection", cursor: sqlite3.Cursor, sql: str, guard: _Guard
) -> "Iterator[tuple[Any, ...]]":
    """The rows, as many at once as are worth a thread; Ctrl-C need not wait for them."""
    while True:
        try:
            rows = _beside(connection, lambda: cursor.fetchmany(BATCH))
        except sqlite3.Error as error:
            raise _told(error, sql, guard) or error from error
        if not rows:
            return
        yield from rows


def _beside(connection: "Connection", work: "Callable[[], T]") -> "T":
    done: list[T] = []
    with check.beside([connection], lambda: done.append(work()), lambda: None):
        pass
    return done[0]


def _connect_virtual(connection: "Connection") -> None:
    """Have the modules do what they do at first: R-Tree's prepares statements that write."""
    for name in virtual.defined(connection):
        with suppress(sqlite3.Error):  # whose module is not here, or is not asked about
            connection.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 0")  # noqa: S608


def _definitions(connection: "Connection") -> set[str]:
    """All words in the schema's definitions, in small letters."""
    texts = connection.ask("SELECT sql FROM sqlite_master WHERE sql <> ''")
    return {token[0].lower() for (text,) in texts for token in statement.tokens(text)}


def _notes(connection: "Connection") -> list[str]:
    """What is not as the application would have it."""
    functions = [
        f"what {name}() gives, only its application knows: NULL stands for it"
        for name in sorted(connection.functions)
    ]
    collations = [
        f"the order by {name} only its application knows: bytes stand for it"
        for name in sorted(connection.collations)
    ]
    return functions + collations


def _told(error: Exception, sql: str, guard: _Guard) -> "UsageError | None":
    """What is wrong with a statement; None where it is the file, or somebody's lock."""
    if guard.refused:
        defines = DEFINES.match(sql.lstrip())
        return errors.refused_query(
            " ".join(defines[0].upper().split()) if defines else guard.refused
        )
    code = connect.primary_code(error) if isinstance(error, sqlite3.Error) else 1
    if code == READONLY:
        return errors.refused_query("a change")
    if code not in WRONG:
        return None
    return errors.wrong_query(f"SQLite says: {error}")
