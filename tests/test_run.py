"""``just run COMMAND``: a backup first, then the command as if nothing were in between."""

import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest
from shop import Project, content, make, python, shown

SQL = "import sqlite3, sys; sqlite3.connect('quartermaster.db').executescript(sys.argv[1])"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("true",), 0),
        (("false",), 1),
        (python("raise SystemExit(42)"), 42),
        (("bash", "-c", "exit 126"), 126),
        (("bash", "-c", "exit 127"), 127),
        (("no-such-command-anywhere",), 127),
        (("./pyproject.toml",), 126),
        (python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), 137),
        (python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)"), 143),
    ],
)
@pytest.mark.parametrize("way", [("just", "run"), ("undrop", "run", "--")], ids="-".join)
def test_the_exit_code_is_the_commands(
    project: Project, way: tuple[str, ...], command: tuple[str, ...], code: int
) -> None:
    make(project.database)
    assert project.run(*way, *command).code == code


def test_what_cannot_be_run_is_said(project: Project) -> None:
    for command, code in (("no-such-command-anywhere", 127), ("./pyproject.toml", 126)):
        done = project.undrop("run", "--", command)
        assert (done.code, done.out) == (code, "")
        assert command in done.err


def test_its_output_is_the_commands(project: Project) -> None:
    """A script may read it: nothing of ours is on stdout."""
    make(project.database)
    done = project.just("run", *python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert done.out == "out\n"
    assert done.err.endswith("err\n")
    assert "backed up to" in done.err


def test_its_input_is_ours(project: Project) -> None:
    assert project.told(b"DELETE FROM t;", "just", "run", "cat").out == "DELETE FROM t;"


@pytest.mark.parametrize("way", [("just", "run"), ("undrop", "run", "--"), ("undrop", "run")])
def test_the_commands_options_are_the_commands(project: Project, way: tuple[str, ...]) -> None:
    words = ["-la", "--json", "--help", "--", "-x", "--color=never", "a b", "$HOME", "*", ""]
    show = python("import json, sys; print(json.dumps(sys.argv[1:]))", *words)
    assert json.loads(project.ok(*way, *show)) == words


def test_ls_with_options(project: Project) -> None:
    assert "pyproject.toml" in project.ok("just", "run", "ls", "-la", "--color=never")


def test_it_runs_where_the_user_stands(project: Project) -> None:
    below = project.root / "alembic"
    show = python("import os; print(os.getcwd())")
    for way in (("just", "run"), ("undrop", "run", "--")):
        assert project.run(*way, *show, cwd=below).out == f"{below}\n"
    standing = str(below / "versions")
    done = project.undrop("run", "--", *show, cwd=below, UNDROP_INVOKED_FROM=standing)
    assert done.out == f"{standing}\n"
    assert project.just("run", "./env.py", cwd=below).code == 126


@pytest.mark.parametrize(
    "command",
    [
        ("rm", "quartermaster.db"),
        python(SQL, "DELETE FROM stock_movements"),
        python(SQL, "DROP TABLE stock_movements"),
        ("truncate", "-s", "0", "quartermaster.db"),
        ("bash", "-c", "rm quartermaster.db; exit 3"),
        ("alembic", "downgrade", "base"),
    ],
)
def test_undo_gives_every_row_back_in_wal_mode(stocked: Project, command: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before = content(stocked.database)
    stocked.just("run", *command)
    assert not stocked.database.exists() or content(stocked.database) != before
    stocked.ok("just", "undo")
    assert content(stocked.database) == before


def test_no_command_is_a_usage_error(project: Project) -> None:
    make(project.database)
    for way in (("run",), ("run", "--")):
        done = project.undrop(*way)
        assert done.code == 2
        assert "just run COMMAND" in done.err
    assert project.just("run").code != 0
    assert not project.backups.exists()


def test_a_damaged_database_is_set_aside_and_the_command_may_mend_it(project: Project) -> None:
    project.database.write_text("no database")
    done = project.just("run", "rm", "quartermaster.db")
    assert done.code == 0
    assert "is damaged; its files are kept in" in done.err
    [kept] = project.backups.glob("*.damaged")
    assert (kept / "quartermaster.db").read_text() == "no database"
    assert not project.database.exists()


def signalled(project: Project, script: str, number: signal.Signals) -> tuple[int, str]:
    """Send undrop a signal once the command has said "ready"; how it ended, what was said then."""
    with subprocess.Popen(
        ["undrop", "run", "--", *python(script)],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == b"ready\n"
            if number == signal.SIGINT:
                os.killpg(running.pid, number)
            else:
                running.send_signal(number)
            out, _ = running.communicate(timeout=30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    return running.returncode, out.decode()


def test_after_ctrl_c_undrop_waits_for_how_the_command_ends(project: Project) -> None:
    """The terminal sends it to both of them, and the command may have to clean up."""
    make(project.database)
    script = (
        "import signal, sys, time\n"
        "told = []\n"
        "signal.signal(signal.SIGINT, lambda number, frame: told.append(number))\n"
        "print('ready', flush=True)\n"
        "while not told:\n"
        "    time.sleep(0.01)\n"
        "print('cleaned up', flush=True)\n"
        "sys.exit(9)\n"
    )
    assert signalled(project, script, signal.SIGINT) == (9, "cleaned up\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_command(project: Project, number: signal.Signals) -> None:
    """It may end well, and says so with its exit code."""
    make(project.database)
    script = (
        "import signal, sys\n"
        "def end(number, frame):\n"
        "    print('told', number, flush=True)\n"
        "    sys.exit(9)\n"
        f"signal.signal({number.value}, end)\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    assert signalled(project, script, number) == (9, f"told {number.value}\n")


def test_a_command_that_a_signal_ends_is_not_outlived(project: Project) -> None:
    make(project.database)
    script = "import signal; print('ready', flush=True); signal.pause()"
    assert signalled(project, script, signal.SIGTERM) == (143, "")


def test_a_terminal_is_told_of_a_database_that_is_none_now(stocked: Project) -> None:
    text = shown(stocked, *python("open('quartermaster.db', 'w').write('no database')"))
    assert "undrop: the database changed: " in text
    assert text.endswith("undrop: to go back: just undo\n")


def test_a_way_back_to_damaged_files_is_not_promised(project: Project) -> None:
    project.database.write_text("no database")
    text = shown(project, "rm", "quartermaster.db")
    [line] = text.splitlines()
    assert "is damaged; its files are kept in" in line


def test_a_large_database_is_not_compared_unasked(project: Project) -> None:
    """That would hold up whoever typed the command; the line to type for it is given."""
    make(project.database)
    huge = 210_000_000
    text = shown(project, *python(f"import os; os.truncate('quartermaster.db', {huge})"))
    [kept] = project.saved()
    assert f"undrop: the database changed: just diff {kept.name}\n" in text


def test_a_command_that_changed_nothing_is_not_spoken_about(stocked: Project) -> None:
    stocked.ok("undrop", "run", "--", "true")
    assert shown(stocked, *python("open('quartermaster.db').close()")) == ""


def test_a_copy_elsewhere_is_not_the_projects(stocked: Project, tmp_path: Path) -> None:
    """The database that is backed up is the project's, wherever the command stands."""
    make(tmp_path / "quartermaster.db")
    before = content(stocked.database)
    stocked.undrop("run", "--", "rm", "quartermaster.db", UNDROP_INVOKED_FROM=str(tmp_path))
    assert not (tmp_path / "quartermaster.db").exists()
    assert content(stocked.database) == before
