"""Change the schema on a work copy, check that, and only then replace the live content."""

import shutil
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable, record, version_table
from undrop.compare import losses
from undrop.errors import (
    CheckError,
    DamagedError,
    UndropError,
    UnknownRevisionError,
    UsageError,
)
from undrop.migrations import revisions, tool
from undrop.recipes import Action
from undrop.steps import backup, choose, guarded, pending, strayed
from undrop.values import UNMOVED, Beside, Moved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from undrop.compare.comparison import Comparison
    from undrop.engines.protocol import Work
    from undrop.migrations.tool import Tool
    from undrop.settings import Settings
    from undrop.steps.backup import State
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock

AGAIN = "correct the migration, then the same command again"


class Migrated(NamedTuple):
    """What ``migrate`` or ``reset`` did."""

    moved: Moved
    report: losses.Report
    change: guarded.Change


class Rehearsed(NamedTuple):
    """What ``migrate`` would do."""

    moved: Moved
    report: losses.Report
    remaining: list[losses.Loss]
    """Losses that nobody accepted."""
    seconds_locked: float
    """How long the replacement took, tried on a copy."""
    backup: "Backup | None"
    """What holds the live database as it was; None where there was none."""
    has_moved: bool
    """Whether somebody has written to it since."""


def migrate(lock: "Lock", migrations: "Tool", *, accept_loss: bool) -> Migrated:
    """Bring the live database's schema where ``migrations`` are asked to, in one atomic step.

    They run on a copy of the verified backup; the live database stays in use meanwhile and
    is replaced only when the copy passes its checks and has lost nothing that was not accepted,
    in the migration's file or by ``accept_loss``. Raises LossError,
    CheckError, UndropError with the live database bit for bit as it was.
    """
    [done] = migrate_all([lock], migrations, accept_loss=accept_loss)
    return done


def migrate_all(
    locks: "list[Lock]", migrations: "Tool", lent: "Sequence[Lock]" = (), *, accept_loss: bool
) -> list[Migrated]:
    """The same on several of a project's databases, in one run on a copy of each.

    Nothing is replaced before all have passed; then one after the other is, a step each. Of those
    that are ``lent`` the run gets copies, too, and nothing becomes of these. Raises as
    ``guarded.together`` does where one fails behind others.
    """
    _refuse_strange(locks[0].settings, migrations)
    copies: list[_Copy] = []
    moved_from = ""

    def change(attempts: list[guarded.Attempt]) -> list[guarded.Outcome | None]:
        nonlocal copies, moved_from
        states = [attempt.state for attempt in attempts]
        with _discarded(migrations), _works(locks, states, migrations, lent) as (works, theirs):
            tried = run = _migrated(locks, lent, works, [*states, *theirs], migrations)
            if not (migrations.fenced or any(copy.moved.steps for copy in run)):
                moved_from = states[0].name * strayed.has_moved(locks[0], states[0])
            left = [[] if accept_loss else losses.remaining(c.report, c.moved.accepts) for c in run]
            if any(left):
                raise loss(migrations, [copy.report for copy in run], left)
            if copies and len(locks) > 1:  # what an earlier try has done is told all the same
                pairs = zip(copies, run, strict=True)
                run = [new if new.moved.steps else old for old, new in pairs]
            copies = run
            return [_put(*each) for each in zip(attempts, works, tried, strict=False)]

    waiting = _waiting(locks)
    with _advised(locks):
        done = guarded.together(locks, "migrate", change)
    _settle(locks, waiting)
    done[0] = done[0]._replace(moved_from=done[0].moved_from or moved_from)
    return [Migrated(c.moved, c.report, change) for c, change in zip(copies, done, strict=True)]


def _waiting(locks: "list[Lock]") -> "list[list[Backup]]":
    """Backups whose proof was put off; one that a copy is made of is proved by that."""
    return [pending.waiting(lock.settings) for lock in locks]


def _settle(locks: "list[Lock]", waiting: "list[list[Backup]]") -> None:
    """Prove the others, now that nobody waits: the state after may wait for the next command."""
    for lock, backups in zip(locks, waiting, strict=True):
        pending.settle(lock, backups)


