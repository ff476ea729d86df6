"""The second line of defence on either engine, and ``just forget``."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from shop import Project


def vault_of(project: Project) -> Path:
    [folder] = Path(project.environment["XDG_STATE_HOME"]).glob(f"undrop/{project.root.name}-*")
    return folder


def lose_backups(project: Project) -> None:
    shutil.rmtree(project.backups)


def clean(project: Project) -> None:
    """``git clean -fdx`` in a repository that ignores database and backups."""
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    for arguments in (
        ("init", "-q"),
        ("add", "justfile", "pyproject.toml", "alembic.ini", "alembic", "tools"),
        ("commit", "-qm", "all"),
        ("clean", "-fdxq"),
    ):
        subprocess.run([*git, *arguments], cwd=project.root, check=True, capture_output=True)


def remove_the_tree(project: Project) -> None:
    """All of it, and a fresh clone in its place."""
    (project.root / "tools").unlink()
    shutil.rmtree(project.root)
    project.lay_out()


@pytest.mark.parametrize("loss", [clean, lose_backups, remove_the_tree])
def test_every_row_comes_back(filled: Project, loss: Callable[[Project], None]) -> None:
    before = filled.content()
    filled.ok("undrop", "backup")
    loss(filled)
    filled.lose()
    assert not filled.backups.exists()
    assert not filled.exists()
    filled.ok("just", "restore", "latest")
    assert filled.content() == before


@pytest.mark.smoke
def test_undo_after_every_backup_was_wiped(filled: Project) -> None:
    before = filled.content()
    filled.ok("undrop", "nuke-db")
    log = (filled.backups / "steps.jsonl").read_text()
    lose_backups(filled)
    filled.backups.mkdir()
    (filled.backups / "steps.jsonl").write_text(log)
    filled.ok("just", "undo")
    assert filled.content() == before


def test_list_marks_and_verify_covers_what_only_the_vault_has(each: Project) -> None:
    each.make()
    saved = Path(each.ok("undrop", "backup").strip())
    kept = vault_of(each)
    for name in (saved.name, saved.with_suffix(".json").name):
        assert (kept / name).samefile(saved.parent / name)  # it takes no space
    saved.unlink()
    assert "ok (only in the vault)" in each.ok("just", "list")
    assert json.loads(each.ok("undrop", "list", "--json"))["backups"][0]["only_in_vault"] is True
    assert each.ok("just", "verify").count(": whole") == 1
    (kept / saved.name).chmod(0o600)
    os.truncate(kept / saved.name, 100)
    assert each.just("verify").code == 4
    each.refused(4, "undrop", "restore", saved.name)


def test_forget_removes_it_everywhere_and_names_its_equals(each: Project) -> None:
    each.make()
    first = Path(each.ok("undrop", "backup", "first").strip())
    second = Path(each.ok("undrop", "backup", "second").strip())
    done = each.just("forget", first.name)
    assert done.out.strip() == first.name
    assert f"same bytes are still in: {second.name}" in done.err
    assert not list(each.backups.glob("*first*"))
    assert not list(vault_of(each).glob("*first*"))
    assert "same bytes" not in each.just("forget", second.stem).err
    assert each.saved() == []
    assert each.just("forget", "latest").code == 2
    assert each.just("forget", "../../etc/passwd").code == 2
    assert each.exists()
