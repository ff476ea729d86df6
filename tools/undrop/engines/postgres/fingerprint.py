"""What the server can tell for sure of whether anybody wrote, without a row being read.

Two ways, either of which will do. The snapshot: while it is word for word the same, no transaction
of the whole server has ended or begun to write since, for what is visible is made of nothing else
(postgresql.org/docs/current/functions-info.html, Table 9.82). And where others of the server have
written, the counters of this database's own tables (monitoring-stats.html), as far as they are
complete: a session may keep back what it has done, since PostgreSQL 15 no longer than until it has
been idle for ten seconds or has ended (PGSTAT_IDLE_INTERVAL in pgstat.c); before 15 for as long as
it is idle, so that there they tell nothing. What counters do not show, TRUNCATE and all that is
defined, shows in the catalogs' rows, and sequences are asked themselves.
"""

from typing import TYPE_CHECKING, Any

from undrop.engines.postgres import catalogs
from undrop.engines.postgres.content import HELD
from undrop.engines.postgres.exclusive import DEFINED

if TYPE_CHECKING:
    from undrop.engines.postgres.catalogs import Ask

COUNTED = 150000  # server_version_num
SETTLED = 15  # seconds
WHO = (
    "SELECT oid::text, pg_postmaster_start_time()::text, "
    # After a crash the counters begin anew, and what was committed without waiting may be gone.
    "(SELECT stats_reset::text FROM pg_stat_archiver), "
    "current_setting('server_version_num')::int, current_setting('track_counts')::bool "
    "FROM pg_database WHERE datname = current_database()"
)
AT_WORK = (  # what is not shown to this user counts as such
    "SELECT count(*) FROM pg_stat_activity WHERE datid = (SELECT oid FROM pg_database "  # noqa: S608
    "WHERE datname = current_database()) AND pid <> pg_backend_pid() "
    "AND backend_type IS DISTINCT FROM 'autovacuum worker' AND NOT coalesce("
    f"state = 'idle' AND state_change < clock_timestamp() - interval '{SETTLED} s', false)"
)
COUNTERS = (
    "SELECT (SELECT sum(pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid) "  # noqa: S608
    "+ pg_stat_get_tuples_deleted(oid))::text FROM pg_class WHERE relkind IN ('r', 'm') "
    "AND (relnamespace <> 'pg_catalog'::regnamespace OR relname = 'pg_largeobject')), "
    "(SELECT stats_reset::text FROM pg_stat_database WHERE datname = current_database()), "
    f"{DEFINED}"
)


def of(ask: "Ask") -> list[object]:
    """What ``is_same`` compares. ``ask`` must see each answer anew: no transaction is open.

    The order of the questions matters: who had nothing to report is asked before the counters.
    """
    [(oid, started, reset, version, counting)] = ask(WHO)
    told = counting and version >= COUNTED and ask(AT_WORK) == [(0,)]
    [(snapshot,)] = ask("SELECT pg_current_snapshot()::text")
    counters = [*ask(COUNTERS)[0]] if told else None
    return [oid, started, reset, _positions(ask), snapshot, counters]


def is_same(one: list[Any], other: list[Any]) -> bool:
    """Whether nobody can have written between the two; else that is not known."""
    *base, snapshot, counters = one
    *other_base, other_snapshot, other_counters = other
    same = snapshot == other_snapshot or (counters is not None and counters == other_counters)
    return base == other_base and same


def _positions(ask: "Ask") -> str:
    """A nextval is no transaction's, and is in the write-ahead log one time in 32."""
    ask("BEGIN")
    ask(HELD)
    names = [sql for _, sql in ask(catalogs.RELATIONS.format("S"))]
    each = " UNION ALL ".join(f"SELECT last_value, is_called FROM {sql}" for sql in names)  # noqa: S608
    found = str([tuple(row) for row in ask(each)]) if each else ""
    ask("COMMIT")
    return found
