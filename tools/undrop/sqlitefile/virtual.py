"""Virtual tables: which of a file's tables are theirs, and whose text they index."""

import sqlite3
from contextlib import closing

from undrop.sqlitefile import statement
from undrop.sqlitefile.connect import Connection

LATE = "(idintegerprimarykey,valueblob)"
"""What FTS3 makes NAME_stat when it merges for the first time, not with the table (its fts3.c,
``sqlite3Fts3CreateStatTable``)."""


def module(sql: str) -> str:
    """The module of a CREATE VIRTUAL TABLE, in small letters; empty for another statement."""
    return _read(sql)[0]


def content(sql: str) -> str | None:
    """Whose text a full-text table indexes: empty for nobody's that is kept, None for its own.

    (sqlite.org/fts5.html, 4.4; fts3.html, 6.2.)
    """
    name, arguments = _read(sql)
    for argument in arguments:
        key, is_option, value = argument.partition("=")
        # FTS5 takes the beginning of an option's name for it; FTS3 has none, and FTS4 no blanks.
        if is_option and (
            (name == "fts5" and key.strip() and "content".startswith(key.strip().lower()))
            or (name == "fts4" and key.lower() == "content")
        ):
            return statement.unquoted(value.strip())
    return None


def shadows(sql: str) -> set[str] | None:
    """The tables that a virtual one keeps what it holds in; None where its module is not here.

    The module is asked: it makes them in a database in memory, of the one statement that this is.
    """
    if not module(sql):
        return None
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        try:
            if text := content(sql):  # FTS4 takes its columns
                [(make,)] = memory.execute("""SELECT printf('CREATE TABLE "%w" (x)', ?)""", [text])
                memory.execute(make)
            known = _tables(memory)
            memory.execute(sql)
            return _tables(memory) - known
        except (sqlite3.Error, sqlite3.Warning):  # a second statement is a Warning
            return None


def is_derived(sql: str) -> bool:
    """Whether a virtual table has nothing of its own that could be read.

    It indexes, or shows, what others have; or it is of FTS4 and keeps no text, not even which rows
    there are (sqlite.org/fts3.html, 6.2.1).
    """
    text = content(sql)
    return bool(text) or (text == "" and module(sql) == "fts4") or shadows(sql) == set()


def defined(connection: Connection, schema: str = "main") -> dict[str, str]:
    """The virtual tables and their definitions; no other is read. Raises sqlite3.Error."""
    sql = f"SELECT name, sql FROM {schema}.sqlite_master WHERE sql LIKE 'create virtual table %'"  # noqa: S608
    return {str(name): str(text) for name, text in connection.ask(sql)}


def kept(connection: Connection, schema: str = "main") -> set[str]:
    """The tables of a schema that virtual ones keep what they hold in. Raises sqlite3.Error.

    SQLite goes by their names alone, which a table of the user's may have, too
    (sqlite.org/vtab.html, 2.13).
    """
    virtual = {name.lower(): text for name, text in defined(connection, schema).items()}
    if not virtual:
        return set()
    made = {name: shadows(text) for name, text in virtual.items()}
    # Which of them SQLite calls shadows depends on what else is attached.
    sql = "SELECT name, type FROM pragma_table_list WHERE schema = ? AND type <> 'view'"
    names = set()
    for name, kind in connection.ask(sql, schema):
        owner, _, suffix = name.lower().rpartition("_")
        if owner not in made:
            continue
        theirs = made[owner]
        may_be_late = suffix == "stat" and module(virtual[owner]) in {"fts3", "fts4"}
        if (
            kind == "shadow"
            if theirs is None
            else name in theirs or (may_be_late and _late(connection, schema, name))
        ):
            names.add(name)
    return names


def _late(connection: Connection, schema: str, name: str) -> bool:
    sql = f"SELECT sql FROM {schema}.sqlite_master WHERE type = 'table' AND name = ?"  # noqa: S608
    [(text,)] = connection.ask(sql, name)
    return "".join(token[0].lower() for token in statement.tokens(text)[3:]) == LATE


def counted(connection: Connection) -> dict[str, str]:
    """Virtual tables with rows of their own, and which other table has as many.

    Their own name would do, and have SQLite read every text. Raises sqlite3.Error.
    """
    there = kept(connection)
    tables = {}
    for name, sql in defined(connection).items():
        made = set() if content(sql) else shadows(sql) or set()
        names = (f"{name}_{suffix}" for suffix in ("content", "docsize", "rowid"))
        if table := next((each for each in names if each in made & there), None):
            tables[name] = table
    return tables


def _tables(connection: sqlite3.Connection) -> set[str]:
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
    return {str(row[0]) for row in connection.execute(sql)}


def _read(sql: str) -> tuple[str, list[str]]:
    """The module and its arguments."""
    tokens = statement.tokens(sql)
    words = [token[0].lower() for token in tokens]
    if words[:3] != ["create", "virtual", "table"] or "using" not in words[4:]:
        return "", []
    at = words.index("using", 4) + 1
    name = statement.unquoted(words[at]) if at < len(words) else ""
    arguments = statement.split(tokens[at + 1 :])[:-1]
    return name, [statement.text(sql, argument) for argument in arguments]
