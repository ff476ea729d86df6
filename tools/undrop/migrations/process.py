"""A process of a migration tool's own, from our side; and what it leaves."""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from undrop import durable
from undrop.errors import UndropError
from undrop.migrations.message import Reply
from undrop.settings import known
from undrop.sqlitefile import header
from undrop.values import TICK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from undrop.settings import Settings
    from undrop.values import Session

AGAIN = "then the same command again"
CORRECT = f"correct it, {AGAIN} (--verbose shows the traceback)"
TWICE = "the same command again"


def others(settings: "Settings") -> list[str]:
    """Files of the project's other databases."""
    apart = (each.engine.file for each in known(settings) if each.name != settings.name)
    return [str(file) for file in apart if file]


class Child:
    """A process that loads a tool and waits for what to do; it ends when this one does.

    ``name`` is the tool's, for people, ``module`` ours that runs there, in ``folder``; ``kind`` the
    engine's, to be loaded meanwhile. Project code runs there alone.
    """

    def __init__(self, name: str, module: str, folder: Path, kind: str = "") -> None:
        self._name = name
        asked, self._ask = os.pipe()
        # Python's own answer to Ctrl-C, until ours is loaded, is a traceback.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                # -P: no folder of the project's may shadow a module.
                [sys.executable, "-P", "-m", module, str(asked), kind],
                cwd=folder,
                stdout=subprocess.PIPE,
                pass_fds=[asked],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(asked)

    def answer(self, request: str, tick: "Callable[[], None]") -> Reply:
        """What became of it; ``tick`` is called until then."""
        with suppress(BrokenPipeError):
            os.write(self._ask, request.encode() + b"\n")
        assert self._process.stdout  # noqa: S101 - it is a pipe
        while not select.select([self._process.stdout], [], [], TICK)[0]:
            tick()
        said = self._said()
        try:
            reply = Reply.of_json(said)
        except ValueError:
            return Reply(None, f"{self._name}'s process ended with {self._process.wait()}")
        if not reply.is_open:
            self._process.communicate()  # killed, it would hold its locks a moment longer
        return reply

    def rows(self, sql: str) -> "Iterator[list[Any]]":
        """What its transaction, which is open still, has for a query. Raises UndropError."""
        with suppress(BrokenPipeError):
            os.write(self._ask, json.dumps(sql).encode() + b"\n")
        while said := self._said():
            if not (rows := json.loads(said)):
                return
            yield from rows
        raise UndropError(f"{self._name}'s process ended with {self._process.wait()}", TWICE)

    def _said(self) -> bytes:
        assert self._process.stdout  # noqa: S101 - it is a pipe
        return bytes(self._process.stdout.readline())

    def close(self) -> None:
        """End it, also when it was never asked."""
        with self._process:
            os.close(self._ask)
            self._process.kill()


class Waiting:
    """A tool's process, loading from now on, and what migrations have made in it.

    Loading lasts longer than the backup that is taken meanwhile. ``start`` makes another one, where
    the first was asked already. Use it in a ``with``.
    """

    def __init__(self, start: "Callable[[], Child]", session: "Session") -> None:
        self._start, self._session = start, session
        self._made: list[str] = []
        self._child: Child | None = start()
        self._open: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.roll_back()
        if self._child:
            self._child.close()

    def ask(self, request: str, *, again: bool = False) -> Reply:
        """What became of it; ``again``: the next one, which is expected, loads from now on."""
        child = self._child or self._start()
        self._child = self._start() if again else None
        answer = child.answer(request, lambda: self._session.progress("migrate", 0, 1))
        if answer.is_open:
            self._open = child
        else:
            child.close()
        self._made += answer.made
        return answer

    @property
    def rows(self) -> "Callable[[str], Iterator[Any]] | None":
        """Asks the transaction of the last run, if that is open still (``Reply.is_open``)."""
        return self._open.rows if self._open else None

    def roll_back(self) -> None:
        """End that transaction, if there is one."""
        child, self._open = self._open, None
        if child:
            child.close()

    def discard(self) -> None:
        """Remove the databases that migrations have made: what was tried is not to stay."""
        discard(self._made)
        self._made.clear()


def asked(child: Child, request: str) -> Reply:
    """What a process answers; then it ends."""
    try:
        return child.answer(request, lambda: None)
    finally:
        child.close()


def discard(made: "Iterable[str]") -> None:
    """Remove those of these files that are databases, or empty."""
    for file in map(Path, made):
        with suppress(OSError, UndropError):
            if durable.size(file):
                header.read(file)
            durable.remove_with_sidecars(file)
