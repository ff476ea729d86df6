"""``just audit``: what it finds, and that what it says to do about that does it."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop import Project, content, make

from undrop import settings
from undrop.engines.sqlite.look import Look
from undrop.sqlitefile import check, connect
from undrop.steps import audit
from undrop.values import Examined, Session


def findings(project: Project) -> list[dict[str, str]]:
    """What there is to do, from a command that wrote nothing."""
    before = project.tree()
    done = project.just("audit", "--json")
    said = json.loads(done.out)
    found = [each for each in said["checked"] if each["finding"]]
    assert (done.code, len(found)) == (4 if found else 0, said["findings"])
    assert project.tree() == before
    return found


def finding(project: Project) -> dict[str, str]:
    [found] = findings(project)
    return found


def in_vault(project: Project, suffix: str) -> Path:
    """The only file of that kind in the vault."""
    [path] = Path(project.environment["XDG_STATE_HOME"]).rglob(f"*{suffix}")
    return path


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with one backup, of the present state."""
    make(project.database)
    project.ok("undrop", "backup")
    return project


def test_where_everything_is_whole_each_thing_is_named(shop: Project) -> None:
    assert findings(shop) == []
    lines = shop.ok("just", "audit").splitlines()[1:]
    [saved] = shop.saved()
    assert [line.split("  ")[0] for line in lines] == [
        str(shop.database),
        saved.name,
        "vault",
        "log of steps",
        "space",
    ]
    assert "whole, by integrity_check and foreign_key_check" in lines[0]
    assert "as its record says" in lines[1]


def test_without_a_database_or_a_backup_there_is_nothing_to_find(project: Project) -> None:
    assert findings(project) == []
    assert "there is no database" in project.ok("just", "audit")


