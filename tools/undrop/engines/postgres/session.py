"""A connection, its settings, and its errors in our words."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg

from undrop.engines.postgres import locks
from undrop.errors import DamagedError, UndropError, UsageError
from undrop.recipes import Action

if TYPE_CHECKING:
    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.catalogs import Ask

AGAIN = "correct that, then the same command again"
CONNECT = 10  # seconds
SETTINGS = (
    "SELECT pg_catalog.set_config(s.name, n.value, {}) FROM (VALUES "
    # What the text of a value depends on.
    "('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'), "
    "('extra_float_digits', '3'), ('bytea_output', 'hex'), ('lc_monetary', 'C'), "
    "('xmloption', 'content'), ('row_security', 'off'), "
    # What a role may have set, and would end our work half way, or lead our names elsewhere.
    "('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), "
    "('transaction_timeout', '0'), ('idle_session_timeout', '0'), ('search_path', ''), "
    "('quote_all_identifiers', 'off'), ('client_encoding', 'UTF8'), "
    # A backslash in a literal of ours is one, or a pattern would find nothing.
    "('standard_conforming_strings', 'on'), "
    # With more of it, planning a query would evaluate a table's CHECKs.
    "('constraint_exclusion', 'partition'), "
    # Compiling takes longer than what we ask of the catalogs.
    "('jit', 'off')"
    ") AS n (name, value) JOIN pg_catalog.pg_settings s ON s.name OPERATOR(pg_catalog.=) n.name"
)
LOCAL, LASTING = SETTINGS.format("true"), SETTINGS.format("false")
"""For the transaction that it is said in; for the session."""
GUARDED = (
    "SELECT pg_catalog.set_config(s.name, 'view, foreign-table', true) FROM pg_catalog.pg_settings "
    "s WHERE s.name OPERATOR(pg_catalog.=) 'restrict_nonsystem_relation_kind'"
)
"""For a transaction that reads what others own, as pg_dump does: a view that takes a table's place
runs none of its owner's functions (runtime-config-client.html, 20.11.1; not in each release)."""


PATIENT = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0"
"""From the first message on: said later, what a database has set may have ended the session."""
REFUSED = re.compile("startup parameter|command-line options")
"""What PgBouncer and the like say of a session's own settings, whatever the language."""


def patiently(address: "Address") -> "Address":
    """The same, without the timeouts that a role or the database may have set.

    For pg_dump as well, which turns them off only after its first statements.
    """
    given = address.keywords.get("options") or os.environ.get("PGOPTIONS", "")
    return address._replace(keywords={**address.keywords, "options": f"{given} {PATIENT}".strip()})


def connect(
    address: "Address", *, autocommit: bool = False, patient: bool = True
) -> "psycopg.Connection[Any]":
    """Open a connection. Raises psycopg.Error, UsageError where a pooler answers.

    ``patient``: without the timeouts that a role or the database may have set.

    What hands each transaction to another session of the server's keeps neither a snapshot, nor
    locks, nor settings for us; a process of the server's own says its number when it answers
    (protocol-flow.html, BackendKeyData), and that one is not it.
    """
    ours = {"application_name": "undrop", "client_encoding": "utf8"}
    asked = patiently(address) if patient else address
    keywords: Any = {"connect_timeout": str(CONNECT), **asked.keywords, **ours}
    try:
        # Prepared statements outlive a transaction, and what they name may be dropped by then.
        connection = psycopg.connect(autocommit=True, prepare_threshold=None, **keywords)
    except psycopg.OperationalError as error:
        if patient and REFUSED.search(str(error)):
            raise _pooler(address) from error
        raise
    [[pid]] = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchall()
    if pid != connection.info.backend_pid:
        connection.close()
        raise _pooler(address)
    connection.autocommit = autocommit
    connection.read_only = False  # whatever default_transaction_read_only says
    return connection


def _pooler(address: "Address") -> UsageError:
    return UsageError(
        f"a pooler such as PgBouncer answers at {address.label}: a backup, or a change in one "
        "piece, needs the server itself",
        "let the URL name host and port of PostgreSQL (its SHOW port, and the pooler's SHOW "
        "DATABASES, tell); the application may go on through the pooler",
    )


