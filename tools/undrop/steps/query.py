"""Somebody's own look into a backup or the live database: a query, or a shell."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from undrop.engines import registry
from undrop.errors import UsageError
from undrop.recipes import Action
from undrop.steps import choose, verify
from undrop.steps.live import LIVE
from undrop.store import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from undrop.engines.protocol import Backups
    from undrop.settings import Settings
    from undrop.values import Result, Shell


def query(
    settings: "Settings", wanted: str, standing: "Path", sql: str
) -> "AbstractContextManager[Result]":
    """What one statement that only reads gives of ``live`` or a backup, which is whole.

    Raises UsageError, CheckError, UndropError.
    """
    path = _path(settings, wanted, standing)
    if path is None:
        return settings.engine.query_live(sql)
    return _backups(settings, path).query(path, sql)


@contextmanager
def shells(settings: "Settings", wanted: str, standing: "Path") -> "Iterator[Sequence[Shell]]":
    """The programs, the best one first, in which somebody asks more. Raises as ``query``."""
    path = _path(settings, wanted, standing)
    if path is None:
        yield settings.engine.shells_live()
        return
    with _backups(settings, path).shells(path) as programs:
        yield programs


def _path(settings: "Settings", wanted: str, standing: "Path") -> "Path | None":
    """A backup that is whole; None for the live database."""
    engine = settings.engine
    chosen = None if wanted == LIVE else choose.find(settings, wanted, standing)
    if chosen is None or engine.is_live(chosen.file):
        if not engine.exists():
            what = Action("sql", "NAME", "'SELECT …'", typed=False)
            raise UsageError("there is no live database", Action("list"), ", then", what)
        return None
    if chosen.record is None and registry.of_backup(engine, chosen.path) is engine:
        engine.refuse_unfit(chosen.path)  # it may be in use
    return unpacked.plain(settings, verify.whole(settings, chosen)[0])


def _backups(settings: "Settings", path: "Path") -> "Backups":
    return registry.of_backup(settings.engine, path, settings.verify_url)
