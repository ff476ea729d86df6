"""A connection, its errors in our words, and what is asked of a server."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from undrop import engine
from undrop.engine import Holder
from undrop.errors import DamagedError, UndropError

if TYPE_CHECKING:
    from undrop.postgres.address import Address

Ask = Callable[[str], list[Any]]
"""Runs one statement and gives its rows; without a percent sign, which drivers take for theirs."""
AGAIN = "correct that, then the same command again"
CONNECT = 10  # seconds


def connect(address: "Address", *, autocommit: bool = False) -> "psycopg.Connection[Any]":
    """Open a connection. Raises psycopg.Error."""
    timeout = {"connect_timeout": str(CONNECT), "application_name": "undrop"}
    return psycopg.connect(autocommit=autocommit, **{**timeout, **address.keywords})  # type: ignore[arg-type]  # libpq's keywords


@contextmanager
def opened(
    address: "Address", doing: str, *, autocommit: bool = False
) -> "Iterator[psycopg.Connection[Any]]":
    """A connection for the block, rolled back and closed at its end; errors become ours."""
    with explained(address, doing), closing(connect(address, autocommit=autocommit)) as connection:
        yield connection


@contextmanager
def explained(address: "Address", doing: str) -> Iterator[None]:
    """Turn the server's errors into ours: damage, a lock, or a failure."""
    try:
        yield
    except psycopg.Error as error:
        text = address.hidden(" ".join(str(error).split()))
        if isinstance(error, psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted):
            raise DamagedError(f"the server says: {text}", "just list") from error
        if isinstance(error, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
            raise UndropError(
                f"{doing}: a lock was not to be had for {engine.LOCK_DEADLINE:.0f} seconds"
                f"{describe(address)}",
                "end that program's transaction, then the same command again",
            ) from error
        raise UndropError(f"{doing}: the server says: {text} ({address.label})", AGAIN) from error


def asker(connection: "psycopg.Connection[Any]") -> Ask:
    """How this connection is asked."""

    def ask(sql: str) -> list[Any]:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []

    return ask


def exists(address: "Address") -> bool:
    """Whether there is a database of that name. Raises UndropError when the server cannot tell."""
    try:
        connect(address).close()
    except psycopg.OperationalError as failure:
        # What failed is said in the server's language; another database of its knows.
        for other in ("postgres", "template1"):
            try:
                with closing(connect(address.other(other))) as connection:
                    sql = "SELECT 1 FROM pg_database WHERE datname = %s"
                    if connection.execute(sql, [address.name]).fetchone() is None:
                        return False
            except psycopg.Error:
                continue
            break
        with explained(address, "connecting"):
            raise failure from None
    return True


def holders(address: "Address") -> list[Holder]:
    """Who is connected to the database, ourselves left out."""
    sql = (
        "SELECT pid, coalesce(nullif(application_name, ''), 'somebody') || ' as ' || usename || "
        "coalesce(' from ' || host(client_addr), '') || "
        "CASE WHEN state <> 'idle' THEN ', ' || state ELSE '' END FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_type = 'client backend' "
        "AND pid <> pg_backend_pid() AND application_name <> 'undrop' ORDER BY pid"
    )
    with opened(address, "asking who is connected", autocommit=True) as connection:
        return [Holder(pid, name or "?") for pid, name in connection.execute(sql)]


def describe(address: "Address") -> str:
    """``; connected: psql as bob (pid 7)``; empty when nobody is seen."""
    try:
        names = [f"{holder.name} (pid {holder.pid})" for holder in holders(address)]
    except UndropError:
        return ""
    return f"; connected: {', '.join(names)}" if names else ""
