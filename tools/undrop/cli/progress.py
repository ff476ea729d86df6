"""What lasts over a second, told on stderr on a terminal: a bar, or a line where none can be."""

import sys
import time
from typing import TYPE_CHECKING

from undrop.cli import terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE = 1.0  # seconds before a bar is worth drawing
LABELS = {
    "copy": "Copying",
    "check": "Checking",
    "compare": "Comparing",
    "replace": "Replacing",
    "count": "Counting",
    "merge": "Merging",
    "read": "Reading",
    "migrate": "Migrating",
    "load": "Loading the migrations",
}
OPEN_END = {"check", "compare", "merge"}
"""SQLite does not tell how far these are: when the digest is done the check is just going on."""
TALKATIVE = {"migrate", "load"}
"""A child of ours is at it, and may print: no bar is drawn into that."""


class Bar:
    """Called by the core as ``progress(phase, done, total)``; close it before printing."""

    def __init__(self) -> None:
        self._wanted = sys.stderr.isatty()
        self._moves = terminal.has_colour(sys.stderr)
        self._started = time.monotonic()
        self._rich: Progress | None = None
        self._task: TaskID | None = None
        self._phase = ""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` of ``phase`` is reached."""
        if not self._wanted or time.monotonic() - self._started < PATIENCE:
            return
        if not self._moves or phase in TALKATIVE:
            self.close()
            if phase != self._phase:
                print(f"undrop: {LABELS[phase].lower()} …", file=sys.stderr, flush=True)
                self._phase = phase
            return
        if self._rich is None:
            # Imported when a second has passed already: rich costs more than a small backup.
            from rich import progress
            from rich.console import Console

            self._rich = progress.Progress(
                "{task.description}",
                progress.BarColumn(),
                progress.TaskProgressColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._rich.start()
        if self._task is None or phase != self._phase:
            if self._task is not None:
                self._rich.remove_task(self._task)
            self._task = self._rich.add_task(LABELS[phase], total=total)
            self._phase = phase
        unknown = phase in OPEN_END and done >= total
        self._rich.update(self._task, completed=done, total=None if unknown else total)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._rich is not None:
            self._rich.stop()
            self._rich, self._task = None, None
