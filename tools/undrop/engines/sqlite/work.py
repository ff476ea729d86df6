"""Files that can take the place of the live content: a backup, or a copy to migrate."""

import os
import shlex
import shutil
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from undrop import durable
from undrop.compare import files
from undrop.engines.sqlite import fulltext, orphans, replace, swap, workcopy
from undrop.engines.sqlite.snapshot import Snapshot, ours
from undrop.errors import UndropError
from undrop.sqlitefile import check, connect, header
from undrop.values import Session, Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.compare.comparison import Comparison, TableChange
    from undrop.engines import protocol
    from undrop.engines.protocol import Log, Runner, State
    from undrop.recipes import Text
    from undrop.record import Record
    from undrop.values import Beside, Facts, Moved, Orphans


class File:
    """A checked file (``protocol.Replacement``)."""

    facts: "Facts"
    journal_mode = ""
    note: "Text" = ""

    def __init__(
        self, live: "Path", path: "Path", session: "Session", *, wal: bool, record: "Record | None"
    ) -> None:
        self._live, self.path, self._session = live, path, session
        self._wal, self._record = wal, record

    def carry_over(self, state: "State") -> None:
        """Have Litestream's tables where live has them, in a copy of our own: a backup stays.

        A running Litestream makes them when it opens a database and never again, while each of its
        checkpoints needs them: without them its replica gets no further, for good. Raises OSError,
        UndropError.
        """
        if state.snapshot is None or state.path is None:
            return
        theirs, ours = check.litestream(state.path), check.litestream(self.path)
        lacking = [theirs[name] for name in sorted(theirs.keys() - ours.keys())]
        if not lacking:
            return
        work = workcopy.beside(self._live)
        if self.path != work:
            durable.require_space(self._live.parent, 2 * durable.size(self.path))
            os.close(durable.create(work, 0o600))
            shutil.copyfile(self.path, work)
            self.path = work
        with connect.explained(work, "making Litestream's tables"):
            connection = connect.connect(work, "rw")
            try:
                for definition in lacking:
                    connection.execute(definition)
            finally:
                connection.close()
        header.settle(work)
        self.facts = check.verify(work, self._session)

    def replace_live(self, state: "State", log: "Log") -> float:
        """Make it the live content, and then give live the journal mode that goes with it.

        That is for later readers: killed before it, the new content is there in the mode of old.
        """
        seconds = replace.replace(
            self._live, state, self.path, log, self._session, wal=self._wal, like=self._record
        )
        if state.snapshot and self.journal_mode:
            self.note = replace.change_journal_mode(self._live, self.journal_mode)
            self.journal_mode = "" if self.note else self.journal_mode
        return seconds

    def hand_over(self, target: "Path") -> bool:
        """Give away a work copy; a backup stays where it is."""
        copied = self.path == workcopy.beside(self._live) and self.path.exists()
        if not copied or self.path.samefile(self._live):  # it has become the live database
            return False
        durable.move(self.path, target)
        return True


class Work(File):
    """A work copy beside the live database (``protocol.Work``)."""

    def __init__(
        self, live: "Path", path: "Path", session: "Session", runner: "Runner", *, wal: bool
    ) -> None:
        super().__init__(live, path, session, wal=wal, record=None)
        self._runner = runner

    @property
    def file(self) -> "Path":
        """The work copy."""
        return self.path

    def migrate(self, beside: "tuple[Beside, ...]" = ()) -> "Moved":
        """Run the migrations on the file, and on those beside it."""
        return self._runner.run(Target(str(self.path), beside=beside))

    def finish(self, _moved: "Moved") -> None:
        """Bring it into one file, remember which journal mode was asked for, and check it."""
        began, self._wal = self._wal, swap.settle(self.path)
        if self._wal != began:
            self.journal_mode = "wal" if self._wal else "delete"
        swap.pad(self.path)
        header.settle(self.path)
        self.facts = check.verify(self.path, self._session)

    def compare(self, backup: "Path") -> "Comparison":
        """From a backup to this, and whether its full-text indexes match their rows."""
        progress = self._session.progress
        comparison = files.compare(
            backup, self.path, progress, version_table=self._session.version_table
        )
        errors = fulltext.unsound(self.path, progress, (backup, comparison))
        if not errors:
            return comparison
        work = workcopy.beside(self._live)  # swept as that is
        durable.require_space(self._live.parent, durable.size(backup))
        with durable.scratch(work.with_name(f"{work.name}-before")) as copy:
            shutil.copyfile(backup, copy)
            before = fulltext.unsound(copy, progress)
        return comparison._replace(full_text=fulltext.compared(comparison, errors, before))

    def tables(self) -> set[str]:
        """The tables in it."""
        return set(check.tables(self.path))

    def orphans(self, backup: "Path | None", tables: "list[TableChange]") -> "list[Orphans]":
        """Rows whose foreign key points nowhere and did not before."""
        return orphans.since(backup, self.path, tables)

    def try_replace(self, snapshot: "protocol.Snapshot", backup: "Path") -> float:
        """Replace the content of a copy of the snapshot that we have to ourselves."""
        swap.pad(self.path)
        # Another page size goes in without WAL (``swap.without_wal``).
        live = ours(snapshot)
        if live.wal and live.page_size == header.read(self.path).page_size:
            header.set_journal_mode(backup, header.WAL)
        apart = Session(self._session.progress, self._session.patience)  # live stays as it is
        with closing(Snapshot(backup, apart)) as copy:
            return swap.swap(copy, self.path)


@contextmanager
def work(
    live: "Path", state: "State | None", session: "Session", runner: "Runner"
) -> "Iterator[Work]":
    """A copy of what holds the ``state``, or an empty file, beside the live database.

    It begins in the journal mode that live has, so that a migration's asking for another shows.
    """
    backup = state.path if state else None
    if not live.parent.is_dir():
        what = f"there is no folder {live.parent} for {live.name}"
        raise UndropError(what, f"mkdir -p {shlex.quote(str(live.parent))}, then the same again")
    if backup:
        durable.require_space(live.parent, 2 * durable.size(backup))
    with durable.scratch(workcopy.beside(live)) as path:
        wal = False
        if backup:
            shutil.copyfile(backup, path)
            if wal := bool(state and state.snapshot and ours(state.snapshot).wal):
                header.set_journal_mode(path, header.WAL)
        yield Work(live, path, session, runner, wal=wal)
