"""The core called in the tests' own process, each command as a process of its own would."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shop import Project

from undrop import settings
from undrop.errors import CHANGED
from undrop.settings import Settings
from undrop.steps import backup, restore
from undrop.store import lock


def quiet(_phase: str, _done: int, _total: int) -> None:
    """No progress is shown."""


@contextmanager
def command(project: Project) -> Iterator[Settings]:
    """One command's turn, in which nothing is changed yet."""
    CHANGED.clear()
    loaded = settings.load(project.root)
    with lock.take(loaded, print):
        yield loaded


def back_up(project: Project, reason: str = "manual", before: str = "") -> Path:
    """What ``undrop backup`` does to a database that there is."""
    with command(project) as loaded:
        taken = backup.take(loaded, backup.Purpose(reason, before), quiet)
    assert taken is not None
    return taken.path


def put_back(project: Project, wanted: str = "latest") -> Path:
    """What ``undrop restore`` does."""
    with command(project) as loaded:
        return restore.restore(loaded, wanted, project.root, quiet).source