def leave_out_of_index(database: Path) -> None:
    """An index that lacks rows, as a program with a bug leaves it: ``quick_check`` is content."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE INDEX by_v ON t (v)")
        connection.execute("PRAGMA writable_schema = ON")
        [row] = connection.execute("SELECT * FROM sqlite_master WHERE name = 'by_v'").fetchall()
        connection.execute("DELETE FROM sqlite_master WHERE name = 'by_v'")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("INSERT INTO t (v) VALUES ('in no index')")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)


@pytest.mark.parametrize("wal", [False, True])
def test_an_index_that_lacks_rows_is_found_in_either_mode(shop: Project, *, wal: bool) -> None:
    leave_out_of_index(shop.database)
    with closing(sqlite3.connect(shop.database)) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("UPDATE t SET v = 'b' WHERE id = 1")
            connection.commit()
        found = finding(shop)
    assert found["name"] == str(shop.database)
    assert found["said"].startswith("integrity_check finds: ")
    assert "missing from index by_v" in found["said"]
    shop.ok("undrop", "backup")  # the everyday gate does not look that closely
    shop.sql("REINDEX")
    assert findings(shop) == []


def test_rows_that_point_nowhere_are_found(shop: Project) -> None:
    shop.script(
        "CREATE TABLE child (t INTEGER REFERENCES t (id));INSERT INTO child VALUES (1), (99), (98);"
    )
    assert finding(shop)["said"] == "2 row(s) of child point to no row of t"


def test_an_index_by_what_only_the_application_has_is_no_finding(shop: Project) -> None:
    with closing(sqlite3.connect(shop.database)) as connection:
        connection.create_function("ours", 1, lambda value: value, deterministic=True)
        connection.execute("CREATE INDEX by_ours ON t (ours(v))")
    assert findings(shop) == []
    assert "quick_check and foreign_key_check, not checked: what ours() gives" in shop.ok(
        "just", "audit"
    )


@pytest.mark.parametrize("kind", ["garbage", "a page"])
def test_a_damaged_database_is_found(shop: Project, kind: str) -> None:
    with shop.database.open("r+b") as file:
        file.seek(0 if kind == "garbage" else 4096)
        file.write(b"\xff" * 4096)
    assert finding(shop)["name"] == str(shop.database)


def spoil(path: Path) -> None:
    """Turn the last bit over."""
    data = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_a_backup_that_is_not_what_its_record_says_is_found_by_each_of_its_names(
    shop: Project,
) -> None:
    """And the line marks it, so that ``latest`` is another."""
    shop.ok("undrop", "backup", "second name")
    shop.sql("DELETE FROM t")
    shop.ok("undrop", "backup", "--accept-shrink")
    [second] = shop.backups.glob("*-second-name.db")
    spoil(second)
    found = findings(shop)
    names = {path.name for path in shop.saved() if path.samefile(second)}
    assert {each["name"] for each in found} == names
    assert len(names) == 2
    for each in found:
        assert each["next"].startswith(f"just verify {each['name']} marks it")
        assert shop.just("verify", each["name"]).code == 4
    assert {each["name"] for each in findings(shop)} == names


def test_a_copy_in_the_vault_that_is_no_link_is_read_too(shop: Project) -> None:
    [saved], copy = shop.saved(), in_vault(shop, ".db")
    copy.unlink()
    shutil.copy(saved, copy)
    assert findings(shop) == []
    spoil(copy)
    found = finding(shop)
    assert found["said"] == f"its copy {copy} is not what the record says"
    follow(shop, found["next"])
    assert copy.samefile(saved)
    assert findings(shop) == []


def test_another_record_in_the_vault_is_found(shop: Project) -> None:
    note = in_vault(shop, ".json")
    fields = json.loads(note.read_text())
    note.unlink()
    note.write_text(json.dumps({**fields, "reason": "another"}))
    found = finding(shop)
    assert "says something else" in found["said"]
    follow(shop, found["next"])
    assert findings(shop) == []


def follow(project: Project, line: str) -> None:
    """Do what is said: ``rm …, then just backup keeps another there``."""
    command, then = line.removesuffix(" keeps another there").split(", then ")
    project.ok("sh", "-c", command)
    project.ok("sh", "-c", then)


def test_what_is_not_in_the_vault_is_found(shop: Project) -> None:
    copy = in_vault(shop, ".db")
    copy.unlink()
    found = finding(shop)
    assert found["said"] == f"{copy.name} is not in {copy.parent}"
    assert found["next"] == "just backup puts it there"
    shop.ok("just", "backup")
    assert findings(shop) == []
    pyproject = shop.root / "pyproject.toml"
    text = pyproject.read_text()
    pyproject.write_text(text.replace("[tool.undrop]", "[tool.undrop]\nvault = false"))
    shutil.rmtree(copy.parent)
    assert findings(shop) == []


def test_a_backup_that_only_the_vault_has_is_said_and_read(shop: Project) -> None:
    [saved] = shop.saved()
    saved.unlink()
    assert findings(shop) == []
    assert "as its record says, only in the vault" in shop.ok("just", "audit")
    spoil(in_vault(shop, ".db"))
    assert finding(shop)["name"] == saved.name


def test_a_set_of_damaged_files_is_what_was_kept_or_not(shop: Project) -> None:
    shop.database.write_text("garbage")
    shop.ok("just", "nuke-db")
    assert "damaged files, as they were kept" in shop.ok("just", "audit")
    [kept] = shop.backups.glob("*.damaged")
    spoil(kept / shop.database.name)
    found = findings(shop)
    assert {each["name"] for each in found} == {kept.name}
    assert found[0]["said"] == "damaged files, and not those that were kept"
    shop.ok("just", "forget", kept.name)
    assert finding(shop)["name"] == "log of steps"


def test_a_state_that_undo_would_need_and_that_is_gone_is_found(shop: Project) -> None:
    [saved] = shop.saved()
    shop.ok("just", "nuke-db")
    shop.ok("just", "forget", saved.name)
    found = finding(shop)
    assert found["said"] == f"the state before nuke-db was kept in {saved.name}, which is gone"
    make(shop.database, 3)
    shop.ok("just", "nuke-db")  # from now on undo goes back to another one
    assert findings(shop) == []
    assert "1 state(s) before one gone" in shop.ok("just", "audit")


@pytest.mark.parametrize("where", ["backups", "temporary"])
def test_too_little_room_is_found(
    shop: Project, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """For another backup, or for the copy that is checked; all else is checked all the same."""
    size = shop.database.stat().st_size

    def leave(free: int) -> list[str]:
        def statvfs(path: Path) -> object:
            mine = (path == shop.backups) == (where == "backups")
            return type("Disk", (), {"f_bavail": free if mine else 1 << 50, "f_frsize": 1})

        monkeypatch.setattr(os, "statvfs", statvfs)
        checked = [*audit.audit([settings.load(shop.root)])]
        assert len(checked) == 5
        return [each.said for each in checked if each.to_do]

    assert leave(size) == []
    [said] = leave(size - 1)
    wanted = "not enough for another backup" if where == "backups" else f"needs {size:,} bytes free"
    assert wanted in said


@pytest.mark.parametrize("wal", [False, True])
def test_others_write_while_the_live_database_is_checked(
    project: Project, monkeypatch: pytest.MonkeyPatch, *, wal: bool
) -> None:
    make(project.database, wal=wal)
    original, before = check.examine, content(project.database)

    def examine(connection: connect.Connection) -> Examined:
        with closing(sqlite3.connect(project.database, timeout=0)) as other, other:
            other.execute("INSERT INTO t (v) VALUES ('meanwhile')")
        return original(connection)

    monkeypatch.setattr(check, "examine", examine)
    with closing(Look(project.database, Session())) as look:
        assert look.examine().problems == []
    assert len(content(project.database)) == len(before) + 1
