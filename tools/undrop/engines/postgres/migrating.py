"""What Alembic's own process does for PostgreSQL: the URL, the locks, what is not transactional."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import Pool

from undrop.engines.diversion import Diversion
from undrop.engines.postgres import address, exclusive
from undrop.errors import ElsewhereError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection, Engine

    from undrop.engines.sqlite.fence import Fence
    from undrop.values import Target

SHARED = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*((CREATE|ALTER|DROP)\s+"
    r"(ROLE|USER(?!\s+MAPPING)|GROUP|DATABASE|TABLESPACE)|ALTER\s+SYSTEM)\b",
    re.IGNORECASE | re.DOTALL,
)
WORDS = {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT"}
"""Of statements that end a transaction, or begin one."""


class Migrating:
    """One run of Alembic's (``protocol.Migrating``), and what of it was seen."""

    def __init__(self) -> None:
        self._outside: list[str] = []
        """Statements that ran in no transaction, or ended one."""
        self._commits = 0

    def target_url(self, url: str, target: "Target") -> URL:
        """The project's driver on the database that was asked for."""
        configured = make_url(url)
        if target.server:
            configured = make_url(target.server).set(drivername=configured.drivername)
        return configured if target.live else configured.set(database=target.database)

    def prepare(self, connection: "Connection | None", target: "Target") -> str:
        """Before the first migration: refuse another database; lock the live one and compare it.

        Raises ElsewhereError, RuntimeError, LiveMovedError, UndropError.
        """

        def ask(sql: str) -> list[Any]:
            assert connection is not None  # noqa: S101 - asked only with one
            # Without parameters a percent sign in a name is one, whatever the driver.
            result = connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
            return [tuple(row) for row in result] if result.returns_rows else []

        opened = "no database"
        if connection and connection.dialect.name != "postgresql":
            opened = connection.engine.url.render_as_string()
        elif connection:
            opened = ask("SELECT current_database()::text")[0][0]
        if opened != target.database or connection is None:
            raise ElsewhereError(
                f"env.py connects to {opened}, not to the database it was given; take the URL from "
                "undrop.alembic.database_url(context), or from config or the variable"
            )
        who = "SELECT pg_catalog.pg_current_xact_id()::text, pg_catalog.pg_backend_pid()"
        mark = ask(who)
        if ask(who) != mark:  # every statement is a transaction of its own
            raise RuntimeError(
                "env.py's connection is in AUTOCOMMIT mode: a migration that fails would stay half "
                "done; leave that out of create_engine, and use autocommit_block where it is needed"
            )
        if live := target.live:
            Path(live.note).write_text(f"{mark[0][0]} {mark[0][1]}")
            event.listen(Pool, "connect", _impatient(int(live.seconds * 1000)))
            here = address.of_url(connection.engine.url)._replace(patience=live.seconds)
            exclusive.compare_and_lock(ask, here, live.expect)
        else:
            event.listen(connection, "before_cursor_execute", _refuse_what_is_shared)
        event.listen(connection, "before_cursor_execute", self._look)
        event.listen(connection, "commit", self._commit)
        return target.database

    def divert(self, _fence: "Fence", _target: "Target", _scratch: str) -> "Callable[[], None]":
        """Have the server refuse what writes, until the answer is called: libpq's PGOPTIONS."""
        given = os.environ.get("PGOPTIONS", "")
        os.environ["PGOPTIONS"] = f"{given} -c default_transaction_read_only=on"
        diversion = Diversion(lambda _: [], str)

        def turn() -> None:
            os.environ["PGOPTIONS"] = given
            diversion.turn(str)

        return turn

    def report(self) -> list[str]:
        """What of the migrations was not in their one transaction."""
        if self._outside:
            return self._outside
        return ["each migration was committed by itself"] if self._commits > 1 else []

    def transactional(self, _engine: "Engine") -> None:
        """Nothing to do: PostgreSQL's CREATE and DROP are part of a transaction."""

    def _look(self, connection: "Connection", _cursor: object, statement: str, *_: object) -> None:
        """Remember what runs in no transaction: CREATE INDEX CONCURRENTLY and the like."""
        autocommit = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        first = statement.split(maxsplit=1)[:1]
        if autocommit or (first and first[0].strip(";").upper() in WORDS):
            doubled = connection.dialect.paramstyle in {"format", "pyformat"}
            plain = statement.replace("%%", "%") if doubled else statement
            self._outside.append(" ".join(plain.split()))

    def _commit(self, _connection: "Connection") -> None:
        self._commits += 1


def _impatient(milliseconds: int) -> "Callable[[Any, Any], None]":
    """A migration's second connection would wait for the first one's locks for ever."""

    def connected(connection: Any, _record: Any) -> None:  # noqa: ANN401 - any driver's
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {milliseconds}")
        cursor.close()
        connection.commit()

    return connected


def _refuse_what_is_shared(
    _connection: "Connection", _cursor: object, statement: str, *_: object
) -> None:
    refuse_shared(statement, "alembic")


def refuse_shared(statement: str, program: str) -> None:
    """A migration that is tried on a copy must not change what belongs to the whole server.

    Raises RuntimeError.
    """
    if shared := SHARED.match(statement):
        raise RuntimeError(  # what comes after these words may be a password
            "this changes the server, not the database alone, and cannot be tried on a copy: "
            f"{' '.join(shared[1].split())} … (run it with {program}, which takes a backup first)"
        )
