"""The guard is for one database: whatever others are seen, ``status`` says each time."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop import Project, make

from undrop import folders, settings
from undrop.engines import registry
from undrop.store import unguarded


def said(project: Project) -> str:
    """The line of ``status`` about databases that are not guarded; empty without."""
    lines = project.run("undrop", "status").out.splitlines()
    return next((line for line in lines if line.startswith("not guarded")), "")


def test_status_names_every_database_that_is_not_guarded(project: Project) -> None:
    project.make()
    project.ok("undrop", "backup")
    assert said(project) == ""
    assert "covered    yes\n" in project.ok("undrop", "status") + "\n"
    for name in ("b.db", ".hidden/state", "deep/er/and/deeper/still/c.sqlite3", "z.db"):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        make(project.root / name)
    out = project.ok("undrop", "status")
    assert "not guarded: b.db, z.db, .hidden/state (and 1 more)" in out
    assert "covered    yes, this database alone" in out
    assert json.loads(project.ok("undrop", "status", "--json"))["unguarded"] == [
        "b.db",
        "z.db",
        ".hidden/state",
        "deep/er/and/deeper/still/c.sqlite3",
    ]


@pytest.mark.parametrize(
    "name",
    [
        ".venv/lib/x.db",
        "node_modules/x.db",
        ".mypy_cache/3.11/x.db",
        "pkg/tests/x.db",
        "fixtures/x.db",
        ".git/x.db",
        ".coverage",
        "backups/x.db",
        ".quartermaster.db-litestream/x.db",
    ],
)
def test_what_is_nobodys_database_is_not_named(project: Project, name: str) -> None:
    path = project.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (project.root / ".venv").mkdir(exist_ok=True)
    (project.root / ".venv/pyvenv.cfg").touch()
    make(path)
    assert said(project) == ""


def test_the_guarded_one_is_known_by_any_name(project: Project) -> None:
    project.make()
    (project.root / "link.db").symlink_to("quartermaster.db")
    (project.root / "hard.db").hardlink_to(project.database)
    (project.root / "notes.db").write_text("no database" * 512)
    assert said(project) == ""


def test_looking_for_others_lets_go_of_no_lock_on_live(project: Project) -> None:
    """Closing a descriptor of a file that SQLite has open here would drop its locks."""
    project.make()
    (project.root / "hard.db").hardlink_to(project.database)
    other = (
        "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=0)\n"
        "c.execute('BEGIN IMMEDIATE')"
    )
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert unguarded.of(settings.load(project.root)) == []
        done = project.run("python3", "-c", other, str(project.database))
        assert "locked" in done.err


def test_what_a_project_in_a_folder_guards_is_guarded(project: Project) -> None:
    inner = project.root / "inner"
    inner.mkdir()
    make(inner / "a.db")
    make(inner / "b.db")
    (inner / "pyproject.toml").write_text(
        '[tool.undrop]\nurl = "sqlite:///a.db"\nbackups = "kept"\n'
    )
    project.done("undrop", "backup", cwd=inner)
    assert list((inner / "kept").glob("*.db"))
    assert said(project) == "not guarded: inner/b.db"


def test_a_look_ends_in_a_project_of_any_size(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearest first, so that what is seen is what somebody would look for."""
    monkeypatch.setattr(folders, "MOST", 20)
    for n in range(30):
        (project.root / f"many/{n:02}").mkdir(parents=True)
        make(project.root / f"many/{n:02}/x.db", 1)
    seen = list(registry.seen(project.root / "many"))
    assert [path.parent.name for path in seen] == [f"{n:02}" for n in range(19)]


def test_databases_that_env_py_goes_to_elsewhere_are_remembered(
    project: Project, tmp_path: Path
) -> None:
    project.make()
    make(tmp_path / "far.db")
    here = settings.load(project.root)
    urls = [
        f"sqlite:///{tmp_path}/far.db",
        "sqlite:///quartermaster.db",
        "sqlite:///not yet.db",
        "postgresql://me:secret@host/other",
    ]
    unguarded.remember(here, urls)
    project.ok("undrop", "backup")  # it is no stranger's folder
    assert said(project) == f"not guarded: {tmp_path}/far.db, postgresql://host/other"
    assert "secret" not in (project.backups / unguarded.NAME).read_text()
    (tmp_path / "far.db").unlink()
    assert said(project) == "not guarded: postgresql://host/other"
    unguarded.remember(here, [])
    assert said(project) == ""
    (project.backups / unguarded.NAME).write_text("{ no json")
    assert said(project) == ""


def test_what_init_found_open_is_said_until_it_is_shut(project: Project) -> None:
    project.make()
    project.ok("undrop", "backup")
    env = project.root / "alembic/env.py"
    source = env.read_text()
    env.write_text(source.replace("backup_before(context)", "pass"))
    assert project.run("undrop", "init", "--check").code == 4
    done = project.run("undrop", "status")
    assert "NOT guarded: alembic, because no backup was there" in done.out
    assert json.loads(project.ok("undrop", "status", "--json"))["open_doors"]
    env.write_text(source)
    project.ok("undrop", "init", "--check")
    assert "guarded" not in project.ok("undrop", "status")
