"""Dumps that can take the place of the live content, and scratch databases to migrate."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from undrop.engines.postgres import (
    compare,
    content,
    exclusive,
    load,
    programs,
    rehearsed,
    rights,
    sequences,
    session,
    snapshot,
)
from undrop.engines.postgres.side import OpenSide, Side
from undrop.errors import ChangedError, LiveMovedError, UndropError
from undrop.recipes import Action
from undrop.record import ANYBODY
from undrop.values import Facts, InPlace, Moved, Orphans, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from undrop.compare.comparison import Comparison, TableChange
    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.site import Site
    from undrop.engines.protocol import Log, Runner, Snapshot, State
    from undrop.recipes import Text
    from undrop.values import Beside


class Dump:
    """A checked dump (``protocol.Replacement``)."""

    journal_mode = ""
    note: "Text" = ""

    def __init__(self, site: "Site", path: Path, facts: "Facts") -> None:
        self._site, self.path, self.facts = site, path, facts

    def carry_over(self, _state: "State") -> None:
        """Nothing: no program beside us keeps its own in the database."""

    def replace_live(self, state: "State", log: "Log") -> float:
        """Empty the live database and load the dump, in one transaction."""
        self._site.make(self.path)
        # An older undrop summed up other things (``Postgres.check``).
        is_older = ANYBODY in self.facts.code
        data = "" if is_older else self.facts.content.partition(" ")[0]
        loading = load.Load(self.path)
        return exclusive.replace(self._site, state, loading, log, data=data)

    def hand_over(self, _target: Path) -> bool:
        """No: it is in ``backups/``, or its user's own."""
        return False


class Work:
    """A scratch database (``protocol.Work``), and one with what was there before beside it."""

    facts: Facts
    journal_mode = ""
    note: "Text" = ""

    def __init__(  # noqa: PLR0913 - what it is made of, and how it goes again
        self,
        site: "Site",
        backup: "Address | None",
        there: "Address",
        runner: "Runner",
        let_go: "Callable[[], object]",
        *,
        is_whole: bool,
    ) -> None:
        """``let_go`` has both dropped, which lasts, while something else is done."""
        self._is_whole, self._let_go = is_whole, let_go
        self._site, self._backup, self._there, self._runner = site, backup, there, runner
        self._tried, self._data = Moved([], [], 0, [], "", [], 0.0), ""
        self._told = ""
        """What the migrations did (``rehearsed.told``)."""

    file = None

    def migrate(self, _beside: "tuple[Beside, ...]" = ()) -> "Moved":
        """Run the migrations on the scratch database alone."""
        self._tried = self._runner.run(self._site.copy_target(self._there))
        return self._tried

    def finish(self, _moved: "Moved") -> None:
        """Read what it holds now."""
        anew = self._backup is None  # and then it is asked whether it is what was there before
        version_table = self._there.version_table
        if rows := self._runner.rows:
            if anew and self._site.exists():
                raise UndropError(
                    "the migrations change the server, not the database alone "
                    f"({', '.join(self._tried.server)}): an empty database takes live's place as a "
                    "copy, which cannot have that",
                    "do that on the server yourself, so that they have nothing left to change, "
                    "then the same command again",
                )
            found = content.read(lambda sql: [*rows(sql)], None, version_table)
        else:
            with (
                session.opened(self._there, "checking the migrated copy") as connection,
                programs.defining(self._there) if anew else nullcontext() as definitions,
            ):
                found = content.read(session.asker(connection), definitions, version_table)
        state, self._data = found.all if anew else "", found.data
        self.facts = Facts(0, "", found.revisions, found.filled, content=state, rows=found.rows)

    def compare(self, backup: Path) -> "Comparison":
        """From a backup to this."""
        table, rooted = self._there.version_table, self._backup is not None
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix=self._site.prefix)))
            before = self._backup or stack.enter_context(self._site.restored(backup))
            opened = stack.enter_context(session.opened(before, "comparing"))
            ask = session.asker(opened)
            if rows := self._runner.rows:
                new: Side = OpenSide(rows, rooted=rooted, version_table=table, beside=ask)
            else:
                there = stack.enter_context(session.opened(self._there, "comparing"))
                new = Side(there, rooted=rooted, version_table=table, beside=ask)
            old = Side(opened, rooted=rooted, version_table=table, beside=new.ask)
            comparison = compare.sided(old, new, folder, self._site.session.progress)
            if self._runner.in_place:
                self._told = rehearsed.told(old, new, self._tried.commits, rights=self._is_whole)
        # What it has changed of the server is locked for others, and for live's migration.
        self._runner.roll_back()
        return comparison

    def hand_over(self, _target: Path) -> bool:
        """No: a scratch database is no dump."""
        return False

    def tables(self) -> set[str]:
        """The tables in it."""
        return set(self.facts.rows)

    def orphans(self, _backup: Path | None, _tables: "list[TableChange]") -> list[Orphans]:
        """None: PostgreSQL lets no row point nowhere."""
        return []

    def try_replace(self, _held: "Snapshot", _backup: Path) -> float:
        """How long the migrations took."""
        return self._tried.seconds

    def carry_over(self, _state: "State") -> None:
        """Nothing: no program beside us keeps its own in the database."""

    def replace_live(self, state: "State", log: "Log") -> float:
        """Migrate the live database itself, where that can be; else replace its content."""
        self._runner.roll_back()
        self._site.make()
        replaces = not self._runner.in_place
        if replaces or (self._backup is None and state.snapshot is not None):
            with TemporaryDirectory(prefix=self._site.prefix) as folder:
                path = Path(folder, "head.pgdump")
                path.touch(0o600)
                snapshot.dumped(self._there, path, self._site.session.progress)
                # Its owner may be a user of another server's.
                loading = load.Load(path, less=("--no-owner",) if self._site.elsewhere else ())
                data = self._data if replaces else ""
                return exclusive.replace(self._site, state, loading, log, data=data)
        return self._migrate_live(state, log)

    def _migrate_live(self, state: "State", log: "Log") -> float:
        """Run the migrations on it in one transaction, if it still is what was backed up."""
        address = self._site.address
        expect = state.record.content if state.snapshot and state.record else ""
        if state.snapshot:
            state.snapshot.release()
        with log, TemporaryDirectory(prefix=self._site.prefix) as folder:
            note = Path(folder, "transaction")
            tried, told = self._tried, Path(folder, "rehearsed")
            told.write_text(self._told)
            live = InPlace(
                expect,
                address.patience,
                str(note),
                tried.runs,
                str(told) if self._told else "",
            )
            try:
                moved = self._runner.run(Target(address.name, live=live))
            except LiveMovedError:
                raise
            except BaseException as error:
                # The transaction that had the locks came before everything else.
                if not note.exists():
                    raise
                xid, pid, ends = json.loads(note.read_text())
                known = session.outcome(address, xid, pid)
                if known == "aborted":
                    sequences.put_back(address, ends)
                    raise
                self._site.session.changed = True
                name = state.path.name if state.path else ""
                what = error.what if isinstance(error, UndropError) else repr(error)
                raise ChangedError(
                    f"part of the migrations is in place: not all ran in one transaction; {what}",
                    Action("restore", name) if name else Action("nuke-db"),
                ) from error
            self._site.session.changed = True
        self._let_go()
        return moved.seconds


