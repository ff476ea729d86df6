"""``just migrate`` and Alembic's own commands."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop import REPOSITORY, Project, content, leave_wal, make

FAILS_HALF_WAY = (
    "op.create_table('half', sa.Column('id', sa.Integer, primary_key=True))",
    "op.execute('DELETE FROM stock_movements')",
    "raise RuntimeError('third operation')",
)


def revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_builds_the_schema_from_nothing(project: Project) -> None:
    assert project.ok("just", "migrate") == "no revision -> 0006\n"
    assert project.alembic("check").out.strip() == "No new upgrade operations detected."
    assert project.litter() == []
    again = project.just("migrate")
    assert again.code == 0
    assert "nothing to do" in again.err


def test_moves_a_filled_database_forward_and_back_with_a_backup_each(project: Project) -> None:
    project.ok("just", "migrate")
    project.ok("just", "sample", "10000")
    project.ok("alembic", "downgrade", "-1")
    before = content(project.database)
    taken = len(project.saved())
    done = project.just("migrate")
    assert done.out == "0005 -> 0006\n"
    assert f"the state before is {project.saved()[-1].name}" in done.err
    assert done.err.endswith("undrop: to go back: just undo\n")
    assert content(project.saved()[-1]) == before
    project.ok("alembic", "downgrade", "-1")
    assert len(project.saved()) == taken + 2
    assert revision(project.database) == "0005"
    assert content(project.database) == before


@pytest.mark.parametrize(
    ("wanted", "line"),
    [("-1", "0006 -> 0005"), ("0003", "0006 -> 0003"), ("base", "0006 -> no revision")],
)
def test_goes_down_when_that_is_where_the_revision_is(
    stocked: Project, wanted: str, line: str
) -> None:
    assert stocked.ok("just", "migrate", wanted, "--accept-loss").strip() == line
    up = stocked.ok("just", "migrate", "+1" if wanted == "-1" else "head").strip()
    assert up.endswith("-> 0006")


def test_an_unknown_revision_changes_nothing(stocked: Project) -> None:
    live = stocked.database.read_bytes()
    done = stocked.just("migrate", "no-such")
    assert done.code == 1
    assert "no-such" in done.err
    assert stocked.database.read_bytes() == live


def test_a_migration_that_raises_half_way_leaves_every_byte(stocked: Project) -> None:
    stocked.revise(*FAILS_HALF_WAY)
    live = stocked.database.read_bytes()
    done = stocked.just("migrate")
    assert done.code == 1
    assert "third operation" in done.err
    assert "was not changed" in done.err
    assert stocked.database.read_bytes() == live
    assert stocked.litter() == []


def test_alembic_alone_leaves_schema_and_data_too(stocked: Project) -> None:
    stocked.revise(*FAILS_HALF_WAY)
    before = content(stocked.database)
    assert stocked.alembic("upgrade", "head").code == 1
    assert content(stocked.database) == before


def test_rows_that_point_nowhere_stop_it(stocked: Project) -> None:
    stocked.revise("op.execute('DELETE FROM locations')")
    live = stocked.database.read_bytes()
    done = stocked.just("migrate")
    assert done.code == 4
    assert "300 row(s) of stock_movements" in done.err
    assert stocked.database.read_bytes() == live


def test_rows_that_pointed_nowhere_before_do_not_stop_it(stocked: Project) -> None:
    stocked.ok("alembic", "downgrade", "-1")
    with closing(sqlite3.connect(stocked.database)) as connection, connection:
        connection.execute("DELETE FROM locations WHERE id = 1")
    assert stocked.ok("just", "migrate") == "0005 -> 0006\n"


def test_an_env_that_goes_elsewhere_is_stopped_before_the_first_migration(
    stocked: Project, tmp_path: Path
) -> None:
    stocked.ok("alembic", "downgrade", "-1")
    other = tmp_path / "other.db"
    shutil.copy(stocked.database, other)
    env = stocked.root / "alembic/env.py"
    env.write_text(
        env.read_text()
        .replace("database_url(context)", f'"sqlite:///{other}"')
        .replace(
            "from undrop.alembic import backup_before, database_url,",
            "from undrop.alembic import backup_before,",
        )
    )
    live, elsewhere = stocked.database.read_bytes(), content(other)
    done = stocked.just("migrate")
    assert done.code == 1
    assert str(other) in done.err
    assert stocked.database.read_bytes() == live
    assert content(other) == elsewhere


def test_wal_mode_and_open_connections_survive(stocked: Project) -> None:
    stocked.ok("alembic", "downgrade", "-1")
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        stocked.ok("just", "migrate")
        connection.execute("SELECT reorder_level FROM items").fetchone()
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_failing_backup_stops_just_but_not_alembic(project: Project) -> None:
    project.ok("just", "migrate", "0005")
    shutil.rmtree(project.backups, ignore_errors=True)
    project.backups.write_text("in the way")
    assert project.just("migrate").code == 1
    assert revision(project.database) == "0005"
    done = project.alembic("upgrade", "head")
    assert done.code == 0
    assert "NO BACKUP WAS TAKEN" in done.err
    assert revision(project.database) == "0006"


@pytest.mark.parametrize(
    "command",
    [
        ("upgrade", "head"),
        ("upgrade", "head", "--sql"),
        ("downgrade", "-1"),
        ("downgrade", "0006:base", "--sql"),
        ("stamp", "0005"),
        ("ensure_version",),
    ],
)
def test_alembic_commands_that_change_take_a_backup(
    stocked: Project, command: tuple[str, ...]
) -> None:
    before = content(stocked.database)
    stocked.ok("alembic", *command)
    [saved] = stocked.saved()
    assert content(saved) == before
    assert json.loads(saved.with_suffix(".json").read_text())["reason"] == "alembic"


@pytest.mark.parametrize(
    "command",
    [
        ("current",),
        ("history",),
        ("heads",),
        ("check",),
        ("show", "head"),
        ("revision", "--autogenerate", "-m", "none"),
    ],
)
def test_alembic_commands_that_look_take_none(stocked: Project, command: tuple[str, ...]) -> None:
    stocked.ok("alembic", *command)
    assert stocked.saved() == []


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


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
def test_the_history_renders_as_sql_that_does_the_same(
    project: Project, tmp_path: Path, direction: str
) -> None:
    project.ok("just", "migrate")
    written = tmp_path / "written.db"
    scripts = [project.ok("alembic", "upgrade", "head", "--sql")]
    if direction == "downgrade":
        project.ok("just", "migrate", "0001", "--accept-loss")
        scripts.append(project.ok("alembic", "downgrade", "0006:0001", "--sql"))
    with closing(sqlite3.connect(written)) as connection:
        for script in scripts:
            connection.executescript(script)
    assert "".join("".join(content(written)).split()) == "".join(
        "".join(content(project.database)).split()
    )


def test_two_builds_and_two_fillings_are_the_same(project: Project, tmp_path: Path) -> None:
    first = tmp_path / "first.db"
    project.ok("just", "migrate")
    project.ok("just", "sample", "500")
    shutil.move(project.database, first)
    project.ok("just", "migrate")
    project.ok("just", "sample", "500")
    assert content(project.database) == content(first)


def test_prices_and_contacts_survive_the_way_down_and_up(stocked: Project) -> None:
    before = content(stocked.database)
    stocked.ok("just", "migrate", "0002", "--accept-loss")
    with closing(sqlite3.connect(stocked.database)) as connection:
        [(price,)] = connection.execute("SELECT price FROM items WHERE id = 1")
        assert price.count(".") == 1
        [(email,)] = connection.execute("SELECT email FROM suppliers WHERE id = 1")
        assert email == "sales@supplier-1.example"
    stocked.ok("just", "migrate")
    tables = ("items", "stock_movements", "suppliers", "locations")

    def rows(lines: list[str]) -> list[str]:
        inserts = tuple(f'INSERT INTO "{table}"' for table in tables)
        return [line for line in lines if line.startswith(inserts)]

    assert rows(content(stocked.database)) == rows(before)


def test_a_project_without_alembic_is_told_what_to_do(project: Project) -> None:
    make(project.database)
    (project.root / "alembic.ini").unlink()
    done = project.undrop("migrate")
    assert done.code == 2
    assert "alembic.ini" in done.err


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
