"""Change the live database in one transaction, if it still is what was backed up."""

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from undrop import engine
from undrop.errors import CHANGED, LOOK, ChangedError, LiveMovedError, UndropError
from undrop.postgres import content, empty, load, programs, session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.engine import Log, Progress, State
    from undrop.postgres.address import Address
    from undrop.postgres.session import Ask


def compare_and_lock(ask: "Ask", address: "Address", expect: str) -> None:
    """Keep everybody else from writing and see that the content still is ``expect``.

    Empty for a database that has nothing in it. The locks (SHARE ROW EXCLUSIVE) let others read
    and last until the transaction of ``ask`` ends. Raises LiveMovedError, UndropError.
    """
    ask(f"SET lock_timeout = {int(engine.LOCK_DEADLINE * 1000)}")
    tables = [sql for kind in "rp" for (_, sql) in ask(content.RELATIONS.format(kind))]
    for start in range(0, len(tables), 500):
        names = ", ".join(tables[start : start + 500])
        ask(f"LOCK TABLE ONLY {names.replace(', ', ', ONLY ')} IN SHARE ROW EXCLUSIVE MODE")
    ask("SAVEPOINT undrop")  # its end takes the settings back that reading needs, not the locks
    found = content.read(ask, programs.definitions(address))
    nothing = empty.is_empty(ask)
    ask("ROLLBACK TO SAVEPOINT undrop")
    # Alembic makes its table before it asks us.
    versions = {sql.removeprefix("public.") for (sql,) in ask(content.VERSIONS)}
    without = {
        name: table for name, table in found.tables.items() if table[0] or name not in versions
    }
    if expect:
        data, _, definitions = expect.split(" ")
        same = data in {found.data, found._replace(tables=without).data}
        unchanged = same and definitions == found.definitions
    else:
        unchanged = nothing or (bool(versions) and not without)
    if not unchanged:
        raise LiveMovedError("somebody wrote to the database", "the same again")


@contextmanager
def alone(address: "Address", state: "State", log: "Log") -> "Iterator[psycopg.Connection[Any]]":
    """A transaction that has the covered database to itself; committed when the block ends.

    Raises LiveMovedError, UndropError with nothing changed, ChangedError when it is not known.
    """
    if state.held:
        state.held.release()
    expect = state.entry.content if state.held and state.entry else ""
    with session.opened(address, "changing the database") as connection:
        compare_and_lock(session.asker(connection), address, expect)
        with log:
            yield connection
            _commit(connection, address)


def _commit(connection: "psycopg.Connection[Any]", address: "Address") -> None:
    try:
        connection.commit()
    except psycopg.IntegrityError:
        raise  # the server said no: all of it is taken back
    except BaseException as error:
        CHANGED.set()
        raise ChangedError(
            f"the connection to {address.label} broke when the new content was committed: it may "
            f"hold the old content or the new ({address.hidden(str(error))})",
            LOOK,
        ) from error
    CHANGED.set()


def replace(  # noqa: PLR0913 - what goes where
    address: "Address", state: "State", dump: "Path", log: "Log", progress: "Progress", *, data: str
) -> float:
    """Empty the database and load ``dump`` in one transaction; seconds that others were locked out.

    ``data`` is the digest of the rows that must be there then. Raises as ``alone`` does.
    """
    loading = load.Load(dump)
    with alone(address, state, log) as connection:
        began = time.monotonic()
        ask = session.asker(connection)
        empty.empty(ask, loading.extensions)
        loading.run(connection, lambda done: progress("replace", done, state_size(state)))
        found = content.read(ask, "")
        if data and found.data != data:
            raise UndropError(
                f"what {dump.name} brought back is not what its record says", "just verify"
            )
    return time.monotonic() - began


def state_size(state: "State") -> int:
    """Bytes that a progress bar may go by."""
    return max(1, getattr(state.held, "bytes", 1))