def _refuse_strange(settings: "Settings", migrations: "Tool") -> None:
    """Raise UsageError where nothing shows that migrations are for a database that was named.

    A run that is handed one makes its tables there, whosever it is.
    """
    if not (settings.told and migrations.together and settings.engine.exists()):
        return
    try:
        with closing(settings.engine.look()) as live:
            if live.is_empty() or live.revisions():
                return
    except UndropError:  # the step itself says what is wrong
        return
    raise UsageError(
        f"{settings.name} has tables and no revision: nothing shows that it is for these "
        "migrations",
        "where they are,",
        Action("run", "alembic", "stamp", "REVISION", typed=False),
        "says where it stands",
    )


def _put(attempt: guarded.Attempt, work: "Work", copy: "_Copy") -> guarded.Outcome | None:
    """Put a migrated copy in place; None where no migration ran on it."""
    if copy.moved.steps == 0:
        attempt.end(None)
        return None
    state = attempt.state
    # What an earlier backup misses is missed still, unless its table went on purpose.
    missed = set(state.record.shrunk if state.record else ()) & work.tables()
    filled = sorted(missed | set(work.facts.filled))
    seconds = attempt.put_in_place(work)
    after = backup.after(attempt.lock, state, work, filled)
    outcome = guarded.Outcome(seconds, filled, after, note=work.note)
    attempt.end(outcome)
    return outcome


@contextmanager
def _works(
    locks: "list[Lock]",
    states: "Sequence[State | None]",
    migrations: "Tool",
    lent: "Sequence[Lock]",
) -> "Iterator[tuple[list[Work], list[State]]]":
    """A work copy of each state, an empty one for none; and the states of those ``lent``.

    Behind the copies there is one for each of these, where one run may migrate several.
    """
    with ExitStack() as stack:
        purpose = backup.Purpose("before others migrate", "migrate")
        theirs = []
        for lock in lent:
            with guarded.about(lock, locks[0]):
                theirs.append(stack.enter_context(backup.covered(lock, purpose)))
        pairs = [*zip(locks, states, strict=True)]
        if migrations.together:
            pairs += zip(lent, theirs, strict=True)
        works = []
        for lock, state in pairs:
            loading = lock.settings.engine.work(state, migrations)
            proving = pending.proving(lock, state.backup if state else None, loading)
            works.append(stack.enter_context(proving))
        yield works, theirs


def _run(
    locks: "Sequence[Lock]", works: "list[Work]", states: "Sequence[State]", migrations: "Tool"
) -> list[Moved]:
    """Migrate the copies in one run; what became of each.

    ``states`` are those of the live databases. Raises ChangedError where a command went to one.
    """
    beside = []
    for lock, work in zip(locks[1:], works[1:], strict=False):
        live, settings = lock.settings.engine.file, lock.settings
        beside.append(Beside(str(live), str(work.file), settings.url, settings.variable))
    with ExitStack() as stack:
        for lock, state in zip(locks, states, strict=True):
            if not (migrations.together or (migrations.fenced and lock is locks[0])):
                watched = strayed.told(lock, state, migrations.name, locks[0])
                stack.enter_context(watched)
        moved = works[0].migrate(tuple(beside))
    for lock, other in zip(locks[1:], moved.beside, strict=False):
        if other.steps or other.revisions_after:
            settings = lock.settings
            settings.engine.session.version_table = other.version_table
            version_table.remember(settings.backups, settings.source, other.version_table)
    return [moved, *moved.beside]


def loss(
    migrations: "Tool", reports: list[losses.Report], remaining: list[list[losses.Loss]]
) -> losses.LossError:
    """The error for losses that nobody accepted, of each database."""
    accepting = migrations.typed("--accept-loss")
    return losses.LossError(reports, remaining, accepting, in_file=migrations.reads_accepts_loss)


def starts(settings: "Settings", migrations: "Tool") -> bool:
    """Whether ``migrate`` would have anything to do, as far as that is told without running it."""
    goes_to = migrations.goes_to
    if goes_to == [] or (goes_to is None and not revisions.heads(settings)):
        return True
    try:
        with closing(settings.engine.look()) as present:
            there = present.revisions()
            if goes_to is None:
                return revisions.is_behind(settings, there)
            return there != sorted(goes_to)
    except UndropError:  # the step itself says what is wrong
        return True


