"""What changed between two backups, or a backup and the live database."""

from typing import TYPE_CHECKING

from undrop.engines import registry
from undrop.errors import UsageError
from undrop.recipes import Action
from undrop.steps import choose, live, verify
from undrop.steps.live import LIVE, TWO
from undrop.store import unpacked

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.compare.comparison import Comparison, Reading
    from undrop.settings import Settings


def between(
    settings: "Settings", old: str, new: str, standing: "Path", also: "Reading | None" = None
) -> "Comparison":
    """Compare two states, each ``live``, ``latest``, a path from ``standing`` or a name.

    ``also`` is given both, in the same transaction.
    Backups are verified first. Raises UsageError, CheckError, UndropError.
    """
    if old == new:
        raise UsageError(f"{old} and {new} are one", *TWO)
    paths = [_backup(settings, name, standing) for name in (old, new) if name != LIVE]
    if LIVE in (old, new):
        return live.compare(settings, *paths, live_first=old == LIVE, also=also)
    before, after = paths
    return settings.engine.compare(before, after, also)


def _backup(settings: "Settings", wanted: str, standing: "Path") -> "Path":
    chosen = choose.find(settings, wanted, standing)
    if registry.of_backup(settings.engine, chosen.path) is not settings.engine:
        raise UsageError(
            f"{chosen.path.name} is a backup of another engine than {settings.engine.label}",
            Action("list"),
        )
    verify.verify(settings, chosen)
    return unpacked.plain(settings, chosen)
