"""Commands that are forked from a process with everything loaded (``forked``), not started.

A quarter of the time, and otherwise alike: own folder, environment, descriptors and exit code. In
front of PATH stand ``undrop``, ``alembic`` and ``python`` that ask for a fork, so that what the
real just, or undrop itself, starts is forked too. Whoever is about processes (signals, strace,
import times, the terminal) starts real ones, with an environment as it comes.

The protocol: four bytes, the length of a marshalled ``{argv, cwd, env, umask, fds, python}`` that
follows, with the descriptors that become ``fds``; the answer is the exit code in two bytes,
negative for a signal. Who goes away before that gets the process killed.
"""

import marshal
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from forked import MAINS

SERVER = Path(__file__).with_name("forked.py")
SOCKET = "UNDROP_TESTS_FORKS"
# No import that is not built in: this is started thousands of times. -IS: nor any of site's.
STAND_IN = """\
#!{python} -IS
import marshal, posix, sys
name = sys.argv[0].rpartition("/")[2]
words = sys.argv[1:]
start = words[words[:1] == ["-P"]:]
if name == "python" and not (start[:1] == ["-c"] or start[:1] and start[0][-3:] == ".py"
        or start[:1] == ["-m"] and start[1] in {modules!r}):
    posix.execv({python!r}, [{python!r}, *words])
import _socket
fds = []
for fd in range(64):
    try:
        posix.fstat(fd)
        fds.append(fd)
    except OSError:
        pass
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
server.connect(posix.environ[{socket!r}.encode()])
mask = posix.umask(0)
posix.umask(mask)
text = marshal.dumps({{
    "argv": [word.encode("utf-8", "surrogateescape") for word in sys.argv],
    "cwd": posix.getcwdb(), "env": posix.environ, "umask": mask, "fds": fds,
    "python": {here!r} + "/python"}})
rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
server.sendmsg([len(text).to_bytes(4, sys.byteorder)],
    [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
server.sendall(text)
said = server.recv(2)
code = int.from_bytes(said, sys.byteorder, signed=True) if said else 1
if code < 0:
    import _signal
    if -code != 9:
        _signal.signal(-code, _signal.SIG_DFL)
    posix.kill(posix.getpid(), -code)
posix._exit(code)
"""


class Done(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


class Forks:
    """The way to the process that forks."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.address = str(folder / "forks")
        text = STAND_IN.format(
            python=sys.executable, modules=tuple(MAINS), socket=SOCKET, here=str(self.programs)
        )
        stand_in = self.programs / "undrop"
        stand_in.write_text(text)
        stand_in.chmod(0o755)
        for name in ("alembic", "python"):
            (self.programs / name).symlink_to("undrop")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen(64)
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(SERVER), str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """The same, for what is to find the programs that are forked."""
        return {
            **given,
            "PATH": f"{self.programs}{os.pathsep}{given['PATH']}",
            SOCKET: self.address,
        }

    def run(
        self, command: tuple[str, ...], cwd: Path, environment: Mapping[str, str], said: bytes = b""
    ) -> Done:
        """Run ``undrop …``, ``alembic …`` or ``python -c …`` with ``said`` on its stdin."""
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX) as server,
        ):
            given.write(said)
            given.seek(0)
            server.connect(self.address)
            env = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
            os.umask(mask := os.umask(0))
            asked = {
                "umask": mask,
                "argv": [os.fsencode(word) for word in command],
                "cwd": os.fsencode(cwd),
                "env": env,
                "fds": [0, 1, 2],
                "python": str(self.programs / "python"),
            }
            text = marshal.dumps(asked)
            fds = [given.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(server, [len(text).to_bytes(4, sys.byteorder)], fds)
            server.sendall(text)
            if not (ended := server.recv(2)):
                raise RuntimeError("the process that forks has died")
            code = int.from_bytes(ended, sys.byteorder, signed=True)
            out.seek(0)
            err.seek(0)
            return Done(code, out.read().decode(), err.read().decode())

    def close(self) -> None:
        """End the process that forks; what it forked ends with it."""
        self.process.communicate()


@contextmanager
def forking(folder: Path) -> Iterator[Forks]:
    """A process that forks, for the block, in an empty folder with a short name."""
    forks = Forks(folder)
    try:
        yield forks
    finally:
        forks.close()
