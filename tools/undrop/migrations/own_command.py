"""A project's own command, which runs Alembic: where ``alembic`` by itself cannot load ``env.py``.

The standard library and Alembic only: the project's own Python, which may have no undrop, loads it
from here.
"""

import importlib.metadata
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.runtime.environment import EnvironmentContext

PYTHON = re.compile(r"python[\d.]*")
SCRIPTS = "console_scripts"
"""packaging.python.org/specifications/entry-points: what an installed command calls."""


class OwnCommandError(Exception):
    """The command could not be run here, or ended badly, and nothing of Alembic's said why."""


def run(words: list[str]) -> None:
    """Run the command to its end in this process, where what Alembic is told can be seen.

    Raises what ``env.py`` or a migration of its raised, whatever the command made of that;
    OwnCommandError where it ends with another code than 0, or is none of Python's.
    """
    program, arguments = _program(words)
    argv, sys.argv = sys.argv, arguments
    raised: list[BaseException] = []
    try:
        with watched(raised=raised.append):
            program()
    except SystemExit as error:
        if error.code and not raised:
            raise OwnCommandError(f"`{shlex.join(words)}` ended with {error.code}") from None
    except Exception:
        if not raised:
            raise
    finally:
        sys.argv = argv
    if raised:
        raise raised[0]


@contextmanager
def watched(
    *,
    enters: Callable[[EnvironmentContext], None] = lambda _: None,
    raised: Callable[[BaseException], None] = lambda _: None,
) -> Iterator[None]:
    """Tell of each environment that a command of Alembic's enters, and what ends it badly."""
    enter, leave = EnvironmentContext.__enter__, EnvironmentContext.__exit__

    def entered(environment: EnvironmentContext) -> EnvironmentContext:
        enters(environment)
        return enter(environment)

    def left(environment: EnvironmentContext, *error: Any, **named: Any) -> None:  # noqa: ANN401
        if isinstance(error[1], BaseException):
            raised(error[1])
        leave(environment, *error, **named)

    EnvironmentContext.__enter__ = entered  # type: ignore[method-assign]
    EnvironmentContext.__exit__ = left  # type: ignore[method-assign]
    try:
        yield
    finally:
        EnvironmentContext.__enter__ = enter  # type: ignore[method-assign]
        EnvironmentContext.__exit__ = leave  # type: ignore[method-assign]


def _program(words: list[str]) -> tuple[Callable[[], object], list[str]]:
    """What the command calls, and its ``sys.argv``. Raises OwnCommandError."""
    name, rest = Path(words[0]).name, words[1:]
    if PYTHON.fullmatch(name) and rest[:1] == ["-m"] and rest[1:]:
        sys.path.insert(0, str(Path.cwd()))
        return lambda: runpy.run_module(rest[1], run_name="__main__", alter_sys=True), rest[1:]
    if PYTHON.fullmatch(name) and rest:
        sys.path.insert(0, str(Path(rest[0]).resolve().parent))
        return lambda: runpy.run_path(rest[0], run_name="__main__"), rest
    for script in importlib.metadata.entry_points(group=SCRIPTS, name=name):
        return script.load(), words
    raise OwnCommandError(
        f"`{shlex.join(words)}` is no command of Python's here: neither python FILE, nor python -m "
        f"MODULE, nor installed beside {sys.executable}"
    )
