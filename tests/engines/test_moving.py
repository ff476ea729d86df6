"""A project that goes from one engine to the other."""

import json
import shutil
from pathlib import Path

import pytest
from served import Served
from server import Server
from shop import Project


@pytest.fixture
def moved(tmp_path: Path, server: Server) -> Served:
    """A project without a database whose variable names no server yet; ``url`` would."""
    made = Served(tmp_path / "shop", server)
    del made.environment["QUARTERMASTER_DB_URL"]
    return made


def names(project: Project) -> list[str]:
    """Every backup that is listed, newest first."""
    found = json.loads(project.ok("undrop", "list", "--all", "--json"))["backups"]
    return [Path(backup["path"]).name for backup in found]


def test_moving_from_sqlite_to_postgresql_takes_the_url_alone(
    moved: Served, stocked_database: Path
) -> None:
    file = moved.root / "quartermaster.db"
    shutil.copy(stocked_database, file)
    old = Path(moved.ok("just", "backup", "the last of the old").strip())
    assert old.suffix == ".db"

    moved.environment["QUARTERMASTER_DB_URL"] = moved.url
    bytes_before = file.read_bytes()
    assert moved.ok("just", "migrate") == "no revision -> 0006\n"
    moved.ok("just", "sample", "300")
    before = moved.content()
    new = Path(moved.ok("just", "backup").strip())
    assert new.suffix == ".pgdump"
    assert [new.name, old.name] == [name for name in names(moved) if name in {new.name, old.name}]
    assert moved.just("verify", old.name).code == 0

    moved.ok("just", "run", *moved.client("DELETE FROM stock_movements"))
    assert moved.content() != before
    moved.ok("just", "undo")
    assert moved.content() == before
    moved.ok("just", "run", *moved.client("DROP TABLE stock_movements CASCADE"))
    moved.ok("just", "undo")
    assert moved.content() == before

    for wanted in (old.name, str(old)):
        moved.refused(2, "just", "restore", wanted)
    moved.sql("DELETE FROM stock_movements")
    moved.ok("just", "restore", "latest")  # is never the other engine's
    assert moved.content() == before
    assert file.read_bytes() == bytes_before


def test_moving_back_finds_the_old_backups_and_refuses_the_new(
    moved: Served, stocked_database: Path
) -> None:
    file = moved.root / "quartermaster.db"
    shutil.copy(stocked_database, file)
    bytes_before = file.read_bytes()
    old = Path(moved.ok("undrop", "backup").strip())
    moved.make()
    new = Path(moved.ok("undrop", "backup", QUARTERMASTER_DB_URL=moved.url).strip())
    assert set(names(moved)) == {old.name, new.name}

    # Its server is known no longer: no other is written to in its place.
    moved.environment["PGHOST"] = str(moved.server.folder)
    began = moved.server.sql("SELECT pg_current_wal_insert_lsn()::text")
    done = moved.undrop("verify", new.name)
    assert (done.code, done.out.partition(", not restored: ")[0].strip()) == (
        0,
        f"{new.name}: whole",
    )
    assert moved.server.sql("SELECT pg_current_wal_insert_lsn()::text") == began
    done = moved.undrop("restore", new.name)
    assert done.code == 2
    assert "was not changed" in done.err
    assert file.read_bytes() == bytes_before
    file.unlink()
    assert moved.ok("just", "restore", "latest").strip() == str(old)
    assert moved.undrop("undo").code == 0  # its own steps only
    assert not file.exists()
    assert moved.exists()


def test_backups_of_two_engines_are_not_compared(moved: Served, stocked_database: Path) -> None:
    shutil.copy(stocked_database, moved.root / "quartermaster.db")
    old = Path(moved.ok("undrop", "backup").strip())
    moved.environment["QUARTERMASTER_DB_URL"] = moved.url
    moved.make()
    done = moved.undrop("diff", old.name)
    assert done.code == 2
    assert len(done.err.splitlines()) == 3
