"""What changed between two backups, or a backup and the live database."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from undrop import durable
from undrop.engines import registry
from undrop.errors import UsageError
from undrop.recipes import Action
from undrop.steps import choose, restore

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.settings import Settings
    from undrop.store.lock import Lock

LIVE = "live"
TWO = (Action("list"), ", then two of these to", Action("diff", "A", "B", typed=False))


def between(lock: "Lock", old: str, new: str, standing: "Path") -> "Comparison":
    """Compare two states, each ``live``, ``latest``, a path from ``standing`` or a name.

    Backups are verified first. Raises UsageError, CheckError, UndropError.
    """
    settings = lock.settings
    with ExitStack() as stack:

        def file(wanted: str) -> "Path":
            if wanted == LIVE:
                work = stack.enter_context(durable.scratch(lock.partial()))
                return copy_live(settings, work)
            chosen = choose.find(settings, wanted, standing)
            if registry.of_backup(settings.engine, chosen.path) is not settings.engine:
                raise UsageError(
                    f"{chosen.path.name} is a backup of another engine than "
                    f"{settings.engine.label}",
                    Action("list"),
                )
            restore.verify(settings, chosen)
            return chosen.path

        if old == new:
            raise UsageError(f"{old} and {new} are one", *TWO)
        return settings.engine.compare(file(old), file(new))


def copy_live(settings: "Settings", target: "Path") -> "Path":
    """Copy the live database into ``target``, an empty file of ours. Raises UndropError."""
    if not settings.engine.exists():
        raise UsageError("there is no live database", *TWO)
    snapshot = settings.engine.snapshot()
    try:
        durable.require_space(settings.backups, snapshot.bytes)
        snapshot.copy_to(target)
    finally:
        snapshot.close()
    return target