@contextmanager
def opened(
    address: "Address", doing: str, *, autocommit: bool = False
) -> "Iterator[psycopg.Connection[Any]]":
    """A connection for the block, rolled back and closed at its end; errors become ours."""
    with explained(address, doing), closing(connect(address, autocommit=autocommit)) as connection:
        settle(connection, address.patience)
        yield connection


def settle(connection: "psycopg.Connection[Any]", patience: float) -> None:
    """Have the settings that we need, whatever the role's or the database's are.

    ``patience`` is how many seconds a lock is waited for.
    """
    scope = "SESSION" if connection.autocommit else "LOCAL"
    connection.execute(f"SET {scope} statement_timeout = 0")
    if connection.autocommit:
        connection.execute("SET default_transaction_read_only = off")
    connection.execute(LASTING if connection.autocommit else LOCAL)
    scope = "SESSION" if connection.autocommit else "LOCAL"
    connection.execute(f"SET {scope} lock_timeout = {int(patience * 1000)}")


@contextmanager
def explained(address: "Address", doing: str) -> Iterator[None]:
    """Turn the server's errors into ours: damage, a lock, or a failure."""
    try:
        yield
    except psycopg.Error as error:
        text = address.hidden(" ".join(str(error).split()))
        if isinstance(error, psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted):
            raise DamagedError(f"the server says: {text}", Action("list")) from error
        if isinstance(error, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
            raise locked(address, f"{doing}: {text}") from error
        if isinstance(error, psycopg.errors.OutOfMemory):
            raise too_few_locks(address, doing, text) from error
        raise UndropError(f"{doing}: the server says: {text} ({address.label})", AGAIN) from error


def too_few_locks(address: "Address", doing: str, text: str) -> UndropError:
    """The error for more locks in a transaction than the server has room for."""
    with suppress(psycopg.Error), closing(connect(address)) as other:
        what = f"{doing}: the server has no room for so many locks"
        # What goes is locked, and what comes instead.
        return UndropError(what, *locks.more(asker(other), 2))
    return UndropError(f"{doing}: the server says: {text} ({address.label})", AGAIN)


def locked(address: "Address", doing: str) -> UndropError:
    """The error for a lock that outlasted our patience; it names who is connected."""
    text = f"{doing}: it was locked for {address.patience:.0f} seconds"
    with suppress(psycopg.Error), closing(connect(address)) as other:
        text += locks.words(locks.others(asker(other)))
    return UndropError(text, locks.NEXT)


def asker(connection: "psycopg.Connection[Any]") -> "Ask":
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
        return explain_absence(address, failure)
    return True


def explain_absence(address: "Address", failure: psycopg.OperationalError) -> bool:
    """False when there is no database of that name; else raises UndropError for the failure.

    What failed is said in the server's language; another database of its knows.
    """
    with suppress(psycopg.Error), maintenance(address, quick=True) as connection:
        sql = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s"
        if connection.execute(sql, [address.name]).fetchone() is None:
            return False
    with explained(address, "connecting"):
        raise failure from None
    return True


@contextmanager
def maintenance(server: "Address", *, quick: bool = False) -> "Iterator[psycopg.Connection[Any]]":
    """A connection to a database that is there besides ours. Raises psycopg.Error.

    ``template1`` comes last: nobody can make a database while it is in use.
    """
    began = time.monotonic()
    names = ["postgres", *([] if quick else [server.name]), "template1"]
    for name in names:
        try:
            connection = connect(server.other(name), autocommit=True)
        except psycopg.OperationalError:
            # A server that does not answer is not asked three times.
            if name == names[-1] or time.monotonic() - began > CONNECT / 2:
                raise
        else:
            with closing(connection):
                settle(connection, server.patience)
                yield connection
            return


def outcome(address: "Address", xid: str, pid: int | str) -> str:
    """What became of a transaction of ours: ``committed``, ``aborted``; empty when unknown.

    A server in recovery takes those that were under way back (functions-info.html, 9.27.4).
    """
    deadline = time.monotonic() + 3 * address.patience
    while True:
        with suppress(psycopg.Error), closing(connect(address, autocommit=True)) as connection:
            sql = "SELECT pg_catalog.pg_xact_status(%s::text::pg_catalog.xid8)"
            [[found]] = connection.execute(sql, [xid]).fetchall()
            if found != "in progress":
                return str(found or "")
            # Nobody waits for it any more.
            connection.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [int(pid)])
        if time.monotonic() > deadline:
            return ""
        time.sleep(0.1)
