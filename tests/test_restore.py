"""``just restore``, ``just nuke-db``, ``just reset-db``: old or new, and always a way back."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import inside
import pytest
from shop import (
    Project,
    add,
    content,
    leave_hot_journal,
    leave_wal,
    make,
    uncheckpointed,
    wal_of,
)

from undrop import digest
from undrop.errors import CheckError, UsageError
from undrop.steps import diff, verify
from undrop.store import catalog


def backed_up(project: Project, rows: int = 500) -> list[str]:
    """Make a database, back it up, add to it; the content that the backup holds."""
    make(project.database, rows)
    before = content(project.database)
    project.ok("just", "backup", "good")
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 5)
    return before


def backed_up_inside(project: Project) -> list[str]:
    """The same, without a process for it."""
    make(project.database)
    before = content(project.database)
    inside.back_up(project, "good")
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 5)
    return before


def leave_stale_wal(database: Path) -> None:
    """Beside the file, the -wal of another database with pages of the same numbers."""
    other = database.with_name("other.db")
    make(other, rows=2000)
    leave_wal(other)
    shutil.move(wal_of(other), wal_of(database))
    other.unlink()
    assert wal_of(database).stat().st_size > 0


def cut(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2 + 100)


def scribble(database: Path) -> None:
    database.write_text("this is no database at all\n" * 100)


def write_one_byte(database: Path) -> None:
    database.write_bytes(b"S")


def remove_with_wal_left(database: Path) -> None:
    leave_wal(database)
    database.unlink()


LIVE_STATES: dict[str, Callable[[Path], None]] = {
    "with a stale wal": leave_stale_wal,
    "with a wal of its own": leave_wal,
    "with a hot journal": leave_hot_journal,
    "truncated": cut,
    "garbage": scribble,
    "one byte": write_one_byte,
    "empty": lambda database: os.truncate(database, 0),
    "missing": Path.unlink,
    "missing, its wal not": remove_with_wal_left,
}


@pytest.mark.parametrize("state", LIVE_STATES)
def test_restores_whatever_the_live_file_is(project: Project, state: str) -> None:
    before = backed_up(project, rows=3000)
    LIVE_STATES[state](project.database)
    project.ok("just", "restore", "latest")
    assert not wal_of(project.database).exists()
    assert content(project.database) == before
    assert project.litter() == []


@pytest.mark.parametrize("state", ["truncated", "garbage", "one byte", "missing, its wal not"])
def test_damaged_bytes_are_kept_once(project: Project, state: str) -> None:
    backed_up(project)
    LIVE_STATES[state](project.database)
    names = [path for path in (project.database, wal_of(project.database)) if path.exists()]
    damaged = {path.name: path.read_bytes() for path in names}
    done = project.just("restore", "latest")
    [kept] = project.backups.glob("*.damaged")
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == damaged
    assert str(kept) in done.err
    assert "damaged" in project.ok("just", "list")


def test_a_backup_with_a_wal_of_its_own_is_refused_and_nothing_changed(project: Project) -> None:
    backed_up(project)
    [good] = project.saved()
    good.with_name(good.name + "-wal").write_bytes(b"commits")
    project.refused(4, "just", "restore", good.name)


def plant_journal(database: Path, rows: int) -> Path:
    """Beside a file, the hot -journal of another of that size: rolled back, it becomes that."""
    other = database.with_name("planted.db")
    make(other, rows)
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("UPDATE t SET v = 'planted ' || substr(v, 9)")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET v = 'x' || substr(v, 2)")
        data = Path(f"{other}-journal").read_bytes()
        connection.execute("ROLLBACK")
    shutil.copyfile(database, other)
    planted = Path(f"{database}-journal")
    for path in (Path(f"{other}-journal"), planted):
        path.write_bytes(data)
    with closing(sqlite3.connect(other)) as connection:
        assert connection.execute("SELECT v FROM t").fetchone()[0].startswith("planted")
    other.unlink()
    return planted


@pytest.mark.parametrize("place", ["by name", "by path", "a copy elsewhere"])
def test_a_journal_planted_beside_a_backup_is_not_rolled_into_it(
    project: Project, tmp_path: Path, place: str
) -> None:
    make(project.database, rows=200)
    good = inside.back_up(project)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 5)
    if place == "a copy elsewhere":
        good = Path(shutil.copyfile(good, tmp_path / "elsewhere.db"))
    planted = plant_journal(good, rows=200)
    bytes_before = good.read_bytes(), planted.read_bytes(), project.database.read_bytes()
    with pytest.raises(CheckError, match="-journal has"):
        inside.put_back(project, good.name if place == "by name" else str(good))
    assert (good.read_bytes(), planted.read_bytes(), project.database.read_bytes()) == bytes_before


def test_verify_and_diff_read_a_backup_without_a_journal_planted_beside_it(
    project: Project,
) -> None:
    make(project.database, rows=200)
    good = inside.back_up(project)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 5)
    later = inside.back_up(project)
    planted = plant_journal(good, rows=200)
    bytes_before = good.read_bytes(), planted.read_bytes()
    with inside.command(project) as lock:
        facts = verify.verify(lock.settings, catalog.named(lock.settings, good.name))
        [table] = diff.between(lock.settings, good.name, later.name, project.root).tables
    assert (facts.digest, table.lost, table.added) == (digest.of(good), 0, 5)
    assert (good.read_bytes(), planted.read_bytes()) == bytes_before


@pytest.mark.parametrize("step", ["nuke-db", "reset-db", "run", "agent"])
def test_latest_is_never_a_set_of_damaged_files(project: Project, step: str) -> None:
    """Whatever step came next when the damage was set aside."""
    before = backed_up_inside(project)
    good = project.saved()[0]
    scribble(project.database)
    kept = inside.back_up(project, f"before {step}", step)
    assert kept.suffix == ".damaged"
    assert inside.put_back(project, "latest") == good
    assert content(project.database) == before


def test_where_there_are_only_damaged_files_there_is_no_latest(project: Project) -> None:
    scribble(project.database)
    damaged = project.database.read_bytes()
    inside.back_up(project, "before nuke-db", "nuke-db")
    with pytest.raises(UsageError, match="no verified backup"):
        inside.put_back(project, "latest")
    assert project.database.read_bytes() == damaged


def test_the_live_file_by_any_name_is_no_backup(project: Project) -> None:
    backed_up(project)
    link, hard = project.root / "link.db", project.root / "hard.db"
    link.symlink_to(project.database)
    hard.hardlink_to(project.database)
    for name in ("quartermaster.db", "link.db", "hard.db"):
        assert "live database itself" in project.refused(2, "just", "restore", name).err


def test_an_empty_file_without_a_record_is_refused(project: Project) -> None:
    backed_up(project)
    with closing(sqlite3.connect(project.root / "blank.db")) as connection:
        connection.execute("VACUUM")
    done = project.just("restore", "blank.db")
    assert done.code == 4
    assert "no table" in done.err


def test_a_backup_of_an_empty_database_can_be_put_back(project: Project) -> None:
    project.database.touch()
    project.ok("just", "backup")
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        add(connection, 10)
    project.ok("just", "restore", "latest")
    assert content(project.database) == ["BEGIN TRANSACTION;", "COMMIT;"]


def test_a_file_from_elsewhere_needs_no_record(project: Project, tmp_path: Path) -> None:
    make(project.database)
    make(tmp_path / "from usb.db", rows=7, wal=True)
    project.ok("just", "restore", str(tmp_path / "from usb.db"))
    assert content(project.database) == content(tmp_path / "from usb.db")


def test_inode_mode_and_link_stay(project: Project, tmp_path: Path) -> None:
    target = tmp_path / "real.db"
    project.database.symlink_to(target)
    before = backed_up(project)
    target.chmod(0o640)
    inode = target.stat().st_ino
    project.ok("just", "restore", "latest")
    assert project.database.is_symlink()
    assert (target.stat().st_ino, stat.S_IMODE(target.stat().st_mode)) == (inode, 0o640)
    assert content(target) == before


def test_open_connections_stay_in_their_mode(project: Project) -> None:
    before = backed_up(project, rows=20)
    for mode in ("DELETE", "WAL"):
        with closing(sqlite3.connect(project.database)) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}")
            add(connection, 3)
            project.ok("just", "restore", "latest")
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (20,)
            assert connection.execute("PRAGMA journal_mode").fetchone()[0].upper() == mode
            add(connection, 1)  # and its next commit survives
        assert len(content(project.database)) == len(before) + 1


def test_a_wal_databases_mode_comes_back_after_nuke(project: Project) -> None:
    make(project.database, wal=True)
    project.database.chmod(0o600)
    project.ok("just", "nuke-db")
    project.ok("just", "restore", "latest")
    assert project.database.read_bytes()[18:20] == b"\x02\x02"
    assert stat.S_IMODE(project.database.stat().st_mode) == 0o600


def test_another_page_size_goes_into_a_wal_database(project: Project) -> None:
    make(project.database, page_size=1024)
    before = content(project.database)
    project.ok("just", "backup")
    project.database.unlink()
    make(project.database, rows=3, wal=True, page_size=8192)
    project.ok("just", "restore", "latest")
    assert content(project.database) == before
    assert project.database.read_bytes()[18:20] == b"\x02\x02"


def test_another_page_size_is_refused_while_a_wal_database_is_open(project: Project) -> None:
    make(project.database, page_size=1024)
    project.ok("just", "backup")
    project.database.unlink()
    make(project.database, wal=True)
    with uncheckpointed(project.database):
        before = content(project.database)
        done = project.just("restore", "latest")
        assert done.code == 1
        assert "pid" in done.err
        assert content(project.database) == before


def test_nuke_takes_what_a_dead_program_left_along(project: Project) -> None:
    make(project.database)
    leave_wal(project.database)
    before = content(project.database)
    done = project.just("nuke-db")
    assert done.code == 0
    assert not list(project.root.glob("quartermaster.db*"))
    [saved] = project.saved()
    assert content(saved) == before
    project.ok("just", "restore", "latest")
    assert content(project.database) == before


def test_nuke_of_garbage_keeps_the_bytes(project: Project) -> None:
    scribble(project.database)
    data = project.database.read_bytes()
    project.ok("just", "nuke-db")
    assert not project.database.exists()
    [kept] = project.backups.glob("*.damaged")
    assert (kept / "quartermaster.db").read_bytes() == data


def test_nuke_refuses_while_somebody_has_it_open(project: Project) -> None:
    make(project.database)
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("SELECT 1 FROM t").fetchone()
        done = project.just("nuke-db")
    assert done.code == 1
    assert f"pid {os.getpid()}" in done.err
    assert project.database.exists()


@pytest.mark.parametrize("state", ["garbage", "truncated"])
def test_reset_works_on_a_damaged_database(stocked: Project, state: str) -> None:
    LIVE_STATES[state](stocked.database)
    stocked.ok("just", "reset-db")
    assert "No new upgrade operations" in stocked.alembic("check").out


def test_reset_keeps_wal_mode(project: Project) -> None:
    make(project.database, wal=True, page_size=1024)
    project.ok("just", "reset-db")
    assert project.database.read_bytes()[18:20] == b"\x02\x02"
