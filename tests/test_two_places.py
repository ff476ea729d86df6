"""A backup whose second file is a copy, on another file system: one of the two is enough."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import memory
import pytest
from shop import Project, content, make, some


@pytest.fixture
def apart(project: Project) -> Iterator[Project]:
    """A project with a vault that is on another file system, where the machine has two."""
    with tempfile.TemporaryDirectory(prefix="undrop-", dir=memory.disk()) as folder:
        project.environment["XDG_STATE_HOME"] = str(Path(folder).resolve())
        make(project.database)
        project.ok("just", "backup", "first")
        for copy in copies(project):
            if copy.stat().st_nlink > 1:
                whole = copy.read_bytes()
                copy.unlink()
                copy.write_bytes(whole)
        yield project


def copies(project: Project) -> list[Path]:
    return sorted(Path(project.environment["XDG_STATE_HOME"]).glob("undrop/shop-*/*.db"))


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


def spoil(path: Path) -> None:
    """Other rows in a file of the same size that is whole for SQLite."""
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"x" * 90, b"y" * 90))


def empty(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(b"")


SPOILED = pytest.mark.parametrize("how", [cut, spoil, empty, Path.unlink])


def changed(project: Project) -> list[str]:
    """What was backed up, of a database that has lost it since."""
    kept = content(project.database)
    project.ok("undrop", "run", "--", *project.client("DELETE FROM t WHERE id > 3"))
    assert content(project.database) != kept
    return kept


@SPOILED
@pytest.mark.parametrize("wanted", some(["latest", "first", "backups/{}", "{}"]))
def test_restore_takes_the_copy_where_the_backup_is_gone_or_not_what_it_was(
    apart: Project, how: object, wanted: str
) -> None:
    kept = changed(apart)
    first, _ = apart.saved()
    [copy] = [path for path in copies(apart) if path.name == first.name]
    how(first)  # type: ignore[operator]
    done = apart.done("just", "restore", wanted.format(first.name))
    said = "is gone" if how is Path.unlink else "is not what its record says: its copy"
    assert f"{first} {said}" in done.err
    assert f"{copy} is taken" in done.err
    assert content(apart.database) == kept
    assert apart.litter() == []


@SPOILED
def test_undo_takes_the_copy_and_says_so(apart: Project, how: object) -> None:
    kept = changed(apart)
    first, _ = apart.saved()
    how(first)  # type: ignore[operator]
    done = apart.done("just", "undo")
    assert f"{first} is " in done.err
    assert f"{first.name} is taken" in done.err
    assert content(apart.database) == kept


def test_a_copy_that_was_named_and_is_spoiled_is_not_taken(apart: Project) -> None:
    kept = changed(apart)
    first, _ = apart.saved()
    [copy] = [path for path in copies(apart) if path.name == first.name]
    cut(copy)
    done = apart.done("just", "restore", str(copy))
    assert f"{copy} is not what its record says: its copy {first} is taken" in done.err
    assert content(apart.database) == kept


def test_where_both_are_spoiled_nothing_is_put_in_place(apart: Project) -> None:
    changed(apart)
    first, _ = apart.saved()
    for path in (first, *copies(apart)):
        spoil(path)
    apart.refused(4, "just", "--no-deps", "restore", first.name)


def test_nothing_is_said_where_both_are_whole(apart: Project) -> None:
    changed(apart)
    assert "is taken" not in apart.done("just", "restore", "latest").err


def verified(project: Project) -> tuple[int, dict[str, str]]:
    done = project.just("verify", "--json")
    return done.code, {each["path"]: each["problem"] for each in json.loads(done.out)["verified"]}


@pytest.mark.parametrize("how", [cut, spoil, empty])
def test_verify_reads_both(apart: Project, how: object) -> None:
    """And a backup of which one file is whole bears no mark: ``latest`` still means it."""
    [saved], [copy] = apart.saved(), copies(apart)
    assert verified(apart) == (0, {str(saved): "", str(copy): ""})
    how(copy)  # type: ignore[operator]
    code, problems = verified(apart)
    assert code == 4
    assert problems[str(saved)] == ""
    assert problems[str(copy)]
    assert f"{copy}: " in apart.just("verify").out
    shutil.copy(saved, copy)
    how(saved)  # type: ignore[operator]
    code, problems = verified(apart)
    assert code == 4
    assert problems[str(copy)] == ""
    assert f"its copy {copy} is whole" in problems[str(saved)]
    assert "failed verify" not in apart.ok("just", "list")
    apart.ok("just", "restore", "--dry-run", saved.name)
    how(copy)  # type: ignore[operator]
    assert verified(apart)[0] == 4
    assert "failed verify" in apart.ok("just", "list")


def test_audit_says_how_the_whole_one_comes_back_in_its_place(apart: Project) -> None:
    [saved], [copy] = apart.saved(), copies(apart)
    spoil(saved)
    done = apart.just("audit", "--json")
    [found] = [each for each in json.loads(done.out)["checked"] if each["finding"]]
    assert f"its copy {copy} is whole" in found["said"]
    line, _, _ = found["next"].partition(" puts that in its place")
    apart.ok("sh", "-c", line)
    assert verified(apart) == (0, {str(saved): "", str(copy): ""})
    assert apart.just("audit").code == 0
