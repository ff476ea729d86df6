"""PostgreSQL's answers to what undrop asks of a database (``undrop.engines.protocol.Engine``)."""

import os
import re
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from undrop import digest, durable
from undrop.engines.postgres.site import Site
from undrop.errors import CheckError, UndropError
from undrop.recipes import Action
from undrop.values import PENDING, Definitions, Facts, Shell, quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from sqlalchemy.engine import URL

    from undrop.compare.comparison import Comparison, Reading
    from undrop.compare.merge import Merge, Sides, Sources
    from undrop.compare.readable import Readable
    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.look import Look
    from undrop.engines.postgres.snapshot import Snapshot
    from undrop.engines.protocol import (
        Adopting,
        Djangos,
        Log,
        Merged,
        Migrating,
        Replacement,
        Runner,
        Script,
        State,
        Work,
    )
    from undrop.record import Record
    from undrop.values import Holder, Origin, Progress, Result, Session


class Postgres(Site):
    """A database on a server; see ``protocol.Engine`` for what each method answers.

    A database with nothing in it counts as none: ``nuke-db`` empties it, and leaves its name, its
    owner, its grants and its settings.
    """

    suffix = ".pgdump"
    kind = "postgresql"
    file = None
    light = False  # a dump has to be loaded for it
    in_memory = False
    writers = None  # each waits for the tables' own locks, once the replacement has taken them

    def __init__(
        self,
        url: str,
        root: Path,
        verify_url: str,
        session: "Session",
        *,
        without_server: bool = False,
    ) -> None:
        super().__init__(url, root, verify_url, session)
        self._nowhere = without_server and not verify_url
        self.source = self.label = self.address.label
        self.stem = re.sub(r"[\x00-\x1f\x7f/]|^[.-]", "_", self.address.name)

    def url(self) -> "URL":
        from sqlalchemy.engine import make_url

        return make_url(self._url)

    def size(self) -> int | None:
        from undrop.engines.postgres import session

        with suppress(UndropError), session.opened(self.address, "asking its size") as live:
            return int(live.execute("SELECT pg_database_size(current_database())").fetchall()[0][0])
        return None

    def holders(self) -> "list[Holder]":
        from undrop.engines.postgres import locks, session

        with session.opened(self.address, "asking who is connected") as connection:
            return locks.others(session.asker(connection))

    def snapshot(self) -> "Snapshot":
        from undrop.engines.postgres.snapshot import Snapshot

        return Snapshot(self.address, self.scratch, self.session.progress)

    def look(self) -> "Look":
        from undrop.engines.postgres.look import Look

        return Look(self, self.compare)

    def damaged(self) -> "tuple[list[Path], Origin]":
        raise CheckError(
            f"the server says that {self.label} is damaged: no dump of it can be taken",
            "keep a copy of the server's data; then createdb another database, let the URL name "
            "that one, and",
            Action("restore", "FILE", typed=False),
            "with a path",
        )

    def fingerprint(self) -> list[object] | None:
        from undrop.engines.postgres import fingerprint, session

        doing = "looking at it"
        with suppress(UndropError), session.opened(self.address, doing, autocommit=True) as opened:
            return fingerprint.of(session.asker(opened))
        return None

    def is_same(self, one: list[object], other: list[object]) -> bool:
        from undrop.engines.postgres import fingerprint

        return fingerprint.is_same(one, other)

    def is_live(self, path: Path) -> bool:  # noqa: ARG002 - the protocol's
        return False

    def refuse_unfit(self, path: Path) -> None:
        """What no record vouches for is not loaded unless that is wanted. Raises UntrustedError."""
        from undrop import record
        from undrop.engines.postgres import trust

        if not self.session.trust_file and record.read(path.with_suffix(".json")) is None:
            raise trust.unvouched(path)

    def check(self, path: Path, record: "Record | None") -> "Facts":
        return self._check(path, record, self.session.progress)

    def _check(self, path: Path, record: "Record | None", progress: "Progress") -> "Facts":
        from undrop.engines.postgres import proof, script, trust

        found = digest.of(path, progress, durable.size(path))
        code = [] if self.session.trust_file else trust.code_of(path, record, found)
        with ExitStack() as stack:

            def scratch() -> "Address":
                return stack.enter_context(self.scratch.database(birth=script.birth(path)))

            there = None if self._nowhere else scratch
            facts = proof.prove(there, path, None, progress, dump_digest=found, code=code)
        if record and record.digest == facts.digest and record.content and facts.check == "ok":
            proof.refuse_other(facts.content, facts.rows, record)
            facts = facts._replace(content=record.content, definitions=record.definitions)
        if facts.check == "ok" and (gone := self._roles_gone(path)):
            cure = ", ".join(f'CREATE ROLE "{name}"' for name in gone)
            facts = facts._replace(check=f"ok, but its owner is gone from the server: {cure}")
        return facts

    def _roles_gone(self, path: Path) -> list[str]:
        """Owners that a dump has and the live database's server has not, if that can be asked."""
        from undrop.engines.postgres import programs, session

        if self._nowhere:
            return []
        with suppress(UndropError), session.opened(self.address, "asking for roles") as live:
            names = [f" {name}" for (name,) in live.execute("SELECT rolname FROM pg_roles")]
            lines = programs.read_list(path).splitlines()
            listed = [
                line for line in lines if line[:1].isdigit() and not line.endswith((" ", "-"))
            ]
            gone = {line.rpartition(" ")[2] for line in listed if not line.endswith((*names,))}
            return sorted(gone)
        return []

    @contextmanager
    def admit(self, path: Path, record: "Record | None", *, ours: bool) -> "Iterator[Replacement]":
        from undrop.engines.postgres import programs, work

        self.refuse_unfit(path)
        with TemporaryDirectory(prefix=self.prefix) as folder:
            if not ours:
                copy = Path(folder, path.name)
                (shutil.copytree if path.is_dir() else shutil.copyfile)(path, copy)
                path = copy
            found = digest.of(path, self.session.progress, durable.size(path))
            if record and record.digest == found and record.check.startswith("ok"):
                if record.check == PENDING:
                    self.check(path, record)
                else:
                    # Proved when it was taken, byte for byte; loading it proves it again.
                    programs.read_list(path)
                yield work.Dump(self, path, facts_of(record))
            else:
                yield work.Dump(self, path, self.check(path, record))

    def refuse_while_open(self) -> None:
        """Nothing: connections stay open, and find an empty database."""

    @property
    def clients(self) -> Self:
        return self

    def disconnect(self) -> "list[Holder]":
        from undrop.engines.postgres import disconnect

        return disconnect.disconnect(self.address) if self.exists() else []

    def remove(self, state: "State", log: "Log") -> bool:
        from undrop.engines.postgres import empty, exclusive, session

        if state.kind == "absent":
            return False
        with exclusive.exclusive(self, state, log) as (connection, there):
            empty.empty(session.asker(connection), there)
        return True

    def work(self, state: "State | None", runner: "Runner") -> "AbstractContextManager[Work]":
        from undrop.engines.postgres import work

        return work.work(self, state, runner)

    def merge(
        self,
        state: "State",
        sources: "Sources",
        work_out: "Callable[[Sides], Merge]",
        *,
        triggers: bool,
    ) -> "AbstractContextManager[Merged]":
        from undrop.engines.postgres import merge

        return merge.merged(self, state, sources, work_out, triggers=triggers)

    def compare(self, old: Path, new: Path, also: "Reading | None" = None) -> "Comparison":
        from undrop.engines.postgres import compare, rights

        with self.restored(old) as one, self.restored(new) as other:
            # What may not be given is in neither.
            for there, dump in (one, old), (other, new):
                rights.give(there, dump)
            return compare.databases(
                one, other, self.session.progress, self.prefix, copied=False, also=also
            )

    def script(self) -> "Script":
        from undrop.engines.postgres.statements import Script

        return Script()

    @contextmanager
    def readable(self, path: Path) -> "Iterator[Readable]":
        from undrop.engines.postgres import compare, session

        with (
            self.restored(path) as there,
            session.opened(there, "reading") as connection,
            compare.readable(connection, there, self.session.progress, self.prefix) as copied,
        ):
            yield copied

    def definitions(self, path: Path, record: "Record | None") -> "Definitions":
        if record and record.definitions:
            return Definitions(record.definitions, record.revisions)
        facts = self._check(path, record, quiet)
        return Definitions(facts.definitions, facts.revisions)

    def tables(self) -> list[str]:
        if not self.exists():
            return []
        snapshot = self.snapshot()
        try:
            return list(snapshot.content.tables)
        finally:
            snapshot.close()

    def rows(self, path: Path) -> "Mapping[str, int]":
        from undrop import record

        known = record.read(path.with_suffix(".json"))
        return known.rows if known and known.rows else self._check(path, known, quiet).rows

    @contextmanager
    def query(self, path: Path, sql: str) -> "Iterator[Result]":
        from undrop.engines.postgres import query

        with self.restored(path) as there, query.read(there, sql) as found:
            yield found

    def query_live(self, sql: str) -> "AbstractContextManager[Result]":
        from undrop.engines.postgres import query

        return query.read(self.address, sql)

    @contextmanager
    def shells(self, path: Path) -> "Iterator[list[Shell]]":
        with self.restored(path) as there:
            yield _shells(there)

    def shells_live(self) -> "list[Shell]":
        return _shells(self.address)

    def replica(self, _root: Path, _configured: Path | None) -> None:
        return None

    def sweep(self) -> None:
        durable.sweep_temporary(self.swept)
        with suppress(UndropError):  # a server that is away has nothing to be swept now
            self.scratch.sweep()


