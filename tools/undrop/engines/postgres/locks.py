"""Locks on every table, waited for in a way that harms nobody, and who else holds some."""

import math
import time
from typing import TYPE_CHECKING, Any

from undrop.engines.postgres.catalogs import MEMBER, NAME, RELATIONS, SYSTEM
from undrop.errors import UndropError
from undrop.values import Holder

if TYPE_CHECKING:
    from undrop.engines.postgres.catalogs import Ask

NEXT = "end that program's transaction, then the same command again"
PATIENCE = 900  # milliseconds
"""Of one attempt: below deadlock_timeout's second (runtime-config-locks.html), after which the
server ends one of those who wait for each other, which could be the application."""
LONGER = 2_500
"""Where autovacuum is in the way: it gives way to who has waited for deadlock_timeout."""
NOT_NOW = {"57014", "55P03", "40P01"}  # canceled for its time, lock not available, deadlock
AGAINST_WRITERS = ("ShareLock", "ShareRowExclusiveLock", "RowExclusiveLock",
                   "ShareUpdateExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")  # fmt: skip
AGAINST_ALL = (*AGAINST_WRITERS, "AccessShareLock", "RowShareLock")
REWRITTEN = (
    "SELECT c.oid::regclass::text FROM pg_class c WHERE c.oid >= 16384 AND c.relkind = 'r' "
    "AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode LIMIT 1"
)
"""The one is what is now, the other what the snapshot sees."""
RESERVE = 500  # locks, for all others
UNLOCKED = (
    f"SELECT {NAME} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "  # noqa: S608
    f"WHERE c.relkind = 'r' AND NOT ({SYSTEM}) AND NOT {MEMBER.format('pg_class', 'c')} "
    "AND NOT EXISTS (SELECT 1 FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.granted "
    "AND l.locktype = 'relation' AND l.relation = c.oid) LIMIT 1"
)
"""A table of which no lock is held: one with its name was locked, and has gone since. Only what is
locked is read by its name, or something else may bear it by then."""
PEOPLE = (
    "a.pid, coalesce(nullif(a.application_name, ''), 'somebody') || ' as ' || "
    "coalesce(a.usename, a.backend_type) || coalesce(' from ' || host(a.client_addr), '') || "
    "CASE WHEN a.state <> 'idle' THEN ', ' || a.state ELSE '' END"
)


def take(ask: "Ask", mode: str, against: tuple[str, ...], seconds: float) -> None:
    """Lock every table in that mode, all or none, until the transaction of ``ask`` ends.

    ``against`` are the modes of others that it conflicts with (explicit-locking.html). Raises
    UndropError, naming who holds one, after that many ``seconds``.
    """
    deadline = time.monotonic() + seconds
    [[timeout]] = ask("SELECT current_setting('statement_timeout')")
    patience = PATIENCE
    while True:
        ask("SAVEPOINT undrop_locks")
        try:
            tables = [sql for kind in "rp" for (_, sql) in ask(RELATIONS.format(kind))]
            if tables:
                ask(f"SET LOCAL statement_timeout = {patience}")
                ask(f"LOCK TABLE ONLY {', ONLY '.join(tables)} IN {mode} MODE")
        except Exception as error:
            if code(error) not in NOT_NOW:
                raise
            ask("ROLLBACK TO SAVEPOINT undrop_locks")
            holding = ask(_holding(against))
            if time.monotonic() > deadline:
                names = [Holder(pid, name) for pid, name, _ in holding]
                raise UndropError(
                    f"a lock was not to be had for {seconds:.0f} seconds{words(names, 'held by')}",
                    NEXT,
                ) from error
            patience = LONGER if any(kind.startswith("auto") for *_, kind in holding) else PATIENCE
        else:
            ask(f"SET LOCAL statement_timeout = '{timeout}'")
            ask("RELEASE SAVEPOINT undrop_locks")
            return


def share(ask: "Ask") -> str:
    """Keep every table from being written anew, as ALTER TABLE and TRUNCATE do.

    Rows written so are not seen in an older snapshot, and neither are those whose place they took
    (postgresql.org/docs/current/mvcc-caveats.html). A table to which that has happened already,
    empty when there is none.
    """
    if tables := [sql for (_, sql) in ask(RELATIONS.format("r"))]:
        ask(f"LOCK TABLE ONLY {', ONLY '.join(tables)} IN ACCESS SHARE MODE")
    found = ask(UNLOCKED) or ask(REWRITTEN)
    return str(found[0][0]) if found else ""


def more(ask: "Ask", times: int = 1) -> tuple[str, str]:
    """What to type where a transaction that locks all of a database finds no room for its locks.

    Each table and index is one lock, and what a large value is kept in two more; ``times``: how
    often in one transaction (runtime-config-locks.html, max_locks_per_transaction).
    """
    [[relations, slots, now]] = ask(
        "SELECT (SELECT count(*) FROM pg_class WHERE oid >= 16384), "
        "current_setting('max_connections')::int "
        "+ current_setting('max_prepared_transactions')::int, "
        "current_setting('max_locks_per_transaction')::int"
    )
    wanted = max(2 * now, math.ceil((relations * times + RESERVE) / slots))
    return (
        f"ALTER SYSTEM SET max_locks_per_transaction = {wanted} (it is {now}, and the database has "
        f"{relations:,} tables, indexes and the like); start the server anew",
        "; then the same again",
    )


def _holding(against: tuple[str, ...]) -> str:
    modes = ", ".join(f"'{mode}'" for mode in against)
    return (
        f"SELECT DISTINCT {PEOPLE}, a.backend_type FROM pg_locks l "  # noqa: S608 - our own
        "JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'relation' AND l.granted "
        "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        f"AND l.relation >= 16384 AND l.pid <> pg_backend_pid() AND l.mode IN ({modes})"
    )


def code(error: BaseException) -> str:
    """The server's code for an error, whichever driver raised it; empty when it is none."""
    cause: Any = getattr(error, "orig", error)  # SQLAlchemy's errors carry the driver's
    return str(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "")


def others(ask: "Ask") -> list[Holder]:
    """Who is connected to the database, undrop left out."""
    rows = ask(
        f"SELECT {PEOPLE} FROM pg_stat_activity a "  # noqa: S608 - our own
        "WHERE a.datname = current_database() AND a.backend_type = 'client backend' "
        "AND a.pid <> pg_backend_pid() AND a.application_name <> 'undrop' ORDER BY a.pid"
    )
    return [Holder(pid, name or "?") for pid, name in rows]


def words(holders: list[Holder], what: str = "connected:") -> str:
    """``; connected: psql as bob (pid 7)``; empty when nobody is seen."""
    names = [f"{holder.name} (pid {holder.pid})" for holder in holders]
    return f"; {what} {', '.join(names)}" if names else ""
