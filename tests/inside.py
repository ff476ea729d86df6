"""The core called in the tests' own process, each command as a process of its own would."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from shop import Project

from undrop import settings
from undrop.migrations import tool
from undrop.steps import backup, choose, migrate, restore
from undrop.store.lock import Lock, locked
from undrop.values import Session


@contextmanager
def command(project: Project, session: Session | None = None) -> Iterator[Lock]:
    """The lock, held for one command, by which nothing is changed yet."""
    loaded = settings.load(project.root, session)
    with closing(loaded.engine.session), locked(loaded, print) as lock:
        yield lock


def back_up(project: Project, reason: str = "manual", before: str = "") -> Path:
    """What ``undrop backup`` does to a database that there is."""
    with command(project) as lock:
        taken = backup.take(lock, backup.Purpose(reason, before))
    assert taken is not None
    return taken.path


def restored(lock: Lock, wanted: str, standing: Path) -> restore.Restored:
    """What ``undrop restore`` does behind its look."""
    return restore.restore(lock, choose.find(lock.settings, wanted, standing))


def put_back(project: Project, wanted: str = "latest", session: Session | None = None) -> Path:
    """What ``undrop restore`` does."""
    with command(project, session) as lock:
        return restored(lock, wanted, project.root).source


def migrated(lock: Lock, *words: str) -> migrate.Migrated:
    """What ``undrop migrate`` does, whatever is lost by it."""
    with tool.of(lock.settings, [*words]) as migrations:
        return migrate.migrate(lock, migrations, accept_loss=True)
