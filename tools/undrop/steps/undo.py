"""Take back the last change, if it was a step's; say whose it was, if it was not."""

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import LOOK, CheckError, DamagedError, UndropError
from undrop.recipes import Action
from undrop.record import revision_names, revision_way
from undrop.settings import known
from undrop.steps import guarded, live, restore, verify
from undrop.store import log, unpacked
from undrop.store.log import ABSENT
from undrop.store.timeline import Moment, Timeline, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from undrop.compare.comparison import Comparison
    from undrop.recipes import Part
    from undrop.settings import Settings
    from undrop.steps.guarded import Change
    from undrop.steps.keep import Keep, Kept
    from undrop.store.lock import Lock
    from undrop.store.step import Step


EMPTY, DAMAGED = "empty", "damaged"
"""What tells a present state from others in which there is nothing."""


class Work(NamedTuple):
    """What others did."""

    comparison: "Comparison | None"
    """By table; None where it cannot be told."""
    numbers: str
    """Of the revision, and of SQLite's ``user_version``."""


class Plan(NamedTuple):
    """What ``undo`` would do."""

    target: Moment
    """The state that is put back."""
    taken_back: "tuple[Step, ...]"
    """The step(s) that led away from it; none where others did away with the database."""
    passed_over: "tuple[Step, ...]"
    """Later ones, which changed nothing."""
    others: Work | None = None
    """What others did since, where that is taken back as well."""
    instead: str = ""
    """What is said where the state is put back from the second of a backup's two files."""
    after: Moment | None = None
    """The state that the step(s) led to, where others worked since."""


class Undone(NamedTuple):
    """What ``undo`` did."""

    plan: Plan
    change: "Change"
    kept: "Kept | None" = None
    """What became of others' work, where that was kept."""


class OthersWorkError(CheckError):
    """Others worked since the last step: whose work is meant is not for undo to guess."""

    def __init__(
        self,
        since: Moment | None,
        work: Work | None,
        plan: Plan | None,
        more: str = "",
    ) -> None:
        self.since, self.work, self.plan = since, work, plan
        ways: list[Part] = []
        if since:
            ways += [Action("restore", since.name), " takes back that alone\n"]
        if plan and plan.target.can_be_put_back:
            back = plan.target.name or "no database"
            if plan.target.backup and since:
                ways += [
                    Action("undo", "--keep"),
                    f" takes back {names(plan.taken_back)} and keeps that\n",
                ]
            ways += [
                Action("undo", "--whole"),
                f" takes back {names(plan.taken_back)} as well, to {back}",
            ]
        what = (
            "the last change was no step of undrop, but others' work (the application's, or "
            "somebody's hand)"
        )
        if plan and not since:
            what = f"nothing tells {names(plan.taken_back)} from others' work since: no backup " + (
                "holds the state in between"
            )
        super().__init__(what + more, *(ways or [Action("list")]))


def undo(
    lock: "Lock", *, whole: bool = False, keep: "Keep | None" = None, triggers: bool = False
) -> Undone:
    """Put back the state from before the last change.

    It is a step itself: undoing it is a redo. With ``whole`` also what others did since goes, with
    ``keep`` that stays. Raises OthersWorkError where neither was said, ConflictsError where both
    the step and others changed a thing, CheckError when there is nothing to undo or it cannot be
    put back, and what ``restore`` raises.
    """
    settings = lock.settings
    plan: Plan | None = None
    kept: Kept | None = None

    def change(attempt: guarded.Attempt) -> guarded.Outcome | None:
        nonlocal plan, kept
        line = Timeline(settings)
        plan = planned(settings, line, line.moment(attempt.state.name), whole=whole or bool(keep))
        target = plan.target
        if keep and plan.after:
            from undrop.steps import keep as keeping  # only this asks for a merge

            between = keeping.Between(target, plan.after, plan.taken_back)
            chosen, instead, kept, outcome = keeping.keep(attempt, between, keep, triggers=triggers)
            plan = plan._replace(target=target._replace(backup=chosen), instead=instead)
            return outcome
        if target.absent:
            return restore.remove(attempt)
        if target.backup is None or not target.can_be_put_back:
            raise gone(plan)
        chosen, instead = verify.intact(settings, target.backup)
        plan = plan._replace(target=target._replace(backup=chosen), instead=instead)
        with restore.admitted(settings, chosen) as content:
            modes = (step.mode_before for step in plan.taken_back)
            content.journal_mode = next(filter(None, modes), "")
            return restore.replace(attempt, chosen, content)

    done = guarded.run(lock, "undo", change)
    assert plan is not None  # noqa: S101 - a change was made of it
    return Undone(plan, done, kept)


