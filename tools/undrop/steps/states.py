"""The states that a look reads rows of: each backup of the database, and live as it is now."""

import os
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING

from undrop import durable
from undrop.errors import CheckError, DamagedError, UndropError, UsageError
from undrop.recipes import Action
from undrop.sqlitefile import check
from undrop.steps import undo, verify
from undrop.store import catalog, unpacked
from undrop.store.timeline import Moment, Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    from undrop.compare.readable import Readable
    from undrop.settings import Settings
    from undrop.store.catalog import Backup

    Answer = TypeVar("Answer")

LIVE = "live"


def is_live(moment: Moment) -> bool:
    """Whether it is live itself that is read for it."""
    return moment.live and moment.backup is None


def _beside(work: "Callable[[Readable], Answer]", state: "Readable") -> "Answer":
    answers: list[Answer] = []
    with check.beside([state.connection], lambda: answers.append(work(state)), lambda: None):
        pass
    return answers[0]


class States:
    """Those of a project's database, read one by one; what cannot be read is passed over."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        self.passed_over: dict[str, str] = {}
        """Why, by the backup's name."""
        self.no_live = ""
        """Why live was not looked at; empty where it was."""
        self.live_at: tuple[str, ...] | None = None
        """Alembic's revision(s) of live, where it was read."""
        self._places: dict[str, Backup] = {}
        """What a state was read from, by what tells it from others."""

    @cached_property
    def moments(self) -> list[Moment]:
        """The states in their order, live the last where there is one; also what nobody holds.

        Raises UsageError where there is nothing to look at, UndropError.
        """
        settings = self.settings
        line = Timeline(settings, strangers=True)
        for backup in line.backups:
            if backup.record is None:
                self.passed_over[backup.path.name] = "it has no record"
            elif not backup.verified:
                said = f"damaged files: {backup.record.check}" if backup.is_set else ""
                self.passed_over[backup.path.name] = said or backup.record.check
        moments, now = line.moments, Moment(LIVE, live=True)
        if line.waiting:  # how a step ended that was killed shows in what there is now
            line.see(undo.look(settings, line))
            *moments, after, present = moments
            if after.content == present.content:
                now = now._replace(steps=after.steps)
            else:
                moments.append(after)
        if settings.engine.exists():
            return [*moments, now]
        self.no_live = "there is no live database"
        if not any(moment.can_be_put_back and moment.backup for moment in moments):
            raise UsageError(
                f"there is neither a live database nor a verified backup in {settings.backups}",
                Action("list"),
            )
        return moments

    def read(
        self, moment: Moment, work: "Callable[[Readable], Answer]", *, whole: bool = False
    ) -> "Answer | None":
        """What ``work`` makes of a state; None where it cannot be read. Raises UndropError.

        ``whole``: it takes as long as reading all of it, and Ctrl-C need not wait.
        """
        work = partial(_beside, work) if whole else work
        if is_live(moment):
            return self._read_live(work, whole=whole)
        backup = moment.backup
        if backup is None or not moment.can_be_put_back or backup.path.name in self.passed_over:
            return None
        why = ""
        for place in self._of(backup):
            try:
                with self._opened(place) as state:
                    answer = work(state)
            except (UndropError, OSError) as error:
                why = why or (error.what if isinstance(error, UndropError) else str(error))
            else:
                self._places[moment.content] = place
                return answer
        if any(os.path.lexists(place.file) for place in self._of(backup)):
            self.passed_over[backup.path.name] = why
        return None  # forgotten meanwhile

    def path(self, moment: Moment) -> "Path":
        """The file of a state that was read."""
        return unpacked.plain(self.settings, self._places[moment.content])

    def is_whole(self, moment: Moment) -> bool:
        """Whether a state that was read has the digest that its record names; else it is no more.

        It is asked of the one that somebody is told to take: reading proves nothing.
        """
        backup = moment.backup
        assert backup is not None  # noqa: S101 - it was read
        if any(verify.is_as_kept(self.settings, place) for place in self._of(backup)):
            return True
        self.passed_over[backup.path.name] = "it is not what its record says: the digest differs"
        return False

    def _of(self, backup: "Backup") -> "Iterator[Backup]":
        """A backup's files: where the first can be read, nobody looks for another."""
        yield backup
        yield from catalog.places(self.settings, backup)[1:]

    @contextmanager
    def _opened(self, place: "Backup") -> "Iterator[Readable]":
        record = place.record
        plain = unpacked.plain(self.settings, place)
        if record and durable.size(plain) != record.bytes:
            raise CheckError("it has not the size that its record names", Action("list"))
        with self.settings.engine.readable(plain) as state:
            yield state

    def _read_live(self, work: "Callable[[Readable], Answer]", *, whole: bool) -> "Answer | None":
        try:
            live = self.settings.engine.look()
            try:
                with live.readable(whole=whole) as state:
                    self.live_at = tuple(live.revisions())
                    return work(state)
            finally:
                live.close()
        except DamagedError as error:
            self.no_live = f"the live database is damaged: {error.what}"
        except UsageError as error:  # something else is in its place
            self.no_live = error.what
        return None
