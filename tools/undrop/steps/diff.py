"""What changed between two backups, or a backup and the live database."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from undrop import durable
from undrop.engines import registry
from undrop.errors import UsageError
from undrop.recipes import Action
from undrop.steps import restore
from undrop.store import catalog, lock

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.settings import Settings
    from undrop.values import Progress

LIVE = "live"
TWO = (Action("list"), ", then two of these to", Action("diff", "A", "B", typed=False))


def between(
    settings: "Settings", before: str, after: str, standing: "Path", progress: "Progress"
) -> "Comparison":
    """Compare two states, each ``live``, ``latest``, a path from ``standing`` or a name.

    Backups are verified first. Call it inside ``lock.take``. Raises UsageError, CheckError,
    UndropError.
    """
    with ExitStack() as stack:

        def file(wanted: str) -> "Path":
            if wanted == LIVE:
                work = stack.enter_context(durable.scratch(lock.partial(settings)))
                return snapshot(settings, work, progress)
            chosen = catalog.find(settings, wanted, standing)
            if registry.of_backup(settings.engine, chosen.path) is not settings.engine:
                raise UsageError(
                    f"{chosen.path.name} is a backup of another engine than "
                    f"{settings.engine.label}",
                    Action("list"),
                )
            restore.verify(settings, chosen, progress)
            return chosen.path

        if before == after:
            raise UsageError(f"{before} and {after} are one", *TWO)
        return settings.engine.compare(file(before), file(after), progress)


def snapshot(settings: "Settings", target: "Path", progress: "Progress") -> "Path":
    """Copy the live database into ``target``, an empty file of ours. Raises UndropError."""
    if not settings.engine.exists():
        raise UsageError("there is no live database", *TWO)
    held = settings.engine.hold()
    try:
        durable.require_space(settings.backups, held.bytes)
        held.copy_to(target, progress)
    finally:
        held.close()
    return target
