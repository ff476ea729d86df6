"""``just migrate`` and Alembic's own commands."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from shop import REPOSITORY, Project, content, leave_wal, make


def revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_rows_that_point_nowhere_stop_it(stocked: Project) -> None:
    stocked.revise("op.execute('DELETE FROM locations')")
    done = stocked.refused(4, "just", "migrate")
    assert "300 row(s) of stock_movements" in done.err


def test_rows_that_pointed_nowhere_before_do_not_stop_it(stocked: Project) -> None:
    stocked.ok("alembic", "downgrade", "-1")
    with closing(sqlite3.connect(stocked.database)) as connection, connection:
        connection.execute("DELETE FROM locations WHERE id = 1")
    assert stocked.ok("just", "migrate") == "0005 -> 0006\n"


def test_wal_mode_and_open_connections_survive(stocked: Project) -> None:
    stocked.ok("alembic", "downgrade", "-1")
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        stocked.ok("just", "migrate")
        connection.execute("SELECT reorder_level FROM items").fetchone()
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_alembic_from_elsewhere_changes_the_projects_file(project: Project, tmp_path: Path) -> None:
    config = str(project.root / "alembic.ini")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    project.ok("alembic", "-c", config, "upgrade", "head", cwd=elsewhere)
    assert revision(project.database) == "0006"
    assert not list(elsewhere.iterdir())
    done = project.alembic(
        "-c", config, "upgrade", "head", cwd=elsewhere, QUARTERMASTER_DB_URL="sqlite:///rel.db"
    )
    assert done.code == 0
    assert revision(project.root / "rel.db") == "0006"


def test_alembic_on_a_damaged_database_warns_and_goes_on(project: Project) -> None:
    project.database.write_text("no database")
    done = project.alembic("upgrade", "head")
    assert "NO BACKUP WAS TAKEN" in done.err
    assert "damaged" in done.err


LOOKS = ("current -v", "history -i", "heads", "branches", "show current", "show head", "check")
CHANGES = ("stamp --purge 0006", "downgrade -1", "upgrade head", "ensure_version")


def test_alembics_commands_that_look_take_no_backup(stocked: Project) -> None:
    live = stocked.exact()
    for line in LOOKS:
        stocked.ok("alembic", *line.split())
    assert stocked.saved() == []
    assert stocked.exact() == live
    assert not stocked.backups.exists()


def test_alembics_commands_that_change_the_database_are_each_behind_a_backup(
    stocked: Project,
) -> None:
    for number, line in enumerate(CHANGES, 1):
        before = stocked.content()
        stocked.ok("alembic", *line.split())
        taken = [path for path in stocked.saved() if "-alembic" in path.name.split("after")[0]]
        assert len(taken) == number, line
        assert content(taken[-1]) == before, line


def test_migrates_what_a_dead_programs_wal_holds(project: Project) -> None:
    make(project.database)
    leave_wal(project.database)
    project.ok("just", "migrate")
    assert "in the wal" in "".join(content(project.database))


def test_the_child_does_not_shadow_modules_with_the_projects_folders(project: Project) -> None:
    (project.root / "sqlalchemy.py").write_text("raise SystemExit('shadowed')")
    project.ok("just", "migrate")


def test_coverage_of_the_repositorys_own_history() -> None:
    assert len(list((REPOSITORY / "alembic/versions").glob("0*.py"))) >= 5
    assert not (REPOSITORY / "alembic/__init__.py").exists()
    assert os.access(REPOSITORY / "alembic.ini", os.R_OK)
