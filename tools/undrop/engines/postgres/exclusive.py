"""Change the live database in one transaction, if it still is what was backed up."""

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from undrop.engines.postgres import apart, catalogs, content, empty, locks, programs, session
from undrop.errors import LOOK, ChangedError, LiveMovedError, UndropError
from undrop.recipes import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.catalogs import Ask
    from undrop.engines.postgres.load import Load
    from undrop.engines.postgres.site import Site
    from undrop.engines.protocol import Log, State

MARKED = (
    "class", "attrdef", "constraint", "trigger", "rewrite", "policy", "proc", "type", "operator",
    "namespace", "extension", "cast", "event_trigger", "publication", "enum", "default_acl",
    "statistic_ext", "ts_config", "ts_dict", "collation", "foreign_server", "opclass", "language",
    "largeobject_metadata",
)  # fmt: skip
NO_OID = {"attribute": "attrelid", "description": "objoid", "foreign_table": "ftrelid"}
SUMS = (
    f"(SELECT sum(xmin::text::numeric * ({key}::int8 + 1)) FROM pg_catalog.pg_{name})"  # noqa: S608
    for name, key in {**dict.fromkeys(MARKED, "oid"), **NO_OID}.items()
)
DEFINED = f"concat_ws(' ', {', '.join(SUMS)})"
MARKS = f"SELECT {DEFINED}, n.* FROM ({content.LARGE_OBJECTS}) AS n"  # noqa: S608
"""What differs as soon as anybody has committed a definition: every version of a row has its own
transaction. (ANALYZE and VACUUM write into the row in place, vac_update_relstats in vacuum.c.)
Large objects, which nothing locks, are summed up besides."""


OURSELVES = "SET LOCAL ROLE NONE"


def moved() -> LiveMovedError:
    """The error for content that is no longer what was backed up."""
    return LiveMovedError("somebody wrote to the database", "the same again")


@contextmanager
def settled(ask: "Ask") -> "Iterator[None]":
    """Have our own settings and role in the block; its end takes them back, and not the locks.

    (Migrations, and their ``env.py``, may have said SET ROLE.)
    """
    ask("SAVEPOINT undrop_settings")
    ask(session.LOCAL)
    ask(OURSELVES)
    yield
    ask("ROLLBACK TO SAVEPOINT undrop_settings")


def lock(ask: "Ask", address: "Address") -> None:
    """Keep everybody else from writing until the transaction of ``ask`` ends. Raises UndropError.

    The tables are those of the user's that we connect as, whatever role was taken meanwhile.
    """
    [[role]] = ask("SELECT pg_catalog.quote_literal(pg_catalog.current_setting('role'))")
    ask(OURSELVES)
    locks.take(ask, "SHARE ROW EXCLUSIVE", locks.AGAINST_WRITERS, address.patience)
    ask(f"SELECT pg_catalog.set_config('role', {role}, true)")


def compare_and_lock(ask: "Ask", address: "Address", expect: str) -> list[Any]:
    """Keep everybody else from writing and see that the content still is ``expect``.

    Empty for a database that has nothing in it. The locks (SHARE ROW EXCLUSIVE) let others read
    and last until the transaction of ``ask`` ends. Where sequences stand may differ: nothing can
    keep others from nextval, and no row is lost by it. Returns the marks of the definitions.
    Raises LiveMovedError, UndropError.
    """
    with settled(ask):
        names = [ask(catalogs.RELATIONS.format(kind)) for kind in "rp"]
    lock(ask, address)
    with settled(ask):
        ask(session.GUARDED)
        if ask(locks.UNLOCKED):
            raise moved()
        marks = ask(MARKS)
        with programs.defining(address) as definitions:
            present = content.read(ask, definitions, apart=apart.of(address))
        nothing = empty.is_empty(ask)
        # Alembic makes its table before it asks us.
        known = catalogs.version_tables_in(ask, address.version_table)
        versions = {sql.removeprefix("public.") for sql in known}
        same = [marks, *names] == [ask(MARKS), *(ask(catalogs.RELATIONS.format(k)) for k in "rp")]
    without = {
        name: table for name, table in present.tables.items() if table[0] or name not in versions
    }
    if expect:
        data, _, defined = expect.split(" ")
        alike = data in {present.data, present._replace(tables=without).data}
        same = same and alike and defined == present.definitions
    else:
        same = same and (nothing or (bool(versions) and not without))
    if not same:
        raise moved()
    ask(f"SET lock_timeout = {int(address.patience * 1000)}")
    return marks


