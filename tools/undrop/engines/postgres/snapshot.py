"""The live database under one exported snapshot."""

import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from undrop import digest, durable, record
from undrop.engines.postgres import apart, content, locks, programs, proof, session, trust
from undrop.engines.postgres.scratch import BIRTH
from undrop.errors import UndropError
from undrop.values import PENDING, Definitions, Identity, Origin

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.content import Content
    from undrop.engines.postgres.scratch import Scratch
    from undrop.values import Facts, Progress


class Snapshot:
    """The live database, held: a read-only transaction that exports its snapshot.

    postgresql.org/docs/current/functions-admin.html, 9.28.5: pg_dump joins it.
    """

    taken = 0.0
    hold = None
    proved: "Address | None" = None
    """A scratch database with what was dumped, where that was to be kept."""

    def __init__(self, address: "Address", scratch: "Scratch | None", progress: "Progress") -> None:
        self._address, self._scratch, self._progress = address, scratch, progress
        with session.explained(address, "opening the database"):
            self._connection = session.connect(address)
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
        self._ask = session.asker(self._connection)
        self._content: Content | None = None
        self._kept = ExitStack()
        try:
            with session.explained(address, "reading the database"):
                programs.require(self._connection.info.server_version // 10000)
                self._pin()
        except BaseException:
            self.close()
            raise

    def _pin(self) -> None:
        """Take a snapshot whose tables stay as it sees them."""
        deadline = time.monotonic() + self._address.patience
        while True:
            session.settle(self._connection, self._address.patience)
            self._ask(session.GUARDED)
            [(self._snapshot, self.bytes, self.server, self._birth)] = self._ask(
                "SELECT pg_export_snapshot(), pg_database_size(current_database()), "
                f"split_part(current_setting('server_version'), ' ', 1), ({BIRTH})"
            )
            try:
                table = locks.share(self._ask)
            except psycopg.errors.UndefinedTable as gone:
                table = str(gone.diag.message_primary)
            if not table:
                return
            self.release()
            if time.monotonic() > deadline:
                what = f"a table is written anew again and again: {table}"
                raise UndropError(what, "the same command again")

    @property
    def mode(self) -> str:
        """What serves it."""
        return f"PostgreSQL {self.server}"

    def origin(self) -> Origin:
        """Nothing: a server's files are its own."""
        return Origin()

    @property
    def content(self) -> "Content":
        """What it holds, read once."""
        if self._content is None:
            with (
                session.explained(self._address, "reading the database"),
                programs.defining(self._address, self._snapshot) as definitions,
            ):
                version_table = self._address.version_table
                try:
                    self._content = content.read(
                        self._ask,
                        definitions,
                        version_table,
                        apart.of(self._address, self._snapshot),
                    )
                except psycopg.errors.OutOfMemory:
                    self.release()  # or there is no room to ask how much would do
                    raise
        return self._content

    def moved(self) -> None:
        """Told by reading it whole alone."""

    def revisions(self) -> list[str]:
        """Its revision(s)."""
        with session.explained(self._address, "reading the revision"):
            return content.revisions(
                self._ask, self._address.version_table, apart.of(self._address, self._snapshot)
            )

    def is_empty(self) -> bool:
        """Whether it has no table."""
        return not self.content.tables

    def is_in(self, _path: "Path", record: "record.Record") -> bool:
        """Whether the backup was taken of this very content."""
        return self.content.all == record.content

    def identify(self, _work: "Path") -> Identity:
        """By what is in it: nothing is written."""
        whole = self.content
        self.taken = time.time()
        return Identity(whole.all, lambda: Definitions(whole.definitions, whole.revisions))

    def complete(self, work: "Path", _content: str, *, prove: bool, keep: bool) -> "Facts":
        """Dump the snapshot, let it go, and restore the dump into a scratch database, or later."""
        extensions, code = self._extensions(), self.code()
        if self._scratch and not self._scratch.server.trusts:
            # It will not be restored, which is said at once.
            prove = prove or bool(trust.others(self._connection, code))
        with ExitStack() as stack:
            made = None
            if prove and self._scratch:
                made = stack.enter_context(self._scratch.ahead(self._birth.encode()))
            self.copy_to(work)
            self.taken = time.time()
            self.release()
            facts = proof.prove(
                made,
                work,
                self.content,
                self._progress,
                dump_digest=digest.of(work, self._progress, durable.size(work)),
                code=code,
            )
            if keep and made and facts.check == "ok":
                self.proved, self._kept = made(), stack.pop_all()
        if not prove:
            facts = facts._replace(check=PENDING)
        return facts._replace(server=self.server, extensions=extensions, database_bytes=self.bytes)

    def _extensions(self) -> dict[str, str]:
        sql = "SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1"
        return dict(self._ask(sql))

    def code(self) -> list[str]:
        """Whose code the dump will have: what is asked of the snapshot is what is dumped."""
        with session.explained(self._address, "asking whose code it has"):
            return trust.roles(self._ask)

    def vouch(self, dump: "Path") -> None:
        """Dump the snapshot, with a record that says whose code it has."""
        code = self.code()
        self.copy_to(dump)
        size = durable.size(dump)
        made = record.Record(
            created=datetime.now(UTC).isoformat(),
            reason="",
            next_step="",
            source=self._address.label,
            bytes=size,
            digest=digest.of(dump, self._progress, size),
            code=code,
        )
        dump.with_suffix(".json").write_text(made.to_json())

    def copy_to(self, work: "Path") -> None:
        """Dump the snapshot."""
        programs.dump(self._address, work, self._snapshot, self.bytes, self._progress)

    def release(self) -> None:
        """End the transaction: its locks would keep others, and ourselves, from changing tables."""
        with suppress(psycopg.Error):
            self._connection.rollback()

    def hand_over(self) -> ExitStack:
        """What drops ``proved``, and is the caller's from now on."""
        return self._kept.pop_all()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._kept.close()


def dumped(address: "Address", work: "Path", progress: "Progress") -> None:
    """Dump a database of ours that nobody else uses. Raises UndropError."""
    snapshot = Snapshot(address, None, progress)
    try:
        snapshot.copy_to(work)
    finally:
        snapshot.close()