def _refuse_less(copy: "Address", definitions: str) -> None:
    """Raise UndropError where a copy is not made of what live was, whose definitions' digest it is.

    Owners, grants and publications would be lost with live's content.
    """
    with (
        session.opened(copy, "reading the copy") as connection,
        programs.defining(copy) as defined,
    ):
        if content.definitions_of(session.asker(connection), defined()) != definitions:
            raise UndropError(
                "a copy of the database has not all that it has: an owner, a grant, a publication "
                "or the like, which would be lost when the migrated copy takes its place",
                "run what migrates behind a backup:",
                Action("run", "COMMAND…", typed=False),
            )


@contextmanager
def work(site: "Site", state: "State | None", runner: "Runner") -> "Iterator[Work]":
    """A scratch database with what holds the ``state``, or an empty one. Raises UndropError.

    Where its content is to take the place of live's, it must have all that live has.
    """
    backup, replaces = state.path if state else None, not runner.in_place
    held = state.snapshot if state else None
    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        known = None
        if isinstance(held, snapshot.Snapshot) and not replaces:
            known = held.proved
            stack.push(held.hand_over())
        if backup and not known:
            record = state.record if state else None
            known = stack.enter_context(site.restored(backup, record, whole=replaces))
        if known and replaces and state and state.record:
            _refuse_less(known, state.record.definitions)
        is_whole = bool(known and backup and (replaces or rights.give(known, backup)))
        there = stack.enter_context(site.scratch.database(known))
        if known is None:
            site.scratch.extend(there, every=not site.exists())
        kept = stack.pop_all()

        def let_go() -> "Future[None]":
            return thread.submit(kept.close)

        stack.callback(lambda: let_go().result())
        yield Work(site, known, there, runner, let_go, is_whole=is_whole)
