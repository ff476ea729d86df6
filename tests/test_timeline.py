"""The timeline: what undo takes back, what it leaves alone, and where it stops.

Through the real command line, the exact content compared.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from agents import bash, call, ended, hook
from shop import Project, content, make, some

from undrop import settings
from undrop.store import home, log

ROWS = "SELECT count(*) FROM suppliers"


def by_hand(project: Project, sql: str) -> None:
    """Somebody, or the application, writes."""
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute(sql)


def insert(project: Project, name: str = "new") -> None:
    by_hand(project, f"INSERT INTO suppliers (name) VALUES ('{name}')")


def stopped(project: Project, *arguments: str) -> dict[str, Any]:
    """What undo says when others worked; nothing is changed."""
    before = content(project.database)
    said = json.loads(project.refused(4, "undrop", "undo", "--json", *arguments).out)
    assert content(project.database) == before
    assert said["live_changed"] is False
    return dict(said)


def events(project: Project) -> list[dict[str, Any]]:
    return list(json.loads(project.ok("undrop", "undo", "--list", "--json"))["events"])


@pytest.mark.parametrize("way", [0, 1, 2])
def test_a_row_deleted_by_hand_after_a_migration_is_not_the_migrations_doing(
    stocked: Project, way: int
) -> None:
    """Undo stops, and each of the three lines that it says does what it says."""
    stocked.revise("op.execute('CREATE TABLE mine (v)')")
    old = content(stocked.database)
    stocked.ok("just", "migrate")
    migrated = content(stocked.database)
    by_hand(stocked, "DELETE FROM stock_movements WHERE id = 1")
    deleted = content(stocked.database)
    done = stocked.refused(4, "just", "undo")
    assert "stock_movements: 1 row gone" in done.err
    assert content(stocked.database) == deleted
    ways = [line.strip() for line in done.err.partition("Next: ")[2].splitlines()]
    assert [way.partition("  ")[0].split()[:2] for way in ways] == [
        ["just", "restore"],
        ["just", "undo"],
        ["just", "undo"],
    ]
    stocked.ok(*ways[way].partition("  ")[0].split())
    step_alone = [line for line in old if 'INTO "stock_movements" VALUES(1,' not in line]
    assert len(step_alone) == len(old) - 1
    # Triggers that were set aside are made again: their place among the definitions is another.
    assert sorted(content(stocked.database)) == sorted([migrated, step_alone, old][way])
    stocked.ok("just", "undo")  # that was a step
    assert content(stocked.database) == deleted


def test_what_changed_nothing_is_passed_over_and_what_others_wrote_then_stays(
    stocked: Project,
) -> None:
    """``run true``, then a row by hand: the row is others' work, and no step is blamed for it."""
    stocked.ok("undrop", "run", "--", "true")
    insert(stocked)
    said = stopped(stocked)
    assert said["whole"] is None
    [change] = said["others"]
    assert (change["name"], change["added"], change["gone"]) == ("suppliers", 1, 0)
    old = content(stocked.database)
    stocked.ok("undrop", "restore", said["since"])
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == old


def test_a_harmless_tool_call_after_a_row_by_hand_takes_nothing_with_it(stocked: Project) -> None:
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    insert(stocked)
    bash(stocked, "make")
    assert ended(stocked, "make") == {}
    said = stopped(stocked)
    assert said["whole"] == "migrate"
    assert said["since"].endswith("-after-migrate.db")


def test_a_call_that_changed_something_is_taken_back_and_a_later_one_is_named(
    stocked: Project,
) -> None:
    old = content(stocked.database)
    bash(stocked, "python fill.py postgresql://me:s3cret@host/db")
    by_hand(stocked, "DELETE FROM stock_movements")
    ended(stocked, "python fill.py postgresql://me:s3cret@host/db")
    stocked.ok("undrop", "run", "--", "true")
    done = stocked.undrop("undo")
    assert done.code == 0
    assert "undone: agent (python fill.py postgresql://me:***@host/db)" in done.err
    assert "passed over: run (true)" in done.err
    assert content(stocked.database) == old
    assert "s3cret" not in (stocked.backups / "steps.jsonl").read_text()


def test_calls_that_overlap_are_taken_back_as_one(stocked: Project) -> None:
    old = content(stocked.database)
    bash(stocked, "python one.py")
    insert(stocked, "one")
    stocked.ok("undrop", "run", "--", sys.executable, "-c", "")
    ended(stocked, "python one.py")
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == old


