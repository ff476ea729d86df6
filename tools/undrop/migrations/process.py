"""A process of a migration tool's own, from our side; and what it leaves."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import durable
from undrop.errors import UndropError
from undrop.migrations.message import Reply
from undrop.settings import known
from undrop.sqlitefile import header

if TYPE_CHECKING:
    from collections.abc import Iterable

    from undrop.settings import Settings

AGAIN = "then the same command again"


def others(settings: "Settings") -> list[str]:
    """Files of the project's other databases."""
    apart = (each.engine.file for each in known(settings) if each.name != settings.name)
    return [str(file) for file in apart if file]


class Child:
    """A process that loads a tool and waits for what to do; it ends when this one does.

    ``name`` is the tool's, for people, ``module`` ours that runs there, in ``folder``. Project code
    runs there alone.
    """

    def __init__(self, name: str, module: str, folder: Path) -> None:
        self._name = name
        asked, self._ask = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                # -P: no folder of the project's may shadow a module.
                [sys.executable, "-P", "-m", module, str(asked)],
                cwd=folder,
                stdout=subprocess.PIPE,
                pass_fds=[asked],
            )
        finally:
            os.close(asked)

    def answer(self, request: str) -> Reply:
        """What became of it."""
        with suppress(BrokenPipeError):
            os.write(self._ask, request.encode() + b"\n")
        said, _ = self._process.communicate()
        try:
            return Reply.of_json(said)
        except ValueError:
            return Reply(None, f"{self._name}'s process ended with {self._process.returncode}")

    def close(self) -> None:
        """End it, also when it was never asked."""
        with self._process:
            os.close(self._ask)
            self._process.kill()


def discard(made: "Iterable[str]") -> None:
    """Remove those of these files that are databases, or empty."""
    for file in map(Path, made):
        with suppress(OSError, UndropError):
            if durable.size(file):
                header.read(file)
            durable.remove_with_sidecars(file)
