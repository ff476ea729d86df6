"""``just list``, ``just verify``, ``just status``: what is there, and is it whole."""

import json
import os
import pty
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from shop import Project, add, drain, leave_wal, make

from undrop.cli import tables
from undrop.cli.progress import Bar


def on_a_terminal(project: Project, *command: str, **variables: str) -> str:
    """What a command shows on a terminal of 200 columns."""
    master, slave = pty.openpty()
    environment = {**project.environment, "TERM": "xterm-256color", "COLUMNS": "200", **variables}
    with subprocess.Popen(
        command, cwd=project.root, env=environment, stdout=slave, stderr=subprocess.DEVNULL
    ):
        os.close(slave)
        return drain(master)


def test_list_shows_the_live_database_then_the_newest(stocked: Project) -> None:
    stocked.ok("just", "backup", "first")
    stocked.ok("just", "backup", "second one")
    lines = stocked.ok("just", "list").splitlines()
    assert lines[0].split() == ["name", "age", "size", "revision", "reason", "check"]
    assert lines[1].startswith("quartermaster.db")
    assert "live" in lines[1]
    assert "second one" in lines[2]
    assert "first" in lines[3]
    assert lines[2].split()[-1] == "ok"
    assert "0006" in lines[2]


def test_list_is_plain_in_a_pipe_and_coloured_on_a_terminal(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup", "[red]not markup[/red] \x1b[31m")
    plain = project.ok("just", "list")
    assert "\x1b" not in plain
    assert "[red]not markup[/red] �[31m" in plain
    shown = on_a_terminal(project, "undrop", "list")
    assert "\x1b[" in shown
    assert "[red]not markup[/red]" in shown
    grey = on_a_terminal(project, "undrop", "list", NO_COLOR="1")
    assert "\x1b[32m" in shown
    assert "\x1b[32m" not in grey


def test_list_json_has_every_record(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup", "why")
    listed = json.loads(project.ok("just", "list", "--json"))
    assert listed["database"] == str(project.database)
    assert listed["bytes"] == project.database.stat().st_size
    [only] = listed["backups"]
    assert only["reason"] == "why"
    assert only["verified"] is True


def test_list_of_nothing(project: Project) -> None:
    assert "no database" in project.ok("just", "list")
    assert json.loads(project.ok("just", "list", "--json"))["backups"] == []


def test_a_broken_record_is_no_record(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup")
    [saved] = project.saved()
    for broken in (
        "",
        "[]",
        "{}",
        '{"created": 1}',
        "\xff",
        saved.with_suffix(".json").read_text()[:99],
    ):
        saved.with_suffix(".json").write_text(broken)
        assert "no record" in project.ok("just", "list")
        assert json.loads(project.ok("just", "list", "--json"))["backups"][0]["verified"] is False


def test_the_names_time_sorts_what_has_no_record(project: Project) -> None:
    make(project.database)
    project.backups.mkdir()
    for name in (
        "quartermaster-20250102-000000-b.db",
        "quartermaster-20250101-000000-a.db",
        "x.db",
    ):
        shutil.copy(project.database, project.backups / name)
    names = [line.split()[0] for line in project.ok("just", "list").splitlines()[2:]]
    assert names[0] == "x.db"  # its file's time, which is now
    assert names[1].startswith("quartermaster-20250102")
    assert names[2].startswith("quartermaster-20250101")


def test_verify_proves_all_or_names_the_bad_one(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup", "one")
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)
    project.ok("just", "backup", "two")
    assert project.ok("just", "verify").count(": whole\n") == 2
    bad = project.saved()[0]
    bad.chmod(0o600)
    os.truncate(bad, bad.stat().st_size - 4096)
    done = project.just("verify")
    assert done.code == 4
    assert "header claims" in done.out
    assert done.out.count(": whole\n") == 1
    assert json.loads(project.just("verify", "--json").out)["damaged"] == 1
    assert project.just("verify", bad.name).code == 4
    assert project.just("verify", "latest").code == 0


@pytest.mark.parametrize("where", ["payload", "page"])
def test_verify_finds_what_quick_check_may_miss(project: Project, where: str) -> None:
    make(project.database, rows=500)
    project.ok("just", "backup")
    [saved] = project.saved()
    data = bytearray(saved.read_bytes())
    data[len(data) - 50 if where == "payload" else 3 * 4096] ^= 0x10
    saved.chmod(0o600)
    saved.write_bytes(data)
    assert project.just("verify", saved.name).code == 4


def test_verify_with_no_backups(project: Project) -> None:
    done = project.just("verify")
    assert done.code == 0
    assert "no backups" in done.err


def test_status_says_covered_or_not_by_content(stocked: Project) -> None:
    done = stocked.just("status")
    assert done.code == 4
    assert "no: just backup" in done.out
    stocked.ok("just", "backup")
    assert "covered    yes" in stocked.ok("just", "status")
    with closing(sqlite3.connect(stocked.database)) as connection, connection:
        connection.execute("UPDATE items SET name = 'changed' WHERE id = 1")
    assert stocked.just("status").code == 4
    assert stocked.litter() == []


def test_status_is_not_fooled_by_a_record_without_its_bytes(stocked: Project) -> None:
    stocked.ok("just", "backup")
    [saved] = stocked.saved()
    saved.chmod(0o600)
    data = saved.read_bytes()
    saved.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert stocked.just("status").code == 4


def test_status_names_who_has_it_open_and_what_is_pending(stocked: Project) -> None:
    stocked.ok("alembic", "downgrade", "-1")
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute("SELECT 1 FROM items").fetchone()
        shown = json.loads(stocked.just("status", "--json").out)
    assert shown["pending"] is True
    assert shown["revisions"] == ["0005"]
    assert shown["heads"] == ["0006"]
    assert shown["open_in"][0]["pid"] == os.getpid()
    assert "just migrate" in stocked.just("status").out


def test_status_of_nothing_is_covered(project: Project) -> None:
    done = project.just("status")
    assert done.code == 0
    assert "there is none" in done.out


@pytest.mark.parametrize("kind", ["garbage", "only its wal"])
def test_status_of_damage(project: Project, kind: str) -> None:
    make(project.database)
    project.ok("just", "backup")
    leave_wal(project.database)
    if kind == "garbage":
        project.database.write_text("no database")
    else:
        project.database.unlink()
    done = project.just("status")
    assert done.code == 4
    assert "damaged" in done.out


def test_help_names_every_command(project: Project) -> None:
    text = project.ok("undrop", "--help")
    for name in ("backup", "restore", "migrate", "reset-db", "nuke-db", "list", "verify", "status"):
        assert name in text
    assert project.undrop("--version").out.startswith("undrop ")
    assert project.undrop("no-such-command").code == 2


def test_failures_have_stable_keys_in_json(project: Project) -> None:
    done = project.undrop("restore", "--json", "nothing.db")
    answer = json.loads(done.out)
    assert answer.keys() == {"error", "live_changed", "next", "exit_code"}
    assert answer["exit_code"] == done.code == 2
    assert answer["live_changed"] is False


def test_python_dash_m_works_too(project: Project) -> None:
    make(project.database)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)
    assert project.ok("python", "-m", "undrop", "backup").strip().endswith("-manual.db")


def test_a_closed_pipe_is_no_error(project: Project) -> None:
    make(project.database)
    for command in ("undrop list | true", "undrop list 2>&1 >&- | true"):
        assert "Traceback" not in project.run("sh", "-c", command).err
    project.backups.write_text("in the way")
    done = project.run("sh", "-c", "exec 3>&1; { undrop backup; echo $? >&3; } 2>&1 | true")
    assert done.out.split() == ["1"]


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=30), "1 day ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=12), "12 days ago"),
    ],
)
def test_ages(ago: timedelta, text: str) -> None:
    assert tables.age(datetime.now(UTC) - ago) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (8192, "8.2 kB"),
        (5_300_000, "5.3 MB"),
        (204 * 10**9, "204.0 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert tables.size(count) == text


def test_a_bar_is_drawn_after_a_second_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("undrop.cli.progress.time.monotonic", lambda: clock[0])
    piped = Bar()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar = Bar()
    for now, phase, done in ((0.5, "copy", 1), (1.5, "copy", 2), (1.6, "check", 3)):
        clock[0] = now
        bar(phase, done, 3)
        piped(phase, done, 3)
        if now < 1:
            assert capfd.readouterr().err == ""
    bar.close()
    piped.close()
    assert "Copying" in capfd.readouterr().err
