"""Take a verified backup, and know whether the present state is held by one."""

import os
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from undrop import durable
from undrop.errors import CheckError, DamagedError, UndropError
from undrop.recipes import Action
from undrop.record import Record
from undrop.steps import pending, verify
from undrop.store import catalog, damaged_sets, log, packing, shrink
from undrop.store.home import here
from undrop.store.log import After
from undrop.values import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.engines.protocol import Replacement, Snapshot
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock
    from undrop.values import Hold

INVOCATION = "UNDROP_INVOCATION"
"""What one call of just hands to all of its recipes."""
HOOKED = {"alembic", "django"}
"""Kinds of steps that a hook in the project's own process begins and ends."""
STEPS = {"", "restore", "recover", "migrate", "reset-db", "nuke-db", "undo", *HOOKED}
# These must work on a damaged database; somebody's own command may be what mends it.
RESCUES = {"restore", "reset-db", "nuke-db", "undo", "run", "agent"}


class Purpose(NamedTuple):
    """What a backup is for."""

    reason: str
    next_step: str
    """The step that comes next, one of STEPS."""
    fresh: bool = False
    """Take one even when another holds this state already."""
    accept_shrink: bool = False
    """Tables that lost all their rows were meant to."""
    proved: bool = True
    """The proof that it can be put back comes first; else it may be pending (``pending``)."""
    migrates: bool = False
    """A copy of what it holds is migrated next: the proof's will do, or making it is the proof."""
    last_step: str = ""
    """The step that has ended, whose state after it is to be held."""


class State(NamedTuple):
    """What the live database is, and what holds it (``protocol.State``)."""

    kind: Literal["database", "absent", "damaged"]
    backup: "Backup | None"
    """The verified backup, or the set of damaged files; None when there is no database."""
    snapshot: "Snapshot | None"
    """The snapshot's hold on the live database; only for a database."""
    next_step: str
    """The kind of step that comes next."""
    taken: bool = False
    """Whether a backup was taken for it just now."""

    @property
    def name(self) -> str:
        """What holds it, as the log of steps names that: empty when there is no database."""
        return self.backup.path.name if self.backup else ""

    @property
    def path(self) -> "Path | None":
        """Where that is."""
        return self.backup.path if self.backup else None

    @property
    def record(self) -> "Record | None":
        """Its record."""
        return self.backup.record if self.backup else None

    @property
    def hold(self) -> "Hold | None":
        """How long others' writes have waited since; None where they have not."""
        return self.snapshot.hold if self.snapshot else None


def take(lock: "Lock", purpose: Purpose) -> "Backup | None":
    """Back the live database up and return the new backup; None when there is no database.

    Damage is set aside for those steps that must work then, and raises CheckError for the
    others.
    """
    with covered(lock, purpose._replace(fresh=True)) as state:
        return state.backup


@contextmanager
def covered(lock: "Lock", purpose: Purpose, hold: float = 0) -> "Iterator[State]":
    """The live state, held by a verified backup for as long as the block runs.

    The backup that holds it is found by content (the digest of a snapshot taken now) or taken.
    ``hold``: seconds for which nobody may write from that snapshot on (``protocol.Writers``).
    """
    settings = lock.settings
    engine = settings.engine
    if not engine.exists():
        yield State("absent", None, None, purpose.next_step)
        return
    with ExitStack() as stack:
        try:
            try:
                state = _pinned(lock, purpose, stack, hold)
            except DamagedError:
                # SQLite reports a read that the disk failed as damage too; that may pass.
                stack.close()
                state = _pinned(lock, purpose, stack, hold)
        except DamagedError as damage:
            if purpose.next_step not in RESCUES:
                raise CheckError(
                    f"{engine.label} is damaged: {damage.what}", Action("restore", "latest")
                ) from damage
            record = _record(settings, purpose, time.time())
            record = record._replace(check=f"damaged: {damage.what}")
            kept = damaged_sets.set_aside(lock, record, fresh=purpose.fresh)
            state = State("damaged", kept, None, purpose.next_step)
            stack.close()
        yield state


def after(lock: "Lock", state: State, content: "Replacement", filled: list[str]) -> After:
    """The state after a step that put ``content`` in place of ``state``, and what holds it.

    The copy that was put in place becomes a backup; where there is none, live is backed up.
    ``filled`` are the tables that are to have rows. Never raises OSError or UndropError: the step
    is done, and what its state is like is known all the same.
    """
    settings, facts = lock.settings, content.facts
    known = facts.content or facts.digest
    step = state.next_step
    purpose = Purpose(f"after {step}", "", proved=False, last_step=step)
    with suppress(OSError, UndropError):
        backups = catalog.backups(settings)
        if known and (kept := holding(settings, backups, known)):
            return After(kept.path.name, known)
        with durable.scratch(lock.partial()) as work:
            if state.snapshot and content.hand_over(work):
                record = _record(settings, purpose, time.time())._replace(
                    **_facts(facts),
                    **state.snapshot.origin()._asdict(),
                    shrunk=sorted(set(filled) - set(facts.filled)),
                )
                if content.journal_mode:
                    record = record._replace(journal_mode=content.journal_mode)
                durable.make_read_only(work)
                published = catalog.publish(lock, work, record, settings.engine.suffix)
                return After(published.path.name, known)
        with covered(lock, purpose) as present:
            return After(present.name, present.record.state if present.record else "")
    return After(None, known)


