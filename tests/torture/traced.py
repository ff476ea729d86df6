"""One command in one process, its system calls recorded or tampered with by strace(1).

Only the main thread of the one process is traced, and only from the moment its modules are
imported (strace stops a process at every call; imports change nothing). Whatever the process
starts, and its threads, run free. Calls that write through a memory map (SQLite's -shm) are
invisible here, as they are after a power cut.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from forks import Done
from shop import Project
from tally import cannot

TIMEOUT = 60  # seconds; a process that has not ended by itself then hangs
MOST = 24  # points of one call in a thinned run

CHANGING = [
    *(
        "openat",
        "write",
        "writev",
        "pwrite64",
        "pwritev",
        "pwritev2",
        "copy_file_range",
        "sendfile",
    ),
    *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
    *("chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat"),
]

# The process waits, with all its modules loaded, until strace watches it.
WAIT = """
import ctypes, os, sys
import {modules}
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1))  # an ordinary user's strace may attach
os.write(1, b"ready\\n")
os.read(0, 1)
sys.argv = {argv!r}
"""
UNDROP = (
    "undrop.cli, undrop.steps.migrate, undrop.steps.restore, undrop.steps.status, "
    "undrop.steps.keep, undrop.steps.recover, undrop.engines.sqlite.merge, undrop.cli.thin, "
    "undrop.steps.thin, psutil, shutil"
)
ALEMBIC = "alembic.config, alembic.ddl.sqlite, sqlalchemy.dialects.sqlite, quartermaster.models"


class Point(NamedTuple):
    """A system call of a run: which, and the how-manieth of its kind."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} {self.number}"


def require_strace() -> None:
    if shutil.which("strace") is None:
        cannot("strace is not installed")


def python(*arguments: str) -> list[str]:
    """The command that runs ``undrop …`` or ``alembic …`` untraced and without just."""
    module = ["alembic"] if arguments[0] == "alembic" else ["undrop"]
    return [sys.executable, "-P", "-m", *module, *arguments[1:]]


def run(project: Project, command: list[str], *options: str, log: Path | None = None) -> Done:
    """Run ``undrop …`` or ``alembic …`` in a project under strace with ``options``."""
    script = WAIT.format(modules=ALEMBIC if command[0] == "alembic" else UNDROP, argv=command)
    if command[0] == "alembic":
        script += "import alembic.config as a; sys.exit(a.main(prog='alembic'))"
    else:
        script += "import undrop.cli as c; c.launch()"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", script],
        cwd=project.root,
        env=project.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if line != b"ready\n":
                raise RuntimeError(process.communicate()[1].decode())
            watcher = _attach(process.pid, *options, "-o", str(log or "/dev/null"))
            with watcher:
                out, err = process.communicate(b"!", timeout=TIMEOUT)
                watcher.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    return Done(process.returncode, out.decode(), err.decode())


def spread(points: list[Point]) -> list[Point]:
    """At most MOST points of each call, ends included: one page is written like another."""
    found: list[Point] = []
    for call in sorted({point.call for point in points}):
        ours = [point for point in points if point.call == call]
        step = max(1, (len(ours) - 1) / (MOST - 1))
        found += [ours[round(number * step)] for number in range(min(MOST, len(ours)))]
    return found


def inject(project: Project, command: list[str], point: Point, what: str) -> Done:
    """Run ``command`` with strace's ``what`` (``signal=KILL``, ``error=EIO``) done to one call."""
    how = f"inject={point.call}:{what}:when={point.number}"
    return run(project, command, "-e", f"trace={point.call}", "-e", how)


def _attach(pid: int, *options: str) -> "subprocess.Popen[bytes]":
    watcher = subprocess.Popen(
        ["strace", "-p", str(pid), *options], stderr=subprocess.PIPE, bufsize=0
    )
    assert watcher.stderr is not None
    line = watcher.stderr.readline()
    if b"attached" not in line:
        watcher.kill()
        watcher.wait()
        cannot(f"strace may not attach here: {line.decode()}")
    return watcher


def points(project: Project, command: list[str], log: Path, calls: list[str]) -> list[Point]:
    """Run ``command`` once; those of its successful ``calls`` that touch a file or a folder.

    ``openat`` counts where it creates, up to the first look at other processes (/proc), whose
    number differs from run to run. Of the messages (descriptors 1 and 2), the first after a change
    counts, and none when ``openat`` is not wanted.
    """
    run(project, command, "-e", f"trace={','.join({*calls, 'openat'})}", log=log)
    found: list[Point] = []
    counts: Counter[str] = Counter()
    told = stable = True
    silent = "openat" not in calls
    for line in log.read_text(errors="replace").splitlines():
        if not (match := re.match(r"(\w+)\((.*)", line)):
            continue
        call, rest = match.groups()
        counts[call] += 1
        stable = stable and '"/proc' not in rest
        if " = -1 " in line or call not in calls:
            continue
        if call == "openat" and not (stable and "O_CREAT" in rest):
            continue
        message = call == "write" and rest.startswith(("1, ", "2, "))
        if not (message and (told or silent)):
            found.append(Point(call, counts[call]))
        told = message
    return found
