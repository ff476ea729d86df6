"""A process that has undrop, Alembic and SQLAlchemy loaded and forks for each command.

Most of what a command of ours costs is loading those. ``forks`` starts this once for a worker and
asks it; the protocol is there. It opens no database: SQLite's handles do not survive a fork.
"""

import gc
import marshal
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import undrop

HEAVY = (
    *("alembic.config", "alembic.ddl.sqlite", "alembic.autogenerate", "alembic.runtime.migration"),
    *("sqlalchemy.dialects.sqlite", "sqlalchemy.orm", "psutil"),
    *("rich.table", "rich.progress"),
)
OPTIONAL = (
    *("psycopg", "sqlalchemy.dialects.postgresql.psycopg", "alembic.ddl.postgresql"),
    *("django.core.management", "django.db.migrations.executor", "django.db.backends.sqlite3.base"),
)
SETTLED = ("undrop.django.", "undrop.migrations.django_settings")
"""What only a process with Django's settings can load."""
MAINS = {
    "undrop": ("undrop.__main__", "main"),
    "alembic": ("alembic.config", "main"),
    "undrop.migrations.child": ("undrop.migrations.child", "main"),
    "undrop.migrations.django_child": ("undrop.migrations.django_child", "main"),
}
"""What ``python -m NAME``, or a script of that name, calls."""


def load() -> None:
    """Import what commands import, each where it would be looked for anyway."""
    for name in HEAVY:
        import_module(name)
    for name in OPTIONAL:
        with suppress(ImportError):
            import_module(name)
    for module in pkgutil.walk_packages(undrop.__path__, "undrop."):
        if not module.name.startswith(SETTLED):
            import_module(module.name)
    gc.collect()
    gc.freeze()  # what is not looked at again is not copied for each child


class Forks:
    """The children and who waits for each."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.waiting: dict[int, socket.socket] = {}
        self.ended, wake = os.pipe()
        os.set_blocking(self.ended, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for what in (listener, self.ended, 0):
            self.selector.register(what, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until stdin ends, which is when whoever started this ends."""
        while True:
            for key, _ in self.selector.select():
                if key.fd == 0:
                    for pid in self.waiting:
                        os.kill(pid, signal.SIGKILL)
                    return
                if key.fileobj is self.listener:
                    self.answer(self.listener.accept()[0])
                elif key.fd == self.ended:
                    self.reap()
                elif key.data in self.waiting:  # nobody waits any more
                    self.selector.unregister(key.fileobj)
                    self.waiting.pop(key.data).close()
                    with suppress(ProcessLookupError):
                        os.kill(key.data, signal.SIGKILL)

    def answer(self, client: socket.socket) -> None:
        """Fork for one request."""
        start, fds, _, _ = socket.recv_fds(client, 4, 64)
        size = int.from_bytes(start, sys.byteorder)
        text = b""
        while len(text) < size and (part := client.recv(size - len(text))):
            text += part
        whole = size > 0 and len(text) == size  # else who asked was killed while it did
        pid = os.fork() if whole else -1
        if not pid:
            be(marshal.loads(text), fds)  # noqa: S302 - from our own tests
        for fd in fds:
            os.close(fd)
        if not whole:
            client.close()
            return
        self.waiting[pid] = client
        self.selector.register(client, selectors.EVENT_READ, pid)

    def reap(self) -> None:
        """Tell who waits how it ended."""
        with suppress(BlockingIOError):
            os.read(self.ended, 512)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if client := self.waiting.pop(ended[0], None):
                    self.selector.unregister(client)
                    code = os.waitstatus_to_exitcode(ended[1])
                    with suppress(BrokenPipeError), client:
                        client.sendall(code.to_bytes(2, sys.byteorder, signed=True))


def be(asked: dict[str, Any], fds: list[int]) -> NoReturn:
    """Be that process: its folder, environment, descriptors, arguments, and its end."""
    code: object = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        settle(asked, fds)
        code = run(asked["python"], [os.fsdecode(word) for word in asked["argv"]])
    except SystemExit as left:
        code = left.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        # What was loaded before may hold the streams of then: Alembic's Config does.
        for written in filter(None, (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__)):
            with suppress(OSError, ValueError):
                written.flush()
        os._exit(code if isinstance(code, int) else 0)
    raise AssertionError


def settle(asked: dict[str, Any], fds: list[int]) -> None:
    """Have what a started process has, and nothing of this one's."""
    top = 1000
    for place, fd in enumerate(fds):
        os.dup2(fd, top + place)
    os.closerange(0, top)
    for place, wanted in enumerate(asked["fds"]):
        os.dup2(top + place, wanted)
    os.closerange(top, top + len(fds))
    os.umask(asked["umask"])
    os.chdir(asked["cwd"])
    os.environb.clear()
    os.environb.update(asked["env"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    time.tzset()
    sys.stdin = stream(0, "r")
    sys.stdout = stream(1, "w")
    sys.stderr = stream(2, "w", errors="backslashreplace", buffering=1)


def stream(fd: int, mode: str, **how: Any) -> Any:  # noqa: ANN401 - open's
    """What the interpreter makes of a descriptor: nothing of a closed one."""
    try:
        return open(fd, mode, encoding="utf-8", **how)
    except OSError:
        return None


def run(python: str, argv: list[str]) -> object:
    """Do what the command line says; ``python`` is what forks for it in its turn."""
    sys.executable = python
    program = Path(argv[0]).name
    if program in MAINS:
        return call(program, argv[1:])
    safe = argv[1] == "-P"
    how, *rest = argv[1 + safe :]
    if how == "-m" and rest[0] in MAINS:
        return call(rest[0], rest[1:])
    if not safe:
        sys.path.insert(0, str(Path(how).parent if how.endswith(".py") else Path.cwd()))
    if how == "-c":
        sys.argv = [how, *rest[1:]]
        exec(rest[0], {"__name__": "__main__", "__builtins__": __builtins__})  # noqa: S102 - a test's own
    else:
        sys.argv = [how, *rest]
        runpy.run_path(how, run_name="__main__")
    return 0


def call(name: str, arguments: list[str]) -> object:
    """Be ``python -m NAME``, or the script of that name."""
    module, function = MAINS[name]
    sys.argv = [name, *arguments]
    return getattr(import_module(module), function)()


if __name__ == "__main__":
    load()
    with socket.socket(fileno=int(sys.argv[1])) as given:
        Forks(given).serve()
