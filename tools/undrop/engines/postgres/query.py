"""One statement of somebody's that may only read, on a server."""

import re
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.string import TextLoader

from undrop import errors
from undrop.engines.postgres import session
from undrop.values import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.engines.postgres.address import Address

FIRST = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*+(\(|\w+|.)", re.DOTALL)
"""The first word of a statement, whatever comments are before it."""
ROWS, TELLING = {"SELECT", "WITH", "VALUES", "TABLE", "("}, {"SHOW", "EXPLAIN"}
AS_THEY_ARE = {"bool", "int2", "int4", "int8", "float4", "float8", "bytea"}
"""Types whose values are the same in Python; of the others we have the server's text."""
WRONG = (
    psycopg.ProgrammingError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    UnicodeEncodeError,
)
"""What a statement is to blame for."""
BATCH = 1000  # rows that are asked for at once


@contextmanager
def read(address: "Address", sql: str) -> "Iterator[Result]":
    """What it gives, in a read-only transaction with the role's own settings, rolled back.

    Raises UsageError for what does not only read, and with the server's words for what is no
    statement of its; UndropError.
    """
    found = FIRST.match(sql)
    first = found[1].upper() if found else ""
    if first in {"", ";"}:
        raise errors.wrong_query("there is no query in it")
    if first not in ROWS | TELLING:  # COPY writes files of the server's, READ ONLY or not
        raise errors.refused_query(first)
    with (
        session.explained(address, "reading"),
        closing(session.connect(address, patient=False)) as connection,
    ):
        connection.read_only = True
        try:
            yield _asked(connection, sql, in_parts=first in ROWS)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise errors.refused_query(_said(error, address)) from error
        except WRONG as error:
            raise errors.wrong_query(f"the server says: {_said(error, address)}") from error
        except BaseException:
            with suppress(psycopg.Error):
                connection.cancel()  # or the server would work on for nobody
            raise
        finally:
            with suppress(psycopg.Error):
                connection.rollback()


def _asked(
    connection: "psycopg.Connection[tuple[object, ...]]", sql: str, *, in_parts: bool
) -> Result:
    """Either way of asking takes one statement and no second."""
    for kind in connection.adapters.types:
        if kind.name not in AS_THEY_ARE:
            connection.adapters.register_loader(kind.oid, TextLoader)
        connection.adapters.register_loader(kind.array_oid, TextLoader)
    cursor: psycopg.Cursor[Any] | psycopg.ServerCursor[Any]
    if in_parts:
        cursor = connection.cursor("undrop_query")
        cursor.itersize = BATCH
        cursor.execute(sql)
    else:
        connection.prepare_threshold = 1
        cursor = connection.execute(sql, prepare=True)
    names = [column.name for column in cursor.description or ()]
    return Result(names, iter(cursor), [])


def _said(error: Exception, address: "Address") -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else ""
    return address.hidden(" ".join((primary or str(error)).split()))
