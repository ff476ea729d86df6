"""The tests' own tools: forks are like processes, and nothing of a killed run stays."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import memory
import pytest
from forks import forking
from leash import leashed
from shop import Project, make

TESTS = Path(__file__).parent


@pytest.mark.parametrize("way", ["forked", "started"])
def test_a_fork_is_told_and_answers_as_a_process_is(project: Project, way: str) -> None:
    """Folder, arguments, environment, stdin, umask, both streams and the exit code."""
    script = (
        "import os, sys; old = os.umask(0); print(os.getcwd(), sys.argv[1:], os.environ['X'],"
        " sys.stdin.read(), oct(old), 'SOCK' in os.environ); print('err', file=sys.stderr); exit(7)"
    )
    path = {"PATH": project.environment["PATH"]} if way == "started" else {}
    line = (sys.executable, "-c", script, "a b", "é", "")
    done = project.told(b"said", *line, X="1", **path)
    mask = os.umask(0)
    os.umask(mask)
    said = f"{project.root} ['a b', 'é', ''] 1 said {oct(mask)} False\n"
    assert done == (7, said, "err\n")


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(3)", "1 / 0", "exit('no')"])
def test_a_fork_ends_as_a_process_does(project: Project, end: str) -> None:
    line = (sys.executable, "-c", f"import os; {end}")
    forked = project.run(*line)
    started = project.run(*line, PATH=project.environment["PATH"])
    assert forked.code == started.code
    assert forked.err.splitlines()[-1:] == started.err.splitlines()[-1:]


def test_what_just_starts_is_forked_and_leaves_what_a_process_leaves(project: Project) -> None:
    """Real just finds the stand-in, and the stand-in the exit code, the streams and the file."""
    make(project.database)
    forked = project.just("backup")
    assert forked.code == 0
    assert project.saved() == [Path(forked.out.strip())]
    assert project.just("restore", "nothing").code == project.undrop("restore", "nothing").code == 2
    found = project.run("sh", "-c", "command -v undrop; command -v python")
    assert Project.forks
    assert set(found.out.split()) == {
        f"{Project.forks.programs}/undrop",
        f"{Project.forks.programs}/python",
    }


def test_a_fork_that_nobody_waits_for_is_killed(project: Project) -> None:
    """As when a test gives up on just: what just started must not go on."""
    assert Project.forks
    environment = Project.forks.environment(project.environment)
    mark = project.root / "mark"
    script = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with subprocess.Popen(["python", "-c", script], env=environment) as stand_in:
        while not mark.exists() or not mark.read_text():
            time.sleep(0.01)
        stand_in.kill()
    assert ended(int(mark.read_text()))


def test_one_that_goes_away_while_it_asks_stops_nobody_else(project: Project) -> None:
    assert Project.forks
    for part in (b"", (1000).to_bytes(4, sys.byteorder), (1000).to_bytes(4, sys.byteorder) + b"x"):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(Project.forks.address)
            asking.sendall(part)
    assert project.undrop("--version").code == 0


def test_a_command_has_not_ended_well_where_what_forks_it_is_gone(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "f").mkdir()
    kills = "import os, time; os.kill(os.getppid(), 9); time.sleep(0.2)"
    with forking(tmp_path / "f") as gone, pytest.raises(RuntimeError, match="has died"):
        gone.run((sys.executable, "-c", kills), project.root, project.environment)


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits to be asked how it ended, within five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


STARTS = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(60)"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_ends_with_the_tests_that_started_it(number: signal.Signals) -> None:
    started = leashed("sh", "-c", "echo $$; exec sleep 60")  # it says so when it is on the leash
    line = [sys.executable, "-c", STARTS, *started]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as tests:
        assert tests.stdout
        pid = int(tests.stdout.readline())
        tests.send_signal(number)
    assert ended(pid)


def test_what_a_killed_run_left_in_memory_goes_with_the_next(tmp_path: Path) -> None:
    with memory.held(tmp_path) as one:
        assert one
        (one / "file").touch()
        memory.sweep(tmp_path)
        assert (one / "file").exists()
        left = tmp_path / f"{memory.PREFIX}left"
        left.mkdir()
        (left / "file").touch()
        with memory.held(tmp_path) as two:
            assert two
            assert two != one
            assert not left.exists()
            assert (one / "file").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_run_at_work_is_locked(tmp_path: Path) -> None:
    with memory.held(tmp_path) as one:
        assert one
        other = os.open(one, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