def facts_of(record: "Record") -> "Facts":
    """What a record says of its backup."""
    return Facts(**{name: getattr(record, name) for name in Facts._fields})


def _shells(there: "Address") -> "list[Shell]":
    """What is said in the address has more weight than PGOPTIONS."""
    options = there.keywords.get("options") or os.environ.get("PGOPTIONS", "")
    reading = f"{options} -c default_transaction_read_only=on".strip()
    address = there._replace(keywords={**there.keywords, "options": reading})
    return [Shell(("psql", address.conninfo()), address.environment())]


def of_url(url: str, root: Path, *, inside: bool, verify_url: str, session: "Session") -> Postgres:  # noqa: ARG001
    """The database that a URL names. Raises UsageError."""
    return Postgres(url, root, verify_url, session)


def of_backups(verify_url: str, session: "Session") -> Postgres:
    """For backups alone, with no live database: tried on ``verify_url``'s server, or on none."""
    return Postgres(verify_url or "postgresql://", Path(), verify_url, session, without_server=True)


def migrating() -> "Migrating":
    """Its part in Alembic's own process."""
    from undrop.engines.postgres import migrating

    return migrating.Migrating()


def adopting() -> "Adopting":
    """Its part in adopting a project."""
    from undrop.engines.postgres import adopting

    return adopting


def of_django() -> "Djangos":
    """Its part in a project of Django's."""
    from undrop.engines.postgres import django

    return django