def rehearse(lock: "Lock", migrations: "Tool", *, accept_loss: bool) -> Rehearsed:
    """Do all that ``migrate`` does but the last step, which is tried on a copy.

    A backup is taken all the same: what a migration starts may go to the live database. Raises
    UsageError without a database, CheckError and UndropError where ``migrate`` would.
    """
    [done] = rehearse_all([lock], migrations, accept_loss=accept_loss)
    return done


def rehearse_all(
    locks: "list[Lock]", migrations: "Tool", lent: "Sequence[Lock]" = (), *, accept_loss: bool
) -> list[Rehearsed]:
    """The same on several of a project's databases; those that are not there begin empty."""
    _refuse_strange(locks[0].settings, migrations)
    if not any(lock.settings.engine.exists() for lock in locks):
        raise UsageError("there is no database to rehearse on", Action("migrate"))
    purpose = backup.Purpose("before rehearse", "rehearse", migrates=True)
    waiting, rehearsed = _waiting(locks), []
    with _advised(locks), ExitStack() as stack:
        states = []
        for lock in locks:
            with guarded.about(lock, locks[0]):
                states.append(stack.enter_context(backup.covered(lock, purpose)))
            stack.enter_context(guarded.compared(lock, states[-1]))
        works, theirs = stack.enter_context(_works(locks, states, migrations, lent))
        stack.callback(migrations.discard)
        copies = _migrated(locks, lent, works, [*states, *theirs], migrations)
        for lock, state, work, copy in zip(locks, states, works, copies, strict=False):
            seconds = 0.0
            left = [] if accept_loss else losses.remaining(copy.report, copy.moved.accepts)
            if copy.moved.steps and state.snapshot and state.path:
                with durable.scratch(lock.partial()) as there:
                    shutil.copyfile(state.path, there)
                    seconds = work.try_replace(state.snapshot, there)
            moved = (guarded if migrations.fenced else strayed).has_moved(lock, state)
            done = Rehearsed(copy.moved, copy.report, left, seconds, state.backup, moved)
            rehearsed.append(done)
    _settle(locks, waiting)
    return rehearsed


@contextmanager
def _discarded(migrations: "Tool") -> "Iterator[None]":
    """What the migrations made besides goes again where the block fails, and is tried anew."""
    try:
        yield
    except BaseException:
        migrations.discard()
        raise


@contextmanager
def _advised(locks: "list[Lock]") -> "Iterator[None]":
    """Say what there is to do about a database at a revision of another branch's."""
    try:
        yield
    except UnknownRevisionError as unknown:
        settings = next(filter(partial(_is_at, unknown.revisions), _all(locks)), locks[0].settings)
        instead = [
            part.of_database(settings.told) if isinstance(part, Action) else part
            for part in choose.instead(settings)
        ]
        raise UnknownRevisionError(unknown.revisions, *instead, of=settings.called) from unknown


def _all(locks: "list[Lock]") -> "list[Settings]":
    return [lock.settings for lock in locks]


def _is_at(revisions: list[str], settings: "Settings") -> bool:
    with suppress(UndropError, OSError), closing(settings.engine.look()) as live:
        return {*revisions} <= {*live.revisions()}
    return False


class _Copy(NamedTuple):
    """What became of a work copy."""

    moved: Moved
    report: losses.Report


NOTHING = _Copy(UNMOVED, losses.Report([], [], [], []))


def _migrated(
    locks: "list[Lock]",
    lent: "Sequence[Lock]",
    works: "list[Work]",
    states: "list[State]",
    migrations: "Tool",
) -> list[_Copy]:
    """Migrate a copy of what holds each state; check them, say what is lost.

    Of those that are ``lent`` nothing is asked.
    """
    run = _run([*locks, *lent], works, states, migrations)
    return [
        _checked(lock, work, state, moved, migrations)
        for lock, work, state, moved in zip(locks, works, states, run, strict=False)
    ]


def _checked(lock: "Lock", work: "Work", state: "State", moved: Moved, migrations: "Tool") -> _Copy:
    """A migrated copy, checked, and what is lost in it."""
    if moved.steps == 0:
        return NOTHING._replace(moved=moved)
    called, taken = lock.settings.called, state.path
    known = state.record.revisions if state.record else []
    moved = _finish(work, moved, migrations, known, called)
    comparison = work.compare(taken) if taken else None
    if comparison and not migrations.fenced and _is_as_before(state, work, comparison):
        return NOTHING._replace(moved=moved._replace(steps=0))
    report = losses.report(comparison) if comparison else NOTHING.report
    orphans = work.orphans(taken, report.tables)
    if broken := [each.what for each in orphans if not each.known]:
        what = f"{called}the migration breaks foreign keys: {'; '.join(broken)}"
        raise CheckError(what, AGAIN)
    return _Copy(moved, losses.warned(report, orphans, moved.accepts))


