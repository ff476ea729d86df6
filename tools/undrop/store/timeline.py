"""The states that the database was in, in their order, and which step led to which.

What was seen are the backups, and the states before and after the steps of the log. What lies
between the state after a step and the next one that was seen is others' work: the application's,
or somebody's hand.
"""

from bisect import bisect_left
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from undrop.store import calls, catalog, log
from undrop.store.log import ABSENT
from undrop.store.step import Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from undrop.settings import Settings
    from undrop.store.catalog import Backup

WATCHED = {"run", "agent", "alembic", "django"}
"""Others' commands: what came after an end that nobody saw is others' work."""
GOING_BACK = {"restore", "undo"}


class Moment(NamedTuple):
    """A state of the database, once."""

    content: str
    """What tells it from others."""
    backup: "Backup | None" = None
    """What holds it; None for no database, and where nothing holds it any more."""
    steps: tuple[Step, ...] = ()
    """What led here from the moment before; several that overlapped are one. None for a look."""
    live: bool = False
    """Whether it is the present state, held by nothing: the live database itself tells of it."""
    rows: "Mapping[str, int] | None" = None
    """By table, where it was counted just now."""
    seen_at: tuple[str, ...] | None = None
    """Alembic's revision(s), where nothing holds it that tells."""

    @property
    def revisions(self) -> tuple[str, ...] | None:
        """Alembic's revision(s); None where that is not known."""
        record = self.backup.record if self.backup else None
        return tuple(record.revisions) if record else self.seen_at

    @property
    def absent(self) -> bool:
        """Whether there was no database."""
        return self.content == ABSENT

    @property
    def name(self) -> str:
        """What holds it, as the log has it: empty for no database."""
        return self.backup.path.name if self.backup else ""

    @property
    def can_be_put_back(self) -> bool:
        """Whether it can be had again."""
        return self.absent or (self.backup is not None and self.backup.verified)


def names(steps: tuple[Step, ...]) -> str:
    """Steps that are one, for people."""
    return " and ".join(dict.fromkeys(step.kind for step in steps))


def command_lines(steps: tuple[Step, ...]) -> str:
    """The command lines of steps that are one."""
    return calls.BESIDE.join(dict.fromkeys(step.command for step in steps if step.command))


class Timeline:
    """The moments of a database, oldest first."""

    def __init__(
        self,
        settings: "Settings",
        *,
        strangers: bool = False,
        backups: "list[Backup] | None" = None,
    ) -> None:
        """Read the log and the records, if ``backups`` are not what they say. Opens no database.

        ``strangers``: also backups that were taken in another folder, before all others.
        """
        every = catalog.backups(settings) if backups is None else backups
        self.moments: list[Moment] = []
        self.waiting: tuple[Step, ...] = ()
        """What began last and was not seen to end."""
        self.backups = [each for each in every if catalog.is_of(settings, each)]
        """All of this database, those that tell of no moment too."""
        self._known = {backup.path.name: backup for backup in self.backups}
        self._held: dict[str, Moment] = {}
        groups = list(_overlapping(_settled(settings, log.steps(settings))))
        firsts = [_first(group) for group in groups]
        opened = [step.opened for step in firsts]
        events: list[tuple[int, str, str | tuple[Step, ...]]] = [
            (first.opened, first.at, group) for first, group in zip(firsts, groups, strict=True)
        ]
        for backup in self.backups:
            record = backup.record
            sound = record is not None and (backup.verified or backup.is_set)
            elsewhere = record is not None and record.home and not backup.sequence
            if not sound or (elsewhere and not strangers):
                continue
            # They follow one another: only the last that had begun by then can contain it.
            last = bisect_left(opened, backup.sequence) - 1
            if last < 0 or not backup.sequence < groups[last][-1].sequence:
                events.append((backup.sequence, backup.created.isoformat(), backup.path.name))
        for _, _, event in sorted(events, key=itemgetter(0, 1)):
            if isinstance(event, str):
                self.see(self.moment(event))
            else:
                self._add(event)

    def see(self, moment: Moment) -> None:
        """Add the state that was seen next; it shows how a step ended that was killed."""
        if self.waiting:
            steps, self.waiting = self.waiting, ()
            before = self.moments[-1]
            if moment.content == before.content or not _did(steps[-1], moment.content):
                self.moments.append(before._replace(steps=steps))
            else:
                self.moments.append(moment._replace(steps=steps))
        self.moments.append(moment)

    def _add(self, steps: tuple[Step, ...]) -> None:
        self.see(self.moment(_first(steps).state_before))
        last = steps[-1]
        if last.phase in {"same", "failed"}:
            self.moments.append(self.moment(last.state_before)._replace(steps=steps))
        elif last.phase == "done" and last.state_after is not None:
            moment = self.moment(last.state_after)
            if moment.backup is None and last.content_after:  # forgotten, and known all the same
                moment = moment._replace(content=last.content_after)
            self.moments.append(moment._replace(steps=steps))
        elif last.phase == "done":  # nothing holds it: a full disk, an undrop of before 0.3
            content = last.content_after or f"unknown: {last.at}"
            self.moments.append(Moment(content, None, steps))
        else:
            self.waiting = steps

    def moment(self, name: str) -> Moment:
        """The state that ``name`` holds, as the log has it: empty for no database."""
        if not name:
            return Moment(ABSENT)
        if name not in self._held:
            self._held[name] = self._look(name)
        return self._held[name]

    def _look(self, name: str) -> Moment:
        backup = self._known.get(name)
        if backup is None or not backup.file.exists():
            return Moment(f"gone: {name}")
        if backup.record is None or backup.is_set:
            return Moment(f"damaged: {name}", backup)
        return Moment(backup.record.state, backup)


def _settled(settings: "Settings", steps: list[Step]) -> list[Step]:
    """An agent's step that is open has the lines of the calls that were not seen to end.

    Where all were, they changed nothing, which is not written down.
    """
    waiting = calls.waiting(settings)
    settled: list[Step] = []
    for step in steps:
        if step.kind == "agent" and not step.ended and waiting is not None:
            lines = dict.fromkeys(call.command for call in waiting if call.step == step.id)
            line = calls.BESIDE.join(filter(None, lines)) or step.command
            settled.append(step._replace(command=line, phase="open" if lines else "same"))
        else:
            settled.append(step)
    return settled


def _first(steps: tuple[Step, ...]) -> Step:
    """The one that began first; they are in the order in which they ended."""
    return min(steps, key=lambda step: (step.opened, step.at))


def _did(step: Step, content: str) -> bool:
    """Whether it was a step with no end that led to the next state that was seen."""
    if step.content_after:
        return step.content_after == content
    return step.kind not in WATCHED  # in one transaction, of whose content nothing was known yet


def _overlapping(steps: list[Step]) -> "Iterator[tuple[Step, ...]]":
    """Steps in the order in which they began; those that ran in one another's time together."""
    group: list[Step] = []
    end = 0
    for step in sorted(steps, key=lambda step: (step.opened, step.at)):
        if group and not step.opened < end:
            yield tuple(sorted(group, key=lambda step: step.sequence))
            group = []
            end = 0
        group.append(step)
        end = max(end, step.sequence)
    if group:
        yield tuple(sorted(group, key=lambda step: step.sequence))
