"""The live database as it is now, compared with a backup: a look."""

from typing import TYPE_CHECKING

from undrop.errors import UsageError
from undrop.recipes import Action

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.compare.comparison import Comparison, Reading
    from undrop.settings import Settings

LIVE = "live"
"""How the live database is called where a backup could be named."""
TWO = (Action("list"), ", then two of these to", Action("diff", "A", "B", typed=False))


def compare(
    settings: "Settings", backup: "Path", *, live_first: bool = False, also: "Reading | None" = None
) -> "Comparison":
    """From a backup that is whole to the live database, or the other way. Raises UndropError."""
    if not settings.engine.exists():
        raise UsageError("there is no live database", *TWO)
    live = settings.engine.look()
    try:
        return live.compare(backup, live_first=live_first, also=also)
    finally:
        live.close()
