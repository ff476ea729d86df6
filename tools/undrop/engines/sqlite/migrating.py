"""What Alembic's own process does for SQLite: the URL of a file, and that it is no other file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url

from undrop.engines.diversion import Diversion, Scratch
from undrop.errors import ElsewhereError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from undrop.engines.sqlite.fence import Fence
    from undrop.values import Target


def target_url(url: str, target: "Target") -> URL:
    """The project's URL with the work copy as its database, the driver and its options kept."""
    configured = make_url(url)
    if configured.query.get("uri"):
        configured = configured.set(query={})  # its other parameters belong to the other file
    return configured.set(database=target.database)


def prepare(connection: "Connection | None", target: "Target", _run: object = None) -> str:
    """Refuse another file than those that were asked for, before the first migration.

    Which of them it is; empty for one in memory, which is nobody's, where there are several. Raises
    ElsewhereError.
    """
    opened = ""
    if connection and connection.dialect.name != "sqlite":
        opened = connection.engine.url.render_as_string()
    elif connection:
        rows = connection.exec_driver_sql("PRAGMA database_list")
        opened = next((row[2] for row in rows if row[1] == "main"), "")
        for copy in (target.database, *(each.database for each in target.beside)):
            if opened and Path(opened).samefile(copy):
                return copy
        if not opened and target.beside:
            return ""
    raise ElsewhereError(
        f"env.py connects to {opened or 'memory'}, not to the work copy it was given; take the "
        "URL from undrop.alembic.database_url(context), or from config or the variable; where it "
        "migrates several files, each needs a name in the settings, and --db none"
    )


def divert(fence: "Fence", target: "Target", scratch: str) -> "Callable[[], None]":
    """Hand SQLAlchemy's engines copies in ``scratch``; from the call of the answer, the work copy.

    A work copy is for those alone that would go to its live database.
    """
    copies = {os.path.realpath(each.live): each.database for each in target.beside}
    if fence.live:
        copies[fence.live] = target.database

    def to_target(path: str) -> str:
        return copies.get(fence.live_of(path), path)

    diversion = Diversion(fence.paths, Scratch(scratch).copy)
    return lambda: diversion.turn(to_target)


def report() -> list[str]:
    """What of the migrations was not in their transaction: SQLite has nothing of the kind."""
    return []


def commits() -> list[Any]:
    """Nothing: a copy takes live's place as it is."""
    return []


def transactional(engine: Engine) -> None:
    """Make every transaction of SQLAlchemy's a real one, CREATE and DROP included.

    Python's sqlite3 begins a transaction before INSERT, UPDATE and DELETE only and so commits
    half a migration; here the driver's own handling is off and SQLAlchemy's BEGIN is a real one.
    """

    @event.listens_for(engine, "connect")
    def _no_implicit_transactions(dbapi_connection: Any, _record: object) -> None:  # noqa: ANN401
        dbapi_connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: "Connection") -> None:
        # Alembic's ``autocommit_block`` is for what no transaction holds: VACUUM, a journal mode.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN")