def _is_as_before(state: "State", work: "Work", comparison: "Comparison") -> bool:
    """Whether a command has left a copy of ``state`` as it was, other bytes apart."""
    record, facts = state.record, work.facts
    names = ("revisions", "rows", "user_version", "application_id")
    same = record and all(getattr(record, name) == getattr(facts, name) for name in names)
    return bool(same and comparison.same and not comparison.counters and not work.journal_mode)


def reset(lock: "Lock") -> Migrated:
    """Make the live database an empty one at the code's head(s).

    The new one is made and checked before that is touched. Raises as ``migrate`` does.
    """
    with tool.to_newest(lock.settings) as migrations:
        [done] = reset_all([lock], migrations)
    return done


def reset_all(
    locks: "list[Lock]", migrations: "Tool", lent: "Sequence[Lock]" = ()
) -> list[Migrated]:
    """The same on several of a project's databases; those that no migration is for stay.

    So do those that are ``lent``.
    """
    _refuse_strange(locks[0].settings, migrations)
    run: list[Moved] = []

    def change(attempts: list[guarded.Attempt]) -> list[guarded.Outcome | None]:
        nonlocal run
        nothing = [None for _ in locks]
        with _discarded(migrations), _works(locks, nothing, migrations, lent) as (works, theirs):
            states = [*(attempt.state for attempt in attempts), *theirs]
            run = _run([*locks, *lent], works, states, migrations)[: len(locks)]
            ours = [moved.steps > 0 or len(locks) == 1 for moved in run]
            run = [
                _finish(work, moved, migrations, [], lock.settings.called) if is_ours else moved
                for lock, work, moved, is_ours in zip(locks, works, run, ours, strict=False)
            ]
            return [
                _emptied(attempt, work) if is_ours else None
                for attempt, work, is_ours in zip(attempts, works, ours, strict=False)
            ]

    done = guarded.together(locks, "reset-db", change)
    return [Migrated(m, NOTHING.report, change) for m, change in zip(run, done, strict=True)]


def _emptied(attempt: guarded.Attempt, work: "Work") -> guarded.Outcome:
    """Put an empty database at head in place."""
    state, filled = attempt.state, work.facts.filled
    same = _is_same(state, work)
    seconds = attempt.put_in_place(work)
    after = backup.after(attempt.lock, state, work, filled)
    outcome = guarded.Outcome(seconds, filled, after, same, work.note)
    attempt.end(outcome)
    return outcome


def _is_same(state: "State", work: "Work") -> bool:
    """Whether the database is an empty one at head already."""
    if state.snapshot is None or state.record is None or state.path is None:
        return False
    if work.facts.content:
        return bool(work.facts.content == state.record.content)
    alike = (state.record.revisions, state.record.filled) == (
        work.facts.revisions,
        work.facts.filled,
    )
    return alike and work.compare(state.path).same


def _finish(work: "Work", moved: Moved, migrations: "Tool", known: list[str], called: str) -> Moved:
    """Check a migrated copy of what was at the revisions ``known``; from where it went to where.

    What it is of is ``called`` so. Raises CheckError when it is damaged or not where it should be.
    """
    try:
        work.finish(moved)
    except DamagedError as damage:
        raise CheckError(f"{called}the migrated copy is damaged: {damage.what}", AGAIN) from damage
    if not migrations.fenced:
        return moved._replace(revisions_before=known, revisions_after=work.facts.revisions)
    # On a server, another application may have its own in the same database.
    gone, there = {*moved.revisions_before} - {*moved.revisions_after}, {*work.facts.revisions}
    if gone & there or not there.issuperset(moved.revisions_after):
        raise CheckError(
            f"{called}the migrated copy is at {record.revision_names(work.facts.revisions)}, "
            f"by {migrations.name} it should be at {record.revision_names(moved.revisions_after)}",
            AGAIN,
        )
    return moved