EMPTY = """
PRAGMA writable_schema = RESET; PRAGMA foreign_keys = OFF;
PRAGMA writable_schema = ON; DELETE FROM sqlite_master; PRAGMA writable_schema = OFF; VACUUM;
"""
LOST: dict[str, Callable[[Path], object]] = {
    "rm": Path.unlink,
    "0 bytes": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no database"),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "zeroes": lambda path: path.write_bytes(bytes(8192)),
    "no table": lambda path: sqlite3.connect(path).executescript(EMPTY),
}


@pytest.mark.parametrize("kind", some(LOST))
@pytest.mark.parametrize("wal", [False, True])
def test_a_database_that_was_lost_comes_back_as_it_was_known_last(
    stocked: Project, kind: str, *, wal: bool
) -> None:
    """After a restore: what was put in place, not what was there before it."""
    if wal:
        with closing(sqlite3.connect(stocked.database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    first = Path(stocked.ok("undrop", "backup").strip())
    known = content(stocked.database)
    insert(stocked)
    stocked.ok("undrop", "restore", first.name)
    LOST[kind](stocked.database)
    shown = stocked.undrop("status")
    assert shown.code == 4
    assert "LOST" in shown.out
    assert "just undo" in shown.out
    assert f"now in place: {first.name}, of " in stocked.run("just", "undo").err
    assert content(stocked.database) == known
    assert stocked.undrop("status").code == 0


@pytest.mark.parametrize("kind", ["rm", "0 bytes"])
def test_what_our_own_step_took_away_is_not_lost(stocked: Project, kind: str) -> None:
    """Undo takes the step back; what an application made of nothing since is nothing."""
    old = content(stocked.database)
    stocked.ok("undrop", "nuke-db")
    if kind == "0 bytes":
        stocked.database.write_bytes(b"")
    assert "LOST" not in stocked.undrop("status").out
    done = stocked.undrop("undo")
    assert (done.code, "undone: nuke-db" in done.err) == (0, True)
    assert content(stocked.database) == old


def test_a_lock_or_a_permission_is_no_loss(stocked: Project) -> None:
    stocked.ok("undrop", "backup")
    insert(stocked)
    before = content(stocked.database)
    with closing(sqlite3.connect(stocked.database, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        done = stocked.impatient("undo")
        assert done.code == 1
        assert "locked" in done.err
        connection.execute("ROLLBACK")
    assert content(stocked.database) == before


def test_undo_of_undo_of_undo(stocked: Project) -> None:
    states = [content(stocked.database)]
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    states.append(content(stocked.database))
    for number in range(4):
        stocked.ok("undrop", "undo")
        assert content(stocked.database) == states[number % 2]


@pytest.mark.parametrize("sql", ["ANALYZE", "INSERT INTO suppliers (name) VALUES ('x')"])
def test_other_bytes_are_not_others_work(stocked: Project, sql: str) -> None:
    """ANALYZE, and a row that came and went."""
    old = content(stocked.database)
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    by_hand(stocked, sql)
    by_hand(stocked, "DELETE FROM suppliers WHERE name = 'x'")
    assert [event["others"] for event in events(stocked)] == [False]
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == old


def test_a_value_that_changed_is_others_work_though_no_row_came_or_went(stocked: Project) -> None:
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    by_hand(stocked, "UPDATE suppliers SET name = 'x' WHERE id = 1")
    assert [event["others"] for event in events(stocked)] == [True, False]
    assert [change["changed"] for change in stopped(stocked)["others"]] == [1]


def test_the_state_after_a_migration_is_the_copy_that_was_swapped_in(stocked: Project) -> None:
    """Under the digest that a snapshot of the live database has: the next step adds no backup."""
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    [_, after] = stocked.saved()
    assert content(after) == content(stocked.database)
    stocked.ok("undrop", "nuke-db")
    assert len(stocked.saved()) == 2
    [*_, step] = json.loads(stocked.ok("undrop", "undo", "--list", "--json"))["steps"][::-1]
    assert (step["kind"], step["before"]) == ("nuke-db", after.name)


def test_the_log_is_there_when_the_backups_were_wiped(stocked: Project) -> None:
    old = content(stocked.database)
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    shutil.rmtree(stocked.backups)
    [event] = events(stocked)
    assert event["steps"][0]["kind"] == "migrate"
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == old
    assert [event["steps"][0]["kind"] for event in events(stocked)] == ["undo", "migrate"]


def test_an_emptied_log_is_filled_from_its_copy(stocked: Project) -> None:
    old = content(stocked.database)
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    (stocked.backups / "steps.jsonl").write_text("")
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == old
    loaded = settings.load(stocked.root)
    assert loaded.vault_folder is not None
    texts = [(folder / log.NAME).read_text() for folder in (loaded.backups, loaded.vault_folder)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("days", [-10, 10])
def test_the_order_is_the_logs_whatever_the_clock_said(stocked: Project, days: int) -> None:
    """A backup dated ten days ahead stays neither `latest`, nor the present's alarm."""
    saved = Path(stocked.ok("undrop", "backup", "odd clock").strip())
    record = json.loads(saved.with_suffix(".json").read_text())
    year, rest = record["created"][:4], record["created"][4:]
    record["created"] = f"{int(year) + days // 10}{rest}"
    saved.with_suffix(".json").chmod(0o600)
    saved.with_suffix(".json").write_text(json.dumps(record))
    insert(stocked)
    newer = Path(stocked.ok("undrop", "backup", "later").strip())
    insert(stocked, "more")
    done = json.loads(stocked.ok("undrop", "restore", "latest", "--dry-run", "--json"))
    assert done["would_restore"] == str(newer)


def test_a_log_of_another_folder_is_said_and_not_undone_into(
    stocked: Project, tmp_path: Path
) -> None:
    """Copied with the project: it tells of another machine's database."""
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    copy = Project(tmp_path / "copy")
    shutil.copy(stocked.database, copy.database)
    shutil.copytree(stocked.backups, copy.backups)
    before = content(copy.database)
    done = copy.refused(4, "undrop", "undo")
    assert "another folder's database" in done.err
    assert content(copy.database) == before
    stocked.ok("undrop", "undo")


def test_fields_of_a_newer_undrop_are_left_out_not_its_steps(stocked: Project) -> None:
    old = content(stocked.database)
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    file = stocked.backups / "steps.jsonl"
    lines = [{**json.loads(line), "mood": "fine"} for line in file.read_text().splitlines()]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    shutil.rmtree(settings.load(stocked.root).vault_folder or "")
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == old


def test_rows_since_a_step_of_an_older_undrop_do_not_go_with_it_in_silence(
    stocked: Project,
) -> None:
    """Before 0.3 no state after was kept."""
    old = content(stocked.database)
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    file = stocked.backups / "steps.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    known = ("at", "kind", "source", "before", "phase", "filled")
    file.write_text("".join(json.dumps({k: line[k] for k in known}) + "\n" for line in lines))
    shutil.rmtree(settings.load(stocked.root).vault_folder or "")
    for after in stocked.backups.glob("*after-migrate*"):
        after.unlink()
    for record in stocked.backups.glob("*.json"):
        text = {**json.loads(record.read_text()), "sequence": 0}
        record.write_text(json.dumps(text))
    insert(stocked)
    said = stopped(stocked)
    assert "nothing tells migrate from others' work since" in said["error"]
    assert "undo --whole" in said["next"]
    stocked.ok("undrop", "undo", "--whole")
    assert content(stocked.database) == old


def test_two_databases_of_a_project_have_a_timeline_each(stocked: Project) -> None:
    other = f"sqlite:///{stocked.root}/other.db"
    make(stocked.root / "other.db")
    first = content(stocked.database)
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    done = stocked.run("undrop", "undo", QUARTERMASTER_DB_URL=other)
    assert done.code == 4
    assert "nothing to undo" in done.err
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == first


def test_the_timeline_says_when_what_and_where_you_are(stocked: Project) -> None:
    stocked.ok("undrop", "run", "--", sys.executable, "-c", "")
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    insert(stocked)
    lines = stocked.ok("undrop", "undo", "--list").splitlines()
    assert "you are here" in lines[1]
    assert "others' work" in lines[2]
    assert "suppliers" in lines[2]
    assert "migrate" in lines[3]
    assert "run (" in lines[4]
    assert "changed nothing" in lines[4]


def test_a_revision_written_by_hand_is_others_work_and_a_stamp_is_a_step(stocked: Project) -> None:
    stocked.ok("alembic", "stamp", "0005")
    [event] = events(stocked)
    assert (event["steps"][0]["kind"], event["same"]) == ("alembic", False)
    by_hand(stocked, "UPDATE alembic_version SET version_num = '0004'")
    done = stocked.refused(4, "undrop", "undo")
    assert "revision 0005 -> 0004" in done.err
    by_hand(stocked, "UPDATE alembic_version SET version_num = '0005'")
    stocked.ok("undrop", "undo")
    assert stocked.ok("undrop", "status", "--json").count('"revisions": ["0006"]') == 1


@pytest.mark.parametrize("command", ["migrate", "rehearse"])
def test_a_revision_of_another_branch_is_said_with_what_fits(
    stocked: Project, command: str
) -> None:
    fits = Path(stocked.ok("undrop", "backup").strip())
    old = content(stocked.database)
    by_hand(stocked, "UPDATE alembic_version SET version_num = 'abc123'")
    done = stocked.refused(4, "undrop", command)
    assert "Traceback" not in done.err
    assert "revision abc123" in done.err
    assert "git switch" in done.err
    assert f"just restore {fits.name}" in done.err
    assert f"just restore {fits.name}" in stocked.undrop("status").out
    stocked.ok("just", "restore", fits.name)
    assert content(stocked.database) == old
    assert "revision abc123 is unknown to the migrations here" in stocked.undrop("undo").err


LIVES_ON = """
import sqlite3
from alembic import command
from alembic.config import Config

try:
    command.upgrade(Config("alembic.ini"), "head")
except RuntimeError:
    pass
connection = sqlite3.connect("quartermaster.db")
connection.execute("INSERT INTO suppliers (name) VALUES ('of the application')")
connection.commit()
"""


@pytest.mark.parametrize("fails", [False, True])
def test_alembics_step_ends_with_its_run_though_the_application_lives_on(
    stocked: Project, *, fails: bool
) -> None:
    """What it writes then is its own work, and not the migration's."""
    stocked.revise("op.execute('CREATE TABLE mine (v)')", "raise RuntimeError" if fails else "pass")
    stocked.ok(sys.executable, "-c", LIVES_ON)
    said = stopped(stocked)
    assert [change["added"] for change in said["others"]] == [1]
    assert said["whole"] == (None if fails else "alembic")
    [step] = json.loads(stocked.ok("undrop", "undo", "--list", "--json"))["steps"]
    assert step["phase"] == ("same" if fails else "done")


@pytest.mark.parametrize("command", [("undo",), ("restore", "latest")])
def test_a_new_project_at_the_path_of_an_old_one_is_not_given_its_database(
    stocked: Project, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """The vault goes by the path, and still has the other's backups.

    A file system gives a folder that is made anew the inode of the one that was removed.
    """
    stocked.ok("undrop", "backup")
    vault = settings.load(stocked.root).vault_folder
    assert vault is not None
    stocked.root.rename(tmp_path / "elsewhere")
    new = Project(stocked.root)
    for record in vault.glob("*.json"):
        fields = json.loads(record.read_text())
        device, inode, _, born = fields["home"]
        assert born != home.here(settings.load(new.root))[3] > 0
        now = home.here(settings.load(new.root))
        assert [device, inode] != now[:2]
        record.chmod(0o600)
        record.write_text(json.dumps({**fields, "home": [*now[:3], born]}))
    done = new.undrop(*command)
    if command == ("undo",):
        assert done.code == 4
        assert not new.database.exists()
    else:  # the project was removed and cloned again, perhaps
        assert "taken in another folder than this one" in done.err
        assert content(new.database) == content(tmp_path / "elsewhere/quartermaster.db")


def test_a_number_and_a_part_of_a_name_mean_what_the_list_showed(stocked: Project) -> None:
    """What the recipe's own backup takes is not counted."""
    first = Path(stocked.ok("undrop", "backup", "first of all").strip())
    old = content(stocked.database)
    insert(stocked)
    stocked.ok("undrop", "backup", "second")
    insert(stocked, "more")
    listed = json.loads(stocked.ok("just", "list", "--json"))["backups"]
    assert [backup["number"] for backup in listed] == [2, 1]
    for wanted in ("1", "first-of"):
        insert(stocked, "again")
        stocked.ok("just", "restore", wanted)
        assert content(stocked.database) == old
    insert(stocked, "again")
    done = stocked.just("restore", "before-restor")  # the one that is taken now is none
    assert done.code in {0, 2}
    done = stocked.just("restore", "frist-of-all")
    assert done.code == 2
    assert first.stem in done.err


def test_the_list_is_this_databases_unless_all_are_asked_for(stocked: Project) -> None:
    stocked.ok("undrop", "backup")
    make(stocked.root / "other.db")
    url = f"sqlite:///{stocked.root}/other.db"
    stocked.ok("undrop", "backup", QUARTERMASTER_DB_URL=url)
    one = json.loads(stocked.ok("undrop", "list", "--json"))["backups"]
    every = json.loads(stocked.ok("undrop", "list", "--all", "--json"))["backups"]
    assert (len(one), len(every)) == (1, 2)
    other = next(backup for backup in every if backup["source"] == "other.db")
    done = stocked.refused(4, "undrop", "restore", other["path"])
    assert "--foreign" in done.err


def test_an_alarm_that_was_cured_is_gone_at_once(stocked: Project) -> None:
    stocked.ok("undrop", "backup")
    by_hand(stocked, "DELETE FROM stock_movements")
    stocked.ok("undrop", "backup")
    assert "ALARM" in stocked.undrop("status").out
    stocked.ok("undrop", "restore", "latest")
    assert "ALARM" not in stocked.undrop("status").out


def test_a_record_beside_a_file_from_elsewhere_decides_no_mode(
    stocked: Project, tmp_path: Path
) -> None:
    """A planted one made the live file 4777, and gave it away."""
    saved = Path(stocked.ok("undrop", "backup").strip())
    theirs = Path(shutil.copy(saved, tmp_path / saved.name))
    planted = {**json.loads(saved.with_suffix(".json").read_text()), "mode": "4777", "uid": 12345}
    theirs.with_suffix(".json").write_text(json.dumps(planted))
    stocked.database.unlink()
    stocked.ok("undrop", "restore", str(theirs))
    stat = stocked.database.stat()
    assert stat.st_mode & 0o7111 == 0
    assert stat.st_uid == os.getuid()


def test_what_shares_nothing_with_this_database_is_not_put_in_its_place(
    stocked: Project, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "theirs.db")) as connection, connection:
        connection.execute("CREATE TABLE theirs (v)")
    done = stocked.refused(4, "undrop", "restore", str(tmp_path / "theirs.db"))
    line = done.err.partition("if it is meant, ")[2].strip()
    assert line.endswith("--foreign")
    stocked.ok(*line.split())
    assert "theirs" in "".join(content(stocked.database))


def test_a_call_of_another_session_is_not_closed_by_this_ones_end(stocked: Project) -> None:
    """Its own beginning was never written down: what it did is no step, and not yesterday's."""
    hook(stocked, {**call(stocked, "Bash", command="make"), "session_id": "yesterday"})
    insert(stocked, "since yesterday")
    stocked.ok("undrop", "backup")
    insert(stocked, "now")
    ended(stocked, "python now.py")
    said = stopped(stocked)
    assert said["whole"] is None
    assert [change["added"] for change in said["others"]] == [1]


def test_latest_after_a_restore_that_was_killed_when_it_was_done_does_no_harm(
    stocked: Project,
) -> None:
    """Its end is not in the log: what it meant to put in place is there."""
    stocked.ok("undrop", "backup", "oldest")
    insert(stocked)
    stocked.ok("undrop", "backup")
    restored = content(stocked.database)
    insert(stocked, "more")
    stocked.ok("undrop", "restore", "latest")
    assert content(stocked.database) == restored
    loaded = settings.load(stocked.root)
    assert loaded.vault_folder is not None
    for file in (stocked.backups / log.NAME, loaded.vault_folder / log.NAME):
        lines = file.read_text().splitlines()
        assert '"phase": "done"' in lines[-1]
        file.write_text("".join(f"{line}\n" for line in lines[:-1]))
    done = stocked.undrop("restore", "latest")
    assert "already in place" in done.err
    assert content(stocked.database) == restored


def test_latest_twice_through_just_puts_nothing_older_in_place(stocked: Project) -> None:
    """The recipe's backup may give the present state another name."""
    stocked.ok("undrop", "backup", "alpha")
    old = content(stocked.database)
    by_hand(stocked, "DELETE FROM stock_movements WHERE id = 1")
    for _ in range(3):
        stocked.ok("just", "restore", "latest")
        assert content(stocked.database) == old


def test_a_copy_of_the_database_under_another_name_has_a_way_back_of_its_own(
    stocked: Project,
) -> None:
    stocked.ok("undrop", "backup")
    shutil.copy(stocked.database, stocked.root / "copy.db")
    url = f"sqlite:///{stocked.root}/copy.db"
    old = content(stocked.root / "copy.db")
    stocked.ok("undrop", "nuke-db", QUARTERMASTER_DB_URL=url)
    stocked.ok("undrop", "undo", QUARTERMASTER_DB_URL=url)
    assert content(stocked.root / "copy.db") == old


def test_an_end_without_its_beginning_takes_nothing_with_it(stocked: Project) -> None:
    """The hook was not asked, or could not answer, when the call began."""
    bash(stocked, "make")
    ended(stocked, "make")
    insert(stocked, "mine")
    said = {**call(stocked, "Bash", command="python b.py"), "hook_event_name": "PostToolUse"}
    hook(stocked, {**said, "tool_use_id": "another"})
    assert [change["added"] for change in stopped(stocked)["others"]] == [1]
    assert stopped(stocked)["whole"] is None


@pytest.mark.parametrize(
    "sql", ["CREATE VIRTUAL TABLE d USING fts5(t)", "CREATE VIEW v AS SELECT 1 AS one"]
)
def test_what_has_no_ordinary_table_is_not_lost(project: Project, sql: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute(sql)
    old = content(project.database)
    project.ok("undrop", "nuke-db")
    done = project.undrop("undo")
    assert "undone: nuke-db" in done.err
    assert content(project.database) == old


def test_a_state_after_that_was_forgotten_is_known_all_the_same(stocked: Project) -> None:
    old = content(stocked.database)
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    stocked.ok("undrop", "forget", stocked.saved()[-1].name)
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == old


@pytest.mark.parametrize(
    "odd", ['"filled": 5', '"at": "0001-01-01T00:00:00+14:00"', '"sequence": 18446744073709551615']
)
def test_a_line_that_cannot_be_hides_no_other(stocked: Project, odd: str) -> None:
    old = content(stocked.database)
    stocked.ok("undrop", "migrate", "--accept-loss", "--", "-1")
    with (stocked.backups / log.NAME).open("a") as file:
        file.write('{"at": "2026-01-01T00:00:00+00:00", "kind": "migrate", "before": "",')
        file.write(f' "source": "quartermaster.db", {odd}}}\n')
    stocked.ok("undrop", "undo", "--list")
    stocked.ok("undrop", "undo")
    assert content(stocked.database) == old


def test_what_happened_is_looked_at_as_far_as_it_is_shown(stocked: Project) -> None:
    """In a project with thousands of steps all of it would take half a minute."""
    for name in ("one", "two", "three"):
        insert(stocked, name)
        stocked.ok("undrop", "run", "true")
    told = stocked.done("undrop", "undo", "--list", "-n", "2")
    assert len(told.out.splitlines()) == 4  # with its head, and where one is
    assert "3 older, at most" in told.err
    every = stocked.done("undrop", "undo", "--list", "--all")
    assert len(every.out.splitlines()) == 7
    assert "older" not in every.err
    assert len(events(stocked)) == 5


def test_all_that_is_done_has_a_place_of_its_own(stocked: Project) -> None:
    """Else what came when would be told by clocks: a command that works while another one waits."""
    stocked.ok("undrop", "run", "undrop", "backup", "inside")
    insert(stocked)
    stocked.ok("undrop", "run", "undrop", "run", "true")
    bash(stocked, "make")
    stocked.ok("undrop", "nuke-db")
    ended(stocked, "make")
    stocked.ok("undrop", "undo")
    environment = {**os.environ, **stocked.environment}
    several = [
        subprocess.Popen(
            [sys.executable, "-m", "undrop", "run", "undrop", "backup", f"{number}"],
            cwd=stocked.root,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for number in range(3)
    ]
    assert [each.wait() for each in several] == [0, 0, 0]
    lines = map(json.loads, (stocked.backups / log.NAME).read_text().splitlines())
    records = [json.loads(path.with_suffix(".json").read_text()) for path in stocked.saved()]
    places = [fields["sequence"] for fields in (*lines, *records)]
    assert len(places) > 20
    assert len(places) == len(set(places))