def planned(settings: "Settings", line: Timeline, present: Moment, *, whole: bool) -> Plan:
    """What takes back the last change, ``present`` being the state now. Changes nothing.

    Raises as ``undo`` does.
    """
    line.see(present)
    moments = line.moments
    if plan := when_lost(settings, moments):
        return plan
    passed: list[Step] = []
    current = present
    last = 0  # where the state after the last step is, where others worked since
    for at in range(len(moments) - 1, 0, -1):
        before, after = moments[at - 1], moments[at]
        if not after.steps:
            continue
        if not last and differ(settings, after, current):
            last = at
        if differ(settings, before, after):
            plan = Plan(before, after.steps, tuple(passed))
            if not last:
                return plan
            if not whole:
                raise _others_work(settings, moments[last:], plan)
            return plan._replace(others=_work(settings, moments[last], present), after=after)
        passed += after.steps
        current = before
    if newest_other(settings, moments[last:]):
        raise _others_work(settings, moments[last:], None)
    raise _nothing(settings, passed)


def look(settings: "Settings", line: Timeline) -> Moment:
    """The present state, looked at. Raises UndropError, as for a lock that lasts."""
    if not settings.engine.exists():
        return Moment(ABSENT)
    held = {m.content: m for m in line.moments if m.backup and m.can_be_put_back}
    newest = next((m.backup for m in reversed(held.values()) if m.backup), None)
    try:
        present = settings.engine.look()
    except DamagedError:
        return Moment(DAMAGED)
    try:
        content = present.state(newest and unpacked.plain(settings, newest)).content
        if present.is_empty() and content not in held:
            return Moment(EMPTY)
        if content in held:
            return held[content]._replace(steps=())
        revisions, rows = tuple(present.revisions()), present.rows()
    except DamagedError:
        return Moment(DAMAGED)
    finally:
        present.close()
    return Moment(content, seen_at=revisions, rows=rows, live=True)


class Event(NamedTuple):
    """What happened between two states of the timeline."""

    before: Moment
    after: Moment
    same: bool
    """Whether nothing changed."""
    rows: dict[str, tuple[int | None, int | None]]
    """Rows before and after, by table, where they differ; None for no such table."""
    numbers: str
    """What changed of the revision."""

    @property
    def steps(self) -> "tuple[Step, ...]":
        """Whose doing it was; none for others' work."""
        return self.after.steps

    @property
    def names(self) -> str:
        """The steps, for people."""
        return names(self.steps)


def pairs(line: Timeline) -> "Iterator[tuple[Moment, Moment]]":
    """Moments between which something may have happened, one after the other, newest first."""
    for before, after in zip(line.moments[-2::-1], line.moments[:0:-1], strict=True):
        if after.steps or before.content != after.content:
            yield before, after


def events(settings: "Settings", moments: "Iterable[tuple[Moment, Moment]]") -> "Iterator[Event]":
    """What happened between those: every step, and others' work. Each may have to be compared."""
    for before, after in moments:
        rows = _rows_changed(settings, before, after)
        same = not rows and not differ(settings, before, after)
        if after.steps or not same:
            yield Event(before, after, same, rows, numbers(before, after))


