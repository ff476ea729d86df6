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


def vaults_with(project: Project, name: str) -> list[Path]:
    """The vaults that have a file of that name."""
    return sorted(path.parent for path in Path(project.environment["XDG_STATE_HOME"]).rglob(name))


def test_forget_removes_it_from_the_vault_of_where_the_project_was(each: Project) -> None:
    each.make()
    saved = Path(each.ok("undrop", "backup").strip())
    each.add(1)
    other = Path(each.ok("undrop", "backup", "other").strip())
    there = each.root.rename(each.root.with_name("moved"))
    for command in ("backup", "list"):
        each.ok("undrop", command, cwd=there)
    folders = vaults_with(each, saved.name)
    assert len(folders) == 2
    done = each.done("undrop", "forget", saved.name, cwd=there)
    assert vaults_with(each, saved.name) == vaults_with(each, f"{saved.stem}.json") == []
    for folder in (there / "backups", *folders):
        assert str(folder) in done.err
    assert len(vaults_with(each, other.name)) == 2


def test_forget_removes_it_from_the_vaults_of_all_who_share_the_folder(each: Project) -> None:
    """And says where another project has the same bytes under a name of its own."""
    each.make()
    shared = each.root.parent / "shared"
    pyproject = each.root / "pyproject.toml"
    text = pyproject.read_text()
    pyproject.write_text(text.replace('backups = "backups"', f"backups = '{shared}'"))
    saved = Path(each.ok("undrop", "backup").strip())
    beside = each.root.with_name("beside")
    shutil.copytree(each.root, beside, symlinks=True)
    each.ok("undrop", "backup", "its own", cwd=beside)
    assert len(vaults_with(each, saved.name)) == 2
    done = json.loads(each.ok("undrop", "forget", "--json", saved.name, cwd=beside))
    assert vaults_with(each, saved.name) == []
    assert len(done["folders"]) == 3
    [own] = shared.glob("*its-own*" + each.suffix)
    assert own.name in done["same_bytes_in"]


def test_forget_leaves_another_projects_backup_of_that_name_alone(each: Project) -> None:
    each.make()
    saved = Path(each.ok("undrop", "backup").strip())
    folder = vault_of(each).with_name("other-000000000000")
    shutil.copytree(vault_of(each), folder)
    note = folder / f"{saved.stem}.json"
    fields = json.loads(note.read_text())
    note.unlink()
    note.write_text(json.dumps({**fields, "created": "2026-01-01T00:00:00+00:00"}))
    done = json.loads(each.ok("undrop", "forget", "--json", saved.name))
    assert vaults_with(each, saved.name) == [folder]
    assert done["same_bytes_in"] == [str(folder / saved.stem)]
