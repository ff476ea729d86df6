"""A disk that is too full is said so at the start, with nothing written; any other is used."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from inside import back_up, command, put_back
from shop import Project, make

from undrop import settings
from undrop.steps import replica
from undrop.steps.backup import State
from undrop.store.catalog import Backup
from undrop.values import Moved, Target

SMALL, LARGE = 100, 700  # rows


class Case(NamedTuple):
    """Something that takes room."""

    act: Callable[[], object]
    folder: Path
    """Where it takes that."""
    needed: int


def size(path: Path) -> int:
    return path.stat().st_size


def a_backup(project: Project) -> Case:
    make(project.database)
    return Case(lambda: back_up(project), project.backups, size(project.database))


def a_set_of_damaged_files(project: Project) -> Case:
    project.database.write_text("garbage" * 500)
    return Case(
        lambda: back_up(project, "before nuke-db", "nuke-db"),
        project.backups,
        size(project.database),
    )


def restored(project: Project, before: int, after: int) -> Case:
    """A restore of so many rows over so many, which a backup holds already."""
    make(project.database, after)
    saved = back_up(project)
    project.lose()
    make(project.database, before)
    back_up(project)
    needed = max(size(saved), size(project.database))
    return Case(lambda: put_back(project, saved.name), project.root, needed)


def a_restore_of_more(project: Project) -> Case:
    return restored(project, SMALL, LARGE)


def a_restore_of_less(project: Project) -> Case:
    return restored(project, LARGE, SMALL)


def a_restore_where_there_is_no_database(project: Project) -> Case:
    make(project.database)
    saved = back_up(project)
    project.lose()
    return Case(lambda: put_back(project), project.root, 2 * size(saved))


def a_restore_from_elsewhere(project: Project) -> Case:
    other = project.root.parent / "other.db"
    make(other)
    make(project.database)
    back_up(project)
    return Case(lambda: put_back(project, str(other)), project.root, 2 * size(other))


class Unused:
    """What migrates, which is not needed to make room for it."""

    in_place = False
    rows = None

    def run(self, target: Target) -> Moved:
        raise NotImplementedError

    def roll_back(self) -> None:
        raise NotImplementedError


def a_copy_to_migrate(project: Project) -> Case:
    make(project.database)
    saved = back_up(project)
    state = State("database", Backup(saved, None), None, "migrate")

    def act() -> None:
        with command(project) as lock, lock.settings.engine.work(state, Unused()):
            pass

    return Case(act, project.root, 2 * size(saved))


CASES = [
    a_backup,
    a_set_of_damaged_files,
    a_restore_of_more,
    a_restore_of_less,
    a_restore_where_there_is_no_database,
    a_restore_from_elsewhere,
    a_copy_to_migrate,
]


def leave(monkeypatch: pytest.MonkeyPatch, free: int, folder: Path | None = None) -> None:
    """Let so many bytes be free in a folder, and no end of them elsewhere; None for everywhere."""

    def statvfs(asked: Path) -> object:
        mine = folder is None or asked.samefile(folder)
        return type("Disk", (), {"f_bavail": free if mine else 1 << 50, "f_frsize": 1})

    monkeypatch.setattr(os, "statvfs", statvfs)


def files(project: Project) -> dict[str, bytes]:
    """All that there is, but for the project's own folders."""
    folders = [project.root, project.backups, *project.backups.glob("*.damaged")]
    every = [file for folder in folders if folder.is_dir() for file in folder.iterdir()]
    return {str(file): file.read_bytes() for file in every if file.is_file()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_one_byte_too_few_is_said_before_anything_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch, case: Callable[[Project], Case]
) -> None:
    act, folder, needed = case(project)
    with command(project):  # the lock's file is there from now on
        before = files(project)
    with monkeypatch.context() as disk:
        leave(disk, needed - 1, folder)
        with pytest.raises(OSError, match=f"needs {needed:,} bytes") as raised:
            act()
    assert raised.value.errno == errno.ENOSPC
    assert files(project) == before
    leave(monkeypatch, needed, folder)
    act()


def test_a_replica_is_asked_only_where_there_is_room_for_its_answer(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(project.database)
    asked: list[Path] = []

    class Copy:
        def check(self, work: Path, *, patient: bool, **_: float) -> str:
            assert patient
            asked.append(work)
            return "current"

    monkeypatch.setattr(replica, "of", lambda _settings: Copy())
    needed = 2 * size(project.database)
    loaded = settings.load(project.root)
    with monkeypatch.context() as disk:
        leave(disk, needed - 1)
        with pytest.raises(OSError, match=f"needs {needed:,} bytes"):
            replica.require(loaded)
    assert not asked
    leave(monkeypatch, needed)
    assert replica.require(loaded) == "current"
