"""Processes that cannot write: into folders that are read-only, or anything at all."""

import ctypes
import os
import resource
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from forks import Done
from shop import BIN, Project

PR_CAPBSET_DROP = 24  # prctl(2)
OVERRIDING = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: capabilities(7)
OWNING = (0, 3)  # CAP_CHOWN, CAP_FOWNER
LIBC = ctypes.CDLL(None, use_errno=True)


def as_anybody() -> None:
    """Have no more rights to files than their permissions give: for root, who has them all."""
    _drop(*OVERRIDING)


def as_user() -> None:
    """Have no rights either to what belongs to somebody else."""
    _drop(*OVERRIDING, *OWNING)


def _drop(*capabilities: int) -> None:
    if os.getuid() == 0:
        for capability in capabilities:
            if LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


def without_room() -> None:
    """Be able to write no byte into any file, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def run(project: Project, first: Callable[[], None], *command: str, **variables: str) -> Done:
    """Run a command in a process that does ``first`` first."""
    environment = {**project.environment, **variables, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        command,
        cwd=project.root,
        env=environment,
        capture_output=True,
        preexec_fn=first,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def read_only(*roots: Path) -> Iterator[None]:
    """Nobody may write into these folders, nor into what is in them, for the block."""
    every = [path for root in roots for path in (root, *root.rglob("*")) if not path.is_symlink()]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in every}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)