@contextmanager
def exclusive(
    site: "Site", state: "State", log: "Log", *, readers: bool = False
) -> "Iterator[tuple[psycopg.Connection[Any], empty.Contents]]":
    """A transaction that has the covered database to itself, and what is in that.

    It is committed when the block ends. ``readers``: others may read meanwhile.
    Raises LiveMovedError, UndropError with nothing changed, ChangedError when it is not known.
    """
    address = site.address
    if state.snapshot:
        state.snapshot.release()
    expect = state.record.content if state.snapshot and state.record else ""
    with session.opened(address, "changing the database") as connection:
        ask = session.asker(connection)
        marks = compare_and_lock(ask, address, expect)
        if not readers:
            locks.take(ask, "ACCESS EXCLUSIVE", locks.AGAINST_ALL, address.patience)
        with log:
            # What comes after this look is not dropped; what came before it shows in the marks.
            there = empty.find(ask)
            if ask(MARKS) != marks:
                raise moved()
            try:
                yield connection, there
            except (
                psycopg.errors.DeadlockDetected,
                psycopg.errors.DependentObjectsStillExist,  # of what was made just now
            ) as error:
                raise moved() from error
            _commit(connection, site)


def _commit(connection: "psycopg.Connection[Any]", site: "Site") -> None:
    address = site.address
    [[xid, pid]] = connection.execute(
        "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text, pg_catalog.pg_backend_pid()"
    ).fetchall()
    try:
        connection.commit()
    except BaseException as error:
        if isinstance(error, psycopg.Error) and not connection.closed:
            raise  # the server said no: all of it is taken back
        known = session.outcome(address, xid, pid)
        if known == "aborted":
            raise
        site.session.changed = True
        if known != "committed" or not isinstance(error, psycopg.Error):
            done = "holds the new content" if known else "may hold the old content or the new"
            raise ChangedError(
                f"the connection to {address.label} broke when the new content was committed: it "
                f"{done} ({address.hidden(str(error))})",
                *LOOK,
            ) from error
    site.session.changed = True


def replace(
    site: "Site",
    state: "State",
    loading: "Load",
    log: "Log",
    *,
    data: str,
) -> float:
    """Empty the database and run ``loading`` in one transaction.

    Returns the seconds from the first lock that is asked for to the end: writers are kept out for
    no longer, readers for less.

    ``data`` is the digest of the rows that must be there then. Raises as ``exclusive`` does.
    """
    began = time.monotonic()
    with exclusive(site, state, log) as (connection, there):
        fill(site, state, loading, connection, there)
        found = content.read(session.asker(connection))
        if data and found.data != data:
            raise UndropError(
                f"what {loading.name} brought back is not what its record says", Action("verify")
            )
    return time.monotonic() - began


def fill(
    site: "Site",
    state: "State",
    loading: "Load",
    connection: "psycopg.Connection[Any]",
    there: empty.Contents,
) -> None:
    """Empty the database and run ``loading``, in the transaction that has it to itself."""
    ask = session.asker(connection)
    empty.empty(ask, there, loading.extensions)
    size, progress = state_size(state), site.session.progress
    loading.run(connection, lambda done: progress("replace", done, size))
    ask(session.LOCAL)


def state_size(state: "State") -> int:
    """Bytes that a progress bar may go by."""
    return max(1, state.snapshot.bytes) if state.snapshot else 1
