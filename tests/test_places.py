"""What is not where it should be: folders, links and devices in the place of others' files."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop import Project, content


def modes(folder: Path) -> dict[str, int]:
    """Everything below a folder, and its permissions."""
    return {str(path): path.lstat().st_mode for path in (folder, *folder.rglob("*"))}


def let_backups_be(project: Project, place: str) -> None:
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace('backups = "backups"', f"backups = '{place}'", 1)
    )


@pytest.mark.parametrize("place", [".", "..", "alembic", "data", "used", "others", "./alembic/.."])
@pytest.mark.parametrize("command", ["backup", "reset-db"])
def test_a_folder_with_other_things_in_it_is_refused_before_its_mode_changes(
    stocked: Project, command: str, place: str
) -> None:
    let_backups_be(stocked, place)
    (stocked.root / "data").mkdir()
    (stocked.root / "data/notes.txt").write_text("mine")
    (stocked.root / "others").mkdir()
    shutil.copy(stocked.database, stocked.root / "others/users.db")
    (stocked.root / "others/sessions.json").write_text("{}")
    used = stocked.root / "used"
    used.mkdir()
    with closing(sqlite3.connect(used / "in_use.db")) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        assert (used / "in_use.db-wal").stat().st_size > 0
        before = modes(stocked.root)
        done = stocked.refused(2, "undrop", command)
        assert "[tool.undrop]" in done.err
        assert modes(stocked.root) == before


def test_a_live_database_among_the_backups_is_refused_before_a_mode_changes(
    stocked: Project,
) -> None:
    (stocked.root / "safe").mkdir()
    stocked.database.rename(stocked.root / "safe/quartermaster.db")
    let_backups_be(stocked, "safe")
    before = modes(stocked.root)
    url = f"sqlite:///{stocked.root}/safe/quartermaster.db"
    done = stocked.undrop("backup", QUARTERMASTER_DB_URL=url)
    assert done.code == 2
    assert "where its backups go" in done.err
    assert modes(stocked.root) == before


def test_a_folder_that_somebody_made_for_backups_is_taken(stocked: Project) -> None:
    stocked.backups.mkdir()
    (stocked.backups / "README.md").write_text("What is here.")
    shutil.copy(stocked.database, stocked.backups / "quartermaster-20200101-000000-mine.db")
    stocked.ok("undrop", "backup")
    assert "20200101-000000-mine" in stocked.ok("undrop", "list")


@pytest.mark.parametrize("kind", ["folder", "/dev/null", "link to a folder"])
def test_what_stands_in_the_databases_place_is_said_with_a_line_that_works(
    stocked: Project, kind: str
) -> None:
    stocked.ok("undrop", "backup")
    known = content(stocked.database)
    stocked.database.unlink()
    if kind == "folder":
        stocked.database.mkdir()
        (stocked.database / "file").write_text("somebody's")
    else:
        stocked.database.symlink_to(kind if kind == "/dev/null" else stocked.root / "alembic")
    for command in (("undo",), ("restore", "latest"), ("backup",), ("nuke-db",), ("migrate",)):
        done = stocked.undrop(*command)
        assert done.code == 2, done
        assert "where the database should be" in done.err
    stocked.ok("sh", "-c", stocked.undrop("undo").err.partition("Next: ")[2])
    assert content(stocked.database) == known
    aside = stocked.root / "quartermaster.db.aside"
    assert aside.is_symlink() or (aside / "file").read_text() == "somebody's"
    stocked.undrop("status")


def test_a_link_among_the_backups_is_what_it_leads_to(stocked: Project, tmp_path: Path) -> None:
    """What it leads to may be in use."""
    stocked.ok("undrop", "backup")
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        assert other.with_name("other.db-wal").stat().st_size > 0
        for name, target in (("live", stocked.database), ("other", other)):
            (stocked.backups / f"quartermaster-20990101-000000-{name}.db").symlink_to(target)
        said = stocked.undrop("verify").out
        assert "damaged" not in said
        assert ("is the live database itself" in said, "other.db-wal has" in said) == (True, True)
        stocked.ok("undrop", "restore", "latest")
        for name, said in (("live", "is the live database itself"), ("other", "other.db-wal has")):
            path = stocked.backups / f"quartermaster-20990101-000000-{name}.db"
            assert said in stocked.undrop("restore", str(path)).err


def test_a_revision_is_printed_without_its_escape_characters(stocked: Project) -> None:
    stocked.revise("pass")
    file = stocked.root / "alembic/versions/9001_test.py"
    file.write_text(file.read_text().replace("'9001'", "'\\x1b[31m9001'"))
    done = stocked.done("undrop", "migrate")
    assert "[31m9001" in done.out
    for shown in (done, stocked.undrop("status"), stocked.undrop("undo", "--list")):
        # Alembic logs what it likes.
        said = [line for line in shown.err.splitlines() if not line.startswith("INFO")]
        assert "\x1b" not in "".join((shown.out, *said))


@pytest.mark.parametrize("how", ["cut", "overwritten", "another file"])
def test_a_backup_is_not_trusted_by_its_name(stocked: Project, how: str) -> None:
    first = Path(stocked.ok("undrop", "backup").strip())
    stocked.ok("undrop", "run", "--", "true")
    known = content(stocked.database)
    first.chmod(0o600)
    if how == "cut":
        os.truncate(first, first.stat().st_size // 2)
    elif how == "overwritten":
        first.write_bytes(bytes(first.stat().st_size))
    else:
        first.unlink()
        first.write_bytes(b"x")
    stocked.ok("undrop", "run", "--", "rm", str(stocked.database))
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == known
