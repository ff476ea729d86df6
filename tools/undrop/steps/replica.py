"""What copies the live database off this machine: is it current, and back from it."""

import math
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable
from undrop.errors import CheckError, UndropError, UsageError
from undrop.recipes import Action, Setting
from undrop.steps import guarded, live, restore, verify
from undrop.store.catalog import Backup
from undrop.store.lock import partial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.compare.comparison import Comparison
    from undrop.engines.protocol import Replica
    from undrop.recipes import Text
    from undrop.settings import Settings
    from undrop.steps.restore import Restored
    from undrop.store.lock import Lock
    from undrop.values import Facts


LOOK = 2.0  # seconds for who only looks


class Drill(NamedTuple):
    """What a replica gave back."""

    label: str
    facts: "Facts"
    found: "Comparison | None"
    """From the live database to it; None where there is no live database."""


def of(settings: "Settings") -> "Replica | None":
    """The replica of this project's database; None when there is none. Raises UndropError."""
    return settings.engine.replica(settings.root, settings.litestream)


def require(settings: "Settings", starts: "Callable[[], bool]" = lambda: True) -> str:
    """Make sure that the replica is current; a line that says so, empty without a replica.

    A step is to come, and what replicates is given time to catch up; nothing is asked of it where
    the step ``starts`` nothing. Raises UndropError, OSError.
    """
    return _current(settings, starts)


def look(settings: "Settings") -> str:
    """The same for who only looks: nothing is waited for, and not long. Raises SlowError, too."""
    return _current(settings, lambda: True, patient=False, seconds=LOOK)


def _current(
    settings: "Settings",
    starts: "Callable[[], bool]",
    *,
    patient: bool = True,
    seconds: float = math.inf,
) -> str:
    kept = of(settings)
    if kept is None:
        none = f"{settings.litestream} names no {settings.engine.label}: nothing replicates it"
        return none if settings.litestream else ""
    if not settings.engine.exists() or not starts():
        return ""
    with _folder(settings, looking=not patient) as work:
        durable.require_space(work, 2 * (settings.engine.size() or 0))
        return kept.check(work, patient=patient, seconds=seconds)


def before_removal(settings: "Settings") -> str:
    """What is to be done about the program that replicates first; empty when nothing."""
    try:
        kept = of(settings)
        return kept.before_removal() if kept else ""
    except UndropError as error:
        return _unknown(error)


def afterwards(settings: "Settings", change: "guarded.Change") -> "tuple[Text, ...]":
    """Whether the replica has what a step has put in place, to be told; looked at once."""
    made = change.backup is None or change.backup.is_set
    try:
        kept = of(settings)
        if kept is None or change.same or not settings.engine.exists():
            return ()
        with _folder(settings, looking=True) as work:
            durable.require_space(work, 2 * (settings.engine.size() or 0))
            return (kept.afterwards(work, made=made),)
    except (UndropError, OSError) as error:
        return (_unknown(error),)


def _unknown(error: UndropError | OSError) -> str:
    what = error.what if isinstance(error, UndropError) else str(error)
    return f"what replicates the database cannot be asked: {what}"


def put_back(lock: "Lock", timestamp: str | None, *, foreign: bool = False) -> "Restored":
    """Restore the replica's state to a temporary file, check that, make it the live content.

    It is a step of the kind ``restore``. Raises what ``restore.restore`` does.
    """
    kept = _there(lock.settings)
    with _folder(lock.settings, looking=False) as work:
        file = work / "replica"
        kept.restore(file, timestamp)
        try:
            return restore.restore(lock, Backup(file, None), foreign=foreign)
        except restore.ForeignError as error:
            at = ("--timestamp", timestamp) if timestamp else ()
            raise CheckError(
                f"what {kept.label} has may be another application's: {error.why}",
                "if it is meant,",
                Action("restore", "--from-litestream", *at, "--foreign"),
            ) from error


def drill(settings: "Settings") -> Drill:
    """Restore the replica into a temporary folder, check it and compare it with live.

    Raises CheckError when it is not whole, UndropError.
    """
    kept = _there(settings)
    with _folder(settings, looking=True) as work:
        file = work / "replica"
        kept.restore(file, None)
        facts = verify.verify(settings, Backup(file, None))
        if not settings.engine.exists():
            return Drill(kept.label, facts, None)
        return Drill(kept.label, facts, live.compare(settings, file, live_first=True))


def _there(settings: "Settings") -> "Replica":
    kept = of(settings)
    if kept is None:
        raise UsageError(
            f"no litestream.yml names {settings.engine.label} (Litestream is for SQLite's files)",
            Setting('litestream = "PATH"'),
            ", or write litestream.yml beside it",
        )
    return kept


@contextmanager
def _folder(settings: "Settings", *, looking: bool) -> "Iterator[Path]":
    """A private folder of ours: the system's for who only looks, else swept by the next run."""
    if looking or not settings.backups.is_dir():
        with TemporaryDirectory(prefix="undrop-") as name:
            yield Path(name)
        return
    folder = partial(settings)  # which the covering backup has for itself
    folder = folder.with_name(f"{folder.name}-replica")
    folder.mkdir(0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
