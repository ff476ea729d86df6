"""What Alembic's own process does for PostgreSQL: the URL, the locks, what is not transactional."""

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import Pool

from undrop.engines.diversion import Diversion
from undrop.engines.postgres import address, exclusive, rehearsed, session, shared
from undrop.errors import ElsewhereError, UndropError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection, Engine

    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.catalogs import Ask
    from undrop.engines.protocol import MigrationRun
    from undrop.engines.sqlite.fence import Fence
    from undrop.values import Target

SHARED = re.compile(
    r"\b((CREATE|ALTER|DROP)\s+(ROLE|USER(?!\s+MAPPING)|GROUP|DATABASE|TABLESPACE)|ALTER\s+SYSTEM)\b",
    re.IGNORECASE,
)
"""What changes the server; looked for where no transaction is, by which that could be told."""
ENDS = re.compile(
    r"\s*(BEGIN|START|(?P<commit>COMMIT|END)|ABORT|ROLLBACK(?!(\s+\w+)?\s+TO\b))\b", re.IGNORECASE
)
"""A statement that ends a transaction, or begins one; not one about a savepoint."""


class Migrating:
    """One run of Alembic's (``protocol.Migrating``), and what of it was seen."""

    def __init__(self) -> None:
        self._outside: list[str] = []
        """Statements that ran in no transaction, or ended one."""
        self._commits = 0
        self._heard: list[Connection] = []
        self._run: Any = None
        self._address: Address | None = None
        self._begun: rehearsed.Begun | None = None
        self._done: list[Any] = []
        self._watch: rehearsed.Watch | None = None
        """Over the live database."""
        self._server: set[tuple[str, str]] = set()
        """What the server had, before the first statement that ran in no transaction."""

    def target_url(self, url: str, target: "Target") -> URL:
        """The project's driver on the database that was asked for."""
        configured = make_url(url)
        if target.server:
            configured = make_url(target.server).set(drivername=configured.drivername)
        return configured if target.live else configured.set(database=target.database)

    def prepare(
        self, connection: "Connection | None", target: "Target", run: "MigrationRun"
    ) -> str:
        """Before the first migration: refuse another database; lock the live one and compare it.

        Raises ElsewhereError, RuntimeError, LiveMovedError, UndropError.
        """
        opened = "no database"
        if connection and connection.dialect.name != "postgresql":
            opened = connection.engine.url.render_as_string()
        elif connection:
            ask = asker(connection)
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
        here = address.of_url(connection.engine.url)
        if live := target.live:
            here = here._replace(patience=live.seconds)
        if live and not self._watch:
            note = Path(live.note)
            note.write_text(json.dumps([*mark[0], {}]))
            event.listen(Pool, "connect", _impatient(int(live.seconds * 1000)))
            exclusive.compare_and_lock(ask, here, live.expect)
            with exclusive.settled(ask):
                told = Path(live.rehearsed).read_text() if live.rehearsed else ""
                self._watch = rehearsed.Watch(told, rehearsed.Begun(ask), ask)
            note.write_text(json.dumps([*mark[0], self._watch.ends]))
        elif live and self._commits:
            exclusive.lock(ask, here)
        elif not (live or self._begun):
            with exclusive.settled(ask):
                self._begun = rehearsed.Begun(ask)
        self._run, self._address = run, here
        if connection not in self._heard:
            event.listen(connection, "before_cursor_execute", self._look)
            event.listen(connection, "commit", self._commit)
            self._heard.append(connection)
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
        if self._server and self._address:
            moved = {what for what, _ in self._server ^ shared.committed(self._address)}
            self._outside += [f"{what}: changed, by them or by others" for what in sorted(moved)]
        if self._outside:
            return self._outside
        return ["each migration was committed by itself"] if self._commits > 1 else []

    def commits(self) -> list[Any]:
        """What each had done to tables, where it is rehearsed (``rehearsed.Begun``)."""
        return self._done

    def transactional(self, _engine: "Engine") -> None:
        """Nothing to do: PostgreSQL's CREATE and DROP are part of a transaction."""

    def _look(self, connection: "Connection", _cursor: object, statement: str, *_: object) -> None:
        """Remember what runs in no transaction: CREATE INDEX CONCURRENTLY and the like."""
        autocommit, end = _in_autocommit(connection), ENDS.match(statement)
        if autocommit or end:
            doubled = connection.dialect.paramstyle in {"format", "pyformat"}
            plain = statement.replace("%%", "%") if doubled else statement
            if not self._watch and self._address:
                refuse_shared(plain, "alembic")
                self._server = self._server or shared.committed(self._address)
            if end and end["commit"] and not autocommit:
                self._refuse_server_wide(asker(connection))
            self._outside.append(" ".join(plain.split()))

    def _commit(self, connection: "Connection") -> None:
        self._commits += 1
        ask = asker(connection)
        if _in_autocommit(connection):
            return
        through = self._run.is_through()
        if self._watch:
            self._refuse_otherwise(ask, self._watch, through=through)
            return
        if self._begun:
            with exclusive.settled(ask):
                self._done.append(self._begun.done(ask))
        if not through:
            self._refuse_server_wide(ask)
        elif server := self._server_wide(ask):
            ask("SET CONSTRAINTS ALL IMMEDIATE")  # as COMMIT would have it
            ask(session.LOCAL)
            ask(exclusive.OURSELVES)
            self._run.stay(ask, server)

    def _server_wide(self, ask: "Ask") -> list[str]:
        assert self._address  # noqa: S101 - ``prepare`` was first
        with exclusive.settled(ask):
            return shared.written(ask, self._address)

    def _refuse_server_wide(self, ask: "Ask") -> None:
        """What a rehearsal changes of the server must be rolled back with the rest."""
        if not self._watch and (server := self._server_wide(ask)):
            raise RuntimeError(
                "this changes the server, not the database alone, and would be committed before "
                f"the migrations end, so that it cannot be rehearsed: {', '.join(server)} (leave "
                "that to a migration of its own, which comes last, or run it with alembic, which "
                "takes a backup first)"
            )

    def _refuse_otherwise(self, ask: "Ask", watch: rehearsed.Watch, *, through: bool) -> None:
        """What is committed must be what was rehearsed."""
        with exclusive.settled(ask):
            is_alone = self._commits == 1
            difference = watch.difference(ask, alone=is_alone) if through else watch.on_the_way(ask)
        if difference:
            back = "all of it" if is_alone else "what was not committed yet"
            raise UndropError(
                "on the live database the migrations did not do what they did in their rehearsal, "
                f"and {back} was rolled back: {difference} ({rehearsed.WHY})"
            )


def _impatient(milliseconds: int) -> "Callable[[Any, Any], None]":
    """A migration's second connection would wait for the first one's locks for ever."""

    def connected(connection: Any, _record: Any) -> None:  # noqa: ANN401 - any driver's
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {milliseconds}")
        cursor.close()
        connection.commit()

    return connected


def _in_autocommit(connection: "Connection") -> bool:
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def asker(connection: "Connection") -> "Ask":
    """How a connection of SQLAlchemy's is asked, whatever its driver."""

    def ask(sql: str) -> list[Any]:
        # Without parameters a percent sign in a name is one, whatever the driver.
        result = connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
        return [tuple(row) for row in result] if result.returns_rows else []

    return ask


def refuse_shared(statement: str, program: str) -> None:
    """A statement in no transaction must not change what belongs to the whole server.

    Raises RuntimeError.
    """
    if shared := SHARED.search(statement):
        # What comes after these words may be a password.
        raise RuntimeError(shared_words(f"{' '.join(shared[1].split())} …", program))


def shared_words(what: str, program: str) -> str:
    """Why something is refused that would stay on the server."""
    return (
        f"this changes the server, not the database alone, and cannot be tried on a copy: {what} "
        f"(run it with {program}, which takes a backup first)"
    )
