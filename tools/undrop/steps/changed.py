"""What changed between two states that are held, as far as that is told while somebody waits."""

import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from undrop.errors import SlowError, UndropError
from undrop.steps import undo
from undrop.store import catalog, unpacked
from undrop.store.timeline import Moment

if TYPE_CHECKING:
    from undrop.compare.comparison import Comparison
    from undrop.settings import Settings
    from undrop.store.catalog import Backup

LOOKED_AT = 200_000_000  # bytes of a database that is compared unasked
SECONDS = 1.0  # that it may take


class Changed(NamedTuple):
    """What tells a state from a later one."""

    kind: Literal["other", "gone", "made", "damaged", "forgotten"]
    """Whether there is no database any more, one where there was none, no whole one; or nothing is
    known, since one of the states is not held any more."""
    comparison: "Comparison | None" = None
    """None where it was not compared row by row."""
    rows: dict[str, tuple[int | None, int | None]] = {}  # noqa: RUF012 - nobody writes to it
    """Else the number of rows before and after, by table, where that differs; None for no table."""
    schema: bool = False
    """Else whether the definitions differ."""
    numbers: str = ""
    """What changed of the revision and of SQLite's ``user_version``, in words."""


def between(settings: "Settings", before: str, after: str) -> Changed | None:
    """From one state to another, each as the log names it; None where nothing changed.

    Row by row where that does not take long, else by what their records say. Raises UndropError,
    OSError.
    """
    if before == after:
        return None
    if not (before and after):
        return Changed("made" if after else "gone")
    old, new = (catalog.known_as(settings, name) for name in (before, after))
    if new is not None and new.is_set:
        return Changed("damaged")
    return _between(settings, old, new) if old and new else Changed("forgotten")


def _between(settings: "Settings", old: "Backup", new: "Backup") -> Changed | None:
    if old.record is None or new.record is None:
        return Changed("forgotten")
    if old.record.state == new.record.state:
        return None
    numbers = undo.numbers(Moment("", old), Moment("", new))
    if comparison := _compared(settings, old, new):
        same = comparison.same and not numbers
        return None if same else Changed("other", comparison, numbers=numbers)
    rows_before, rows_after = old.record.rows, new.record.rows
    pairs = {
        name: (rows_before.get(name), rows_after.get(name))
        for name in sorted(rows_before.keys() | rows_after.keys())
    }
    return Changed(
        "other",
        rows={name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
        schema=_definitions(settings, old) != _definitions(settings, new),
        numbers=numbers,
    )


def _definitions(settings: "Settings", backup: "Backup") -> object:
    try:
        return settings.engine.definitions(unpacked.plain(settings, backup), backup.record).schema
    except UndropError:
        return None


def _compared(settings: "Settings", old: "Backup", new: "Backup") -> "Comparison | None":
    """Row by row; None where that takes long, or cannot be told."""
    engine, session = settings.engine, settings.engine.session
    sizes = [backup.record.bytes for backup in (old, new) if backup.record]
    if not (engine.light and old.verified and new.verified) or max(sizes) > LOOKED_AT:
        return None
    deadline, progress = time.monotonic() + SECONDS, session.progress

    def stop(_phase: str, _done: int, _total: int) -> None:
        if time.monotonic() > deadline:
            raise SlowError("the comparison took long")

    session.progress = stop
    try:
        return engine.compare(old.path, new.path)
    except UndropError:
        return None
    finally:
        session.progress = progress
