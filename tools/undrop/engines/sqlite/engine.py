"""SQLite's answers to what undrop asks of a database (``undrop.engines.protocol.Engine``)."""

import os
import re
import shlex
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from undrop import durable
from undrop.engines.sqlite import address, livefiles
from undrop.engines.sqlite.snapshot import Snapshot, ours
from undrop.errors import CheckError, UsageError, damaged
from undrop.recipes import Action
from undrop.sqlitefile import check, header
from undrop.values import Shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from sqlalchemy.engine import URL

    from undrop.compare.comparison import Comparison, Reading
    from undrop.compare.merge import Merge, Sides, Sources
    from undrop.compare.readable import Readable
    from undrop.engines.litestream.replica import Litestream
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
    from undrop.engines.sqlite.live import Live
    from undrop.engines.sqlite.look import Look
    from undrop.record import Record
    from undrop.values import Definitions, Facts, Holder, Origin, Result, Session


class Sqlite:
    """A database file; see ``protocol.Engine`` for what each method answers."""

    suffix = ".db"
    kind = "sqlite"
    light = True
    clients = None

    def __init__(self, url: str, root: Path, session: "Session", *, inside: bool) -> None:
        self.session = session
        self.database = address.database_path(url, root)
        """The file as the URL names it; None for a database that lives in memory."""
        self._url = url
        name = self.database.stem if self.database else ""
        self.stem = re.sub(r"[\x00-\x1f\x7f]|^[.-]", "_", name)
        path = self.database or Path(":memory:")
        # A project that was moved, or cloned by somebody else, keeps its backups' identity;
        # unless they are kept outside of it, where another project's may be, too.
        inside = inside and path.is_relative_to(root)
        self.source = str(path.relative_to(root) if inside else path)
        self.label = str(self.database or url)

    @property
    def live(self) -> Path:
        """The database file itself, symbolic links followed as SQLite does.

        SQLite keeps ``-wal`` and ``-journal`` beside the target of a link, not beside the link.
        """
        if self.database is None:
            raise UsageError(
                f"{self._url} is in memory: there is no file to change",
                address.HOW_TO_SET,
                ", or a URL",
            )
        return Path(os.path.realpath(self.database))

    @property
    def file(self) -> Path | None:
        return self.live if self.database else None

    @property
    def in_memory(self) -> bool:
        return self.database is None

    def url(self) -> "URL":
        from sqlalchemy.engine import make_url

        configured = make_url(self._url)
        if self.database is None:
            return configured
        # By its absolute path: relative ones are from wherever a program was started.
        is_uri = configured.query.get("uri")
        return configured.set(database=self.database.as_uri() if is_uri else str(self.database))

    def exists(self) -> bool:
        """Whether there is the file, or sidecars that outlived it."""
        if self.database is None:
            return False
        return self.live.exists() or any(map(durable.size, livefiles.with_content(self.live)))

    def size(self) -> int | None:
        with suppress(FileNotFoundError):
            if self.database is not None and self.live.is_file():
                return self.live.stat().st_size
        return None

    def holders(self) -> "list[Holder]":
        from undrop.sqlitefile import holders

        return holders.of(self.live)

    def snapshot(self) -> "Live":
        return self.hold(0)

    @property
    def writers(self) -> Self:
        return self

    def hold(self, seconds: float) -> "Live":
        from undrop.engines.sqlite.live import Live

        self._refuse_no_file()
        return Live(self.live, self.session, hold=seconds)

    def look(self) -> "Look":
        from undrop.engines.sqlite.look import Look

        self._refuse_no_file()
        return Look(self.live, self.session)

    def _refuse_no_file(self) -> None:
        if not self.live.exists():
            raise damaged("the file is gone and its -wal or -journal is still there")
        if not self.live.is_file():
            there = str(self.database)
            what = f"{there} is a folder" if self.live.is_dir() else f"{there} leads to {self.live}"
            aside = shlex.join(["mv", there, f"{there}.aside"])
            raise UsageError(f"{what}, where the database should be", f"{aside} &&", Action("undo"))

    def damaged(self) -> "tuple[list[Path], Origin]":
        from undrop.engines.sqlite.live import origin

        files = livefiles.with_content(self.live)
        return files, origin(files[0])

    def fingerprint(self) -> list[object] | None:
        from undrop.engines.sqlite import fingerprint

        return fingerprint.of(self.live)

    def is_same(self, one: list[object], other: list[object]) -> bool:
        return one == other

    def is_live(self, path: Path) -> bool:
        return self.live.exists() and path.samefile(self.live)

    def refuse_unfit(self, path: Path) -> None:
        if self.is_live(path):
            raise UsageError(f"{path} is the live database itself", Action("list"))
        if not path.is_file():
            raise UsageError(f"{path} is not a file", Action("list"))
        wal, _shm, journal = durable.sidecars(path)
        for sidecar in (wal, journal):
            if size := durable.size(sidecar):
                raise CheckError(
                    f"{path.name} is not whole alone: {sidecar.name} has {size:,} bytes of it",
                    f"sqlite3 {shlex.quote(str(path))} '.backup whole.db', then",
                    Action("restore", "whole.db"),
                )
        header.read(path)

    def check(self, path: Path, record: "Record | None") -> "Facts":
        if not path.is_file():
            raise CheckError(f"{path.name} is not a file", Action("list"))
        facts = check.verify(path, self.session)
        if record and durable.size(path) != facts.bytes:
            raise CheckError(
                f"{path.name} is not what its record says: there is more behind its last page",
                Action("list"),
            )
        if record is None and not check.has_table(path):
            raise CheckError(f"{path} has no record and no table in it", Action("list"))
        return facts

    @contextmanager
    def admit(self, path: Path, record: "Record | None", *, ours: bool) -> "Iterator[Replacement]":
        from undrop.engines.sqlite import workcopy
        from undrop.engines.sqlite.work import File

        durable.make_folder(self.live.parent)  # it may have gone with the database
        facts = self.check(path, record)
        wal = record.journal_mode == "wal" if record else header.read(path).wal
        if ours:
            content = File(self.live, path, self.session, wal=wal, record=record)
            content.facts = facts
            try:
                yield content
            finally:
                durable.remove_with_sidecars(workcopy.beside(self.live))  # what was carried over
            return
        durable.require_space(self.live.parent, 2 * facts.bytes)
        mode = "rw" if os.access(path.parent, os.W_OK) else "immutable"
        snapshot = Snapshot(path, self.session, mode)
        try:
            with durable.scratch(workcopy.beside(self.live)) as work:
                snapshot.copy_to(work)
                content = File(self.live, work, self.session, wal=wal, record=record)
                content.facts = check.verify(work, self.session, written=True)
                yield content
        finally:
            snapshot.close()

    def refuse_while_open(self) -> None:
        livefiles.refuse_while_open(self.live)

    def remove(self, state: "State", log: "Log") -> bool:
        if state.kind == "absent":
            if any(map(os.path.lexists, durable.sidecars(self.live))):
                livefiles.unlink(
                    self.live, self.session
                )  # what a killed run left, and holds nothing
            return False
        with log:
            if state.snapshot is not None:
                livefiles.remove(ours(state.snapshot))
            else:
                livefiles.refuse_while_open(self.live)
                livefiles.unlink(self.live, self.session)
        return True

    def work(self, state: "State | None", runner: "Runner") -> "AbstractContextManager[Work]":
        from undrop.engines.sqlite import work

        return work.work(self.live, state, self.session, runner)

    def merge(
        self,
        state: "State",
        sources: "Sources",
        work_out: "Callable[[Sides], Merge]",
        *,
        triggers: bool,
    ) -> "AbstractContextManager[Merged]":
        from undrop.engines.sqlite import merge

        return merge.merged(self.live, state, self.session, sources, work_out, triggers=triggers)

    def compare(self, old: Path, new: Path, also: "Reading | None" = None) -> "Comparison":
        from undrop.compare import files

        return files.compare(
            old, new, self.session.progress, version_table=self.session.version_table, also=also
        )

    def readable(self, path: Path) -> "AbstractContextManager[Readable]":
        from undrop.compare import readable

        return readable.opened(path)

    def script(self) -> "Script":
        from undrop.compare.script import Script

        return Script()

    def definitions(self, path: Path, _record: "Record | None") -> "Definitions":
        return check.definitions(path, self.session.version_table)

    def tables(self) -> list[str]:
        from undrop.sqlitefile import check, connect

        if not self.live.exists():
            return []
        with connect.explained(self.live, "reading the schema", self.session.patience):
            return list(check.tables(self.live, "ro"))

    def rows(self, path: Path) -> "Mapping[str, int]":
        from undrop.compare import rows

        return rows.of(path, self.session.version_table)

    @contextmanager
    def query(self, path: Path, sql: str) -> "Iterator[Result]":
        from undrop.sqlitefile import connect, query

        with connect.explained(path, "reading"), closing(connect.connect(path, "immutable")) as one:
            yield query.read(one, sql)

    @contextmanager
    def query_live(self, sql: str) -> "Iterator[Result]":
        with closing(self.look()) as look, look.query(sql) as found:
            yield found

    @contextmanager
    def shells(self, path: Path) -> "Iterator[list[Shell]]":
        yield _shells(path, "immutable")

    def shells_live(self) -> "list[Shell]":
        self._refuse_no_file()
        return _shells(self.live, "ro")

    def replica(self, root: Path, configured: Path | None) -> "Litestream | None":
        from undrop.engines.litestream import config, replica

        if self.database is None:
            return None
        found = config.find(root, configured, self.live)
        return replica.Litestream(found) if found else None

    def sweep(self) -> None:
        from undrop.engines.sqlite import workcopy

        if self.database is not None:
            workcopy.sweep(self.live)


def _shells(path: Path, mode: str) -> "list[Shell]":
    from undrop.sqlitefile import connect

    uri = connect.uri(path, mode)
    return [Shell(("litecli", uri), {}), Shell(("sqlite3", "-readonly", uri), {})]


def of_url(url: str, root: Path, *, inside: bool, verify_url: str, session: "Session") -> Sqlite:  # noqa: ARG001
    """The database that a URL names. Raises UsageError."""
    return Sqlite(url, root, session, inside=inside)


def of_backups(_verify_url: str, session: "Session") -> Sqlite:
    """For backups alone, with no live database."""
    return Sqlite("sqlite://", Path(), session, inside=False)


def migrating() -> "Migrating":
    """Its part in Alembic's own process."""
    from undrop.engines.sqlite import migrating

    return migrating


def adopting() -> "Adopting":
    """Its part in adopting a project."""
    from undrop.engines.sqlite import adopting

    return adopting


def of_django() -> "Djangos":
    """Its part in a project of Django's."""
    from undrop.engines.sqlite import django

    return django