def _rows_changed(
    settings: "Settings", before: Moment, after: Moment
) -> dict[str, tuple[int | None, int | None]]:
    if before.content == after.content:
        return {}
    old, new = (rows_of(settings, moment) for moment in (before, after))
    if old is None or new is None:
        return {}
    names = sorted(old.keys() | new.keys())
    pairs = {name: (old.get(name), new.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def rows_of(settings: "Settings", moment: Moment) -> "Mapping[str, int] | None":
    """Rows by table; None where that is not known."""
    if moment.absent or moment.rows is not None:
        return moment.rows or {}
    backup = moment.backup
    if backup is None or not backup.verified or backup.record is None:
        return None
    try:
        return backup.record.rows or settings.engine.rows(unpacked.plain(settings, backup))
    except UndropError:
        return None


def _others_work(settings: "Settings", moments: list[Moment], plan: Plan | None) -> OthersWorkError:
    """``moments`` begin with the state after the last step."""
    since, present = newest_other(settings, moments), moments[-1]
    work = since and _work(settings, since, present)
    unseen = [step for moment in moments for step in moment.steps if not step.ended]
    more = f"; {unseen[-1].kind} ({unseen[-1].command}) was not seen to end" if unseen else ""
    return OthersWorkError(since, work, plan, more + _strangers(settings))


def newest_other(settings: "Settings", moments: list[Moment]) -> Moment | None:
    """The newest known state that differs from the present and can be had again."""
    *known, present = moments
    for moment in reversed(known):
        if moment.backup and moment.can_be_put_back and differ(settings, moment, present):
            return moment
    return None


def _work(settings: "Settings", one: Moment, other: Moment) -> Work:
    return Work(_compared(settings, one, other), numbers(one, other))


def _strangers(settings: "Settings") -> str:
    """What is said of a log that tells of another database; nothing where it does not."""
    steps = log.strangers(settings)
    return f" (the log tells of another folder's database, too: {len(steps)} step(s))" * bool(steps)


def _nothing(settings: "Settings", passed: "list[Step]") -> CheckError:
    what = "there is nothing to undo: no step has changed this database"
    what += _strangers(settings)
    if passed:
        what += f" ({names(tuple(passed))} changed nothing)"
    others: list[Part] = []
    for each in known(settings):
        did = any(step.phase in {"done", "open"} for step in log.steps(each))
        if did and each.name != settings.name:
            others += ["; or, of another database:", Action("undo").of_database(each.name)]
    return CheckError(what, Action("list"), *others)


def gone(plan: Plan) -> CheckError:
    """The state before cannot be had again."""
    step = plan.taken_back[0]
    if plan.target.backup and plan.target.backup.is_set:
        return CheckError(
            f"the database before {step.kind} was damaged; its files are in "
            f"{plan.target.backup.path}",
            *LOOK,
        )
    return CheckError(
        f"the state before {step.kind} was kept in {step.state_before}, which is gone",
        Action("list"),
    )


def differ(settings: "Settings", one: Moment, other: Moment) -> bool:
    """Whether two states differ in rows or definitions.

    Other bytes are no proof: ANALYZE changes them, and a row that came and went.
    """
    if one.content == other.content or (is_lost(settings, one) and is_lost(settings, other)):
        return False
    if numbers(one, other) or _counts_differ(settings, one, other):
        return True  # which is told sooner than row by row
    comparison = _compared(settings, one, other)
    return comparison is None or not comparison.same


def _counts_differ(settings: "Settings", one: Moment, other: Moment) -> bool:
    """Whether a table that both have has more rows in one of them."""
    old, new = rows_of(settings, one) or {}, rows_of(settings, other) or {}
    return any(count != new.get(name, count) for name, count in old.items())


def numbers(one: Moment, other: Moment) -> str:
    """What changed of the revision and of SQLite's ``user_version``, in words."""
    texts = []
    if one.revisions is not None and other.revisions is not None:
        differ = revision_names(one.revisions) != revision_names(other.revisions)
        texts += [f"revision {revision_way(one.revisions, other.revisions)}"] if differ else []
    records = [moment.backup.record for moment in (one, other) if moment.backup]
    for name in ("user_version", "application_id"):
        pair = [str(getattr(record, name)) for record in records if record]
        texts += [f"{name} {pair[0]} -> {pair[1]}"] if len({*pair}) == 2 else []
    return "; ".join(texts)


def _compared(settings: "Settings", one: Moment, other: Moment) -> "Comparison | None":
    """From one state to the other; None where that cannot be told."""
    if one.backup is None or not one.backup.verified:
        return None
    try:
        if other.live:
            like = unpacked.plain(settings, one.backup) if settings.engine.light else None
            return live.compare(settings, like) if like else None
        if other.backup is None or not other.backup.verified:
            return None
        old, new = (unpacked.plain(settings, each) for each in (one.backup, other.backup))
        return settings.engine.compare(old, new)
    except UndropError:  # an application's own collation, another text encoding
        return None


def when_lost(settings: "Settings", moments: list[Moment]) -> Plan | None:
    """The newest known state, where the database was lost and no step did it."""
    present = moments[-1]
    if not is_lost(settings, present):
        return None
    for before, after in zip(moments[-2::-1], moments[:0:-1], strict=True):
        if not is_lost(settings, before):
            if after.steps:
                return None
            break
    for moment in reversed(moments):
        if moment.backup and moment.can_be_put_back and not is_lost(settings, moment):
            return Plan(moment, (), ())
    return None


def is_lost(settings: "Settings", moment: Moment) -> bool:
    """Whether there is no database, no table in it, or no whole file of one."""
    if moment.absent or moment.content in {EMPTY, DAMAGED}:
        return True
    if moment.backup is None:
        return False
    if moment.backup.is_set:
        return True
    record = moment.backup.record
    if record and (record.filled or record.rows):
        return False
    with suppress(UndropError):  # one that cannot be read is not put back either
        plain = unpacked.plain(settings, moment.backup)
        return not settings.engine.definitions(plain, record).schema
    return False
