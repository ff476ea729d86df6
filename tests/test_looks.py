"""``just list``, ``just verify``, ``just status``: what is there, and is it whole."""

import json
import os
import pty
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from shop import Project, add, drain, is_a_fault, leave_wal, make

from undrop.cli import tables
from undrop.cli.progress import Bar
from undrop.errors import NOT_CHANGED


def on_a_terminal(project: Project, *command: str, stderr: bool = False, **variables: str) -> str:
    """What a command shows on a terminal, of 200 columns where ``COLUMNS`` says nothing."""
    master, slave = pty.openpty()
    environment = {**project.environment, "TERM": "xterm-256color", "COLUMNS": "200", **variables}
    said = slave if stderr else subprocess.DEVNULL
    with subprocess.Popen(command, cwd=project.root, env=environment, stdout=slave, stderr=said):
        os.close(slave)
        return drain(master)


def test_list_is_plain_in_a_pipe_and_coloured_on_a_terminal(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup", "[red]not markup[/red] \x1b[31m")
    plain = project.ok("just", "list")
    assert "\x1b" not in plain
    assert "[red]not markup[/red] �[31m" in plain
    shown = on_a_terminal(project, "undrop", "list")
    assert "\x1b[" in shown
    assert "[red]not markup[/red]" in shown
    assert "\x1b[32mok\x1b[0m" in shown
    assert "\x1b" not in on_a_terminal(project, "undrop", "list", NO_COLOR="1")


def test_a_list_fits_the_terminal_and_breaks_no_name(project: Project) -> None:
    """The newest is next to the prompt; what nobody pastes gives way; all is there in a pipe."""
    make(project.database)
    for number in range(22):
        project.ok("undrop", "backup", f"{number} {'long ' * 11}" if number == 20 else f"{number}")
    listed = json.loads(project.ok("undrop", "list", "--json"))["backups"]
    names = [Path(each["path"]).name for each in listed[::-1]]
    shown = on_a_terminal(project, "undrop", "list", NO_COLOR="1", COLUMNS="80").splitlines()
    assert shown[-1].split()[0] == "live"
    *_, before, one, below, newest, _ = shown
    assert (before.split()[-1], below.strip(), newest.split()[-1]) == (*names[19:20], *names[20:])
    assert max(len(line) for line in shown if names[20] not in line) <= 80, one
    assert len(shown) == 1 + 20 + 1 + 1
    for words in (("-n", "3"), ("--all",)):
        count = {"-n": 3, "--all": 22}[words[0]]
        lines = on_a_terminal(project, "undrop", "list", *words, NO_COLOR="1").splitlines()
        assert len(lines) == count + 2
    piped = project.done("undrop", "list")
    assert [line.split()[-1] for line in piped.out.splitlines()[2:]] == names[::-1]
    assert "reason" in piped.out
    assert project.undrop("list", "-n", "-1").code == 2
    assert "2 older" in project.done("undrop", "list", "-n", "20").err


@pytest.mark.more
def test_history_fits_the_terminal_shows_losses_and_ends_with_live(project: Project) -> None:
    make(project.database, 700)
    project.ok("undrop", "backup", "all there")
    project.sql("DELETE FROM t WHERE rowid > 70")
    project.ok("undrop", "backup", "most gone " * 6)
    names = [path.name for path in project.saved()]
    command = ("undrop", "history")
    shown = on_a_terminal(project, *command, NO_COLOR="1", COLUMNS="80").splitlines()
    head, *states, live = [line for line in shown if line[:4] != "    "]
    assert head.split()[:4] == ["WHEN", "(UTC)", "ALL", "ROWS"]
    assert ["██████ 700 " in states[0], "▋      70 " in states[1]] == [True, True]
    assert "-630 t" in states[1]
    assert (live[:3], live.split()[-1]) == ("now", "live")
    assert all(any(line.strip().endswith(name) for line in shown) for name in names)
    assert max(map(len, shown)) <= max(80, 4 + len(names[1]))
    assert "\x1b[31m-630 t\x1b[0m" in on_a_terminal(project, *command)
    plain = on_a_terminal(project, *command, NO_COLOR="1", PYTHONIOENCODING="ascii")
    assert plain.isascii()
    assert "###### 700" in plain


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
    first, second, third, *rest = done.out.splitlines()
    assert first == "LOST       no step of undrop did that; to bring it back: just undo"
    assert second == f"database   {project.database}"
    assert third.startswith("damaged    ")
    assert not any(line.startswith(("covered", "revision", "pending")) for line in rest)
    red = on_a_terminal(project, "undrop", "status").splitlines()
    assert [line.startswith("\x1b[31m") for line in red[:3]] == [True, False, True]


def test_status_answers_in_the_order_of_the_questions(project: Project) -> None:
    """Is it there and whole, is it covered, what happened last, what can be typed."""
    project.ok("undrop", "migrate", "0001")
    done = project.done("just", "status")
    names = [line[:10].strip() for line in done.out.splitlines()]
    order = "database,size,open in,covered,backup,last step,undo,revision,pending"
    assert names[:9] == order.split(",")
    assert names[-1] == "to look"
    assert "last step  migrate, just now" in done.out


def test_help_names_every_command(project: Project) -> None:
    text = project.ok("undrop", "--help")
    for name in ("backup", "restore", "migrate", "reset-db", "nuke-db", "list", "verify", "status"):
        assert name in text
    assert project.undrop("--version").out.startswith("undrop ")
    assert project.undrop("no-such-command").code == 2


def test_python_dash_m_works_too(project: Project) -> None:
    make(project.database)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)
    assert project.ok("python", "-m", "undrop", "backup").strip().endswith("-manual.db")


def test_a_terminal_without_our_letters_is_told_all_the_same(project: Project) -> None:
    make(project.database)
    project.sql("UPDATE t SET v = '…日' WHERE id = 1")
    query = ("sql", "SELECT v FROM t WHERE id = 1")
    path = project.environment["PATH"]  # for a started process
    done = project.done("undrop", *query, PYTHONIOENCODING="ascii", PATH=path)
    assert done.out.split()[-1] == r"\u2026\u65e5"


@pytest.mark.parametrize("seconds", [0.3, pytest.param(1.5, marks=pytest.mark.more)])
def test_ctrl_c_is_three_lines_whatever_is_running(project: Project, seconds: float) -> None:
    """Also of a process that is ours, to which the terminal sends it as well."""
    file = project.root / "alembic/versions/0001_stockroom.py"
    file.write_text(f"import time\ntime.sleep(30)\n{file.read_text()}")
    make(project.database)
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(project.root)
        os.execvpe("undrop", ["undrop", "migrate"], {**project.environment, "TERM": "dumb"})  # noqa: S606 - no shell is wanted
    shown = os.read(master, 65536).decode()  # it has begun
    time.sleep(seconds)
    os.write(master, b"\x03")
    shown += drain(master)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    *_, what, changed, following = shown.splitlines()
    assert what.endswith("undrop: stopped by SIGINT")
    assert not is_a_fault(shown)
    assert (changed.strip(), following.strip()) == (NOT_CHANGED, "Next: the same command again")


def test_a_fault_of_our_own_is_three_lines_and_a_traceback_where_it_is_wanted(
    project: Project,
) -> None:
    script = "import undrop.steps.backup as b\nb._pinned = 0\nfrom undrop import cli\ncli.launch()"
    make(project.database)
    done = project.run(sys.executable, "-c", script, "backup")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert done.err.splitlines()[0].startswith("undrop: a fault of undrop's own: TypeError: ")
    assert "Traceback" in project.run(sys.executable, "-c", script, "backup", "--verbose").err


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


@pytest.mark.more
def test_who_waits_for_the_project_s_code_is_told_so_after_a_second(stocked: Project) -> None:
    """A migration that takes long to load; in a pipe nothing is said of it."""
    stocked.revise("op.execute('CREATE TABLE more (v)')", head="time.sleep(1.5)")
    for command, said in (("status", "loading the migrations …"), ("migrate", "migrating …")):
        shown = on_a_terminal(stocked, "undrop", command, stderr=True)
        assert shown.count(f"undrop: {said}") == 1, shown
    assert "loading" not in stocked.undrop("status").err


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