def _facts(facts: "Facts | Record") -> dict[str, Any]:
    """What of a record is known from a check."""
    return {name: getattr(facts, name) for name in Record._fields if name in Facts._fields}


def _record(settings: "Settings", purpose: Purpose, when: float) -> "Record":
    """The beginnings of a record; ``when`` is ``time.time()`` at the snapshot's end."""
    return Record(
        created=datetime.fromtimestamp(when, UTC).isoformat(timespec="microseconds"),
        reason=purpose.reason,
        next_step=purpose.next_step,
        last_step=purpose.last_step,
        source=settings.source,
        sequence=log.next_sequence(settings),
        home=here(settings),
        invocation=os.environ.get(INVOCATION, ""),
    )


def _pinned(lock: "Lock", purpose: Purpose, stack: ExitStack, hold: float) -> State:
    engine = lock.settings.engine
    if purpose.proved and not purpose.migrates:
        pending.settle(lock)
    snapshot = engine.writers.hold(hold) if hold and engine.writers else engine.snapshot()
    stack.callback(snapshot.close)
    kept, taken = _cover(lock, snapshot, purpose)
    return State("database", kept, snapshot, purpose.next_step, taken)


def _cover(lock: "Lock", snapshot: "Snapshot", purpose: Purpose) -> "tuple[Backup, bool]":
    """The backup that holds the snapshot, and whether it was taken now."""
    settings = lock.settings
    backups = catalog.backups(settings)  # no other is taken while the lock is ours
    if not purpose.fresh and (same_content := _newest_copy(settings, snapshot, purpose, backups)):
        snapshot.release()
        return same_content, False
    durable.require_space(settings.backups, snapshot.bytes)
    with durable.scratch(lock.partial()) as work:
        content = snapshot.identify(work).content
        same_content = holding(settings, _enough(backups, purpose), content)
        if same_content:
            packing.make_plain(lock, same_content)
        if same_content and not purpose.fresh:
            snapshot.release()
            return same_content, False
        facts: Record | Facts
        if same_content and same_content.record and durable.link_instead(same_content.path, work):
            snapshot.release()
            # Checked when it was taken, and its bytes are, read again just now, this one's.
            facts = same_content.record
        else:
            facts = snapshot.complete(work, content, prove=purpose.proved, keep=purpose.migrates)
        record = _record(settings, purpose, snapshot.taken)._replace(
            **_facts(facts), **snapshot.origin()._asdict()
        )
        if not purpose.accept_shrink:
            record = record._replace(shrunk=shrink.missing(settings, backups, record.filled))
        durable.make_read_only(work)
        return catalog.publish(lock, work, record, settings.engine.suffix), True


def _enough(backups: "list[Backup]", purpose: Purpose) -> "list[Backup]":
    """Those that may hold a state for it: where a proof is pending, another one is taken."""
    if purpose.migrates or not purpose.proved:
        return backups
    return [each for each in backups if not each.pending]


def _newest_copy(
    settings: "Settings", snapshot: "Snapshot", purpose: Purpose, backups: "list[Backup]"
) -> "Backup | None":
    """The newest backup of this database, if it has the live content, asked the cheap way.

    It spares a copy of the live database when nothing was written since.
    """
    ours = [each for each in backups if catalog.is_of(settings, each)]
    for newest in _enough([each for each in ours if each.verified][-1:], purpose):
        with suppress(OSError):
            if newest.record and snapshot.is_in(newest.path, newest.record):
                return holding(settings, [newest], newest.record.state)
    return None


def holding(settings: "Settings", backups: "list[Backup]", content: str) -> "Backup | None":
    """The newest verified one of ``backups`` with this content, its bytes read again now."""
    for backup in reversed(backups):
        record = backup.record
        if not backup.verified or record is None or record.state != content:
            continue
        if not catalog.is_of(settings, backup):  # undo asks for this database's own
            continue
        with suppress(OSError):  # one that cannot be read holds nothing
            # The live database made a link to a backup would cover itself.
            linked = settings.engine.is_live(backup.file)
            if not linked and verify.is_as_kept(settings, backup):
                return backup
    return None
