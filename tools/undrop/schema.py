"""Alembic on a database of our choosing, in a process of its own, and what the code's head is."""

import json
import os
import subprocess
import sys
import time
from contextlib import chdir, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, Self

from undrop.engine import Moved
from undrop.errors import LiveMovedError, UndropError, UsageError

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

    from undrop.settings import Settings


class _Child:
    """A process that loads Alembic and waits for what to do; it ends when this one does."""

    def __init__(self, settings: "Settings") -> None:
        asked, self._ask = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                # -P: no folder of the project's may shadow a module.
                [sys.executable, "-P", "-m", "undrop.schema_child", str(asked)],
                cwd=settings.alembic_ini.parent,  # where people stand who call alembic
                stdout=subprocess.PIPE,
                pass_fds=[asked],
            )
        finally:
            os.close(asked)

    def answer(self, ask: dict[str, Any]) -> dict[str, Any]:
        """What became of ``ask``."""
        with suppress(BrokenPipeError):
            os.write(self._ask, json.dumps(ask).encode() + b"\n")
        said, _ = self._process.communicate()
        try:
            found: dict[str, Any] = json.loads(said)
        except ValueError:
            return {"error": f"Alembic's process ended with {self._process.returncode}"}
        return found

    def close(self) -> None:
        """End it, also when it was never asked."""
        with self._process:
            os.close(self._ask)
            self._process.kill()


class Alembic:
    """Alembic, loading from now on: that lasts longer than the backup that is taken meanwhile.

    Raises UsageError without an ``alembic.ini``. Use it in a ``with``.
    """

    def __init__(self, settings: "Settings") -> None:
        if not settings.alembic_files:
            raise UsageError(f"there is no {settings.alembic_ini}", "alembic init alembic")
        self._settings = settings
        self._waiting: _Child | None = _Child(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._waiting:
            self._waiting.close()

    def run(self, target: dict[str, Any], revision: str) -> Moved:
        """Bring ``target`` to ``revision``, up or down, with the project's env.py.

        What migrations print goes to stderr. Raises UndropError when a migration fails or when
        ``env.py`` would have gone to another database.
        """
        ask = {
            "config": self._settings.alembic_files,
            "url": self._settings.url,
            "variable": self._settings.variable,
            "kind": self._settings.engine.kind,
            "target": target,
            "revision": revision,
        }
        began = time.monotonic()
        child, self._waiting = self._waiting or _Child(self._settings), None
        try:
            report = child.answer(ask)
        finally:
            child.close()
        if report.get("moved"):
            raise LiveMovedError("somebody wrote to the database", "just migrate again")
        if error := report.get("error"):
            raise UndropError(
                f"the migration failed: {error}", "correct it, then just migrate again"
            )
        return Moved(**report, seconds=time.monotonic() - began)


def heads(settings: "Settings") -> list[str] | None:
    """The newest revision(s) in the project's migrations; None when they cannot be read.

    Loads Alembic and every migration file, as ``alembic heads`` does.
    """
    script = _script(settings)
    return None if script is None else sorted(script.get_heads())


def revisions(settings: "Settings") -> set[str] | None:
    """Every revision in the project's migrations; None when they cannot be read."""
    script = _script(settings)
    return None if script is None else {each.revision for each in script.walk_revisions()}


def pending(settings: "Settings", current: list[str]) -> list[str]:
    """The migrations between ``current`` and the head(s), the next one first; none if unknown."""
    from alembic.script.revision import RevisionError
    from alembic.util import CommandError

    script = _script(settings)
    try:
        between = script.iterate_revisions("heads", tuple(current) or "base") if script else ()
        return [f"{each.revision} {each.doc}" for each in between][::-1]
    except (CommandError, RevisionError):  # a revision that the code does not have
        return []


def _script(settings: "Settings") -> "ScriptDirectory | None":
    if not settings.alembic_files:
        return None
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    try:
        # A relative script_location is from where people stand who call alembic.
        with chdir(settings.alembic_ini.parent), redirect_stdout(sys.stderr):
            script = ScriptDirectory.from_config(Config(**settings.alembic_files))
            script.get_heads()  # loads the files
            return script
    except (Exception, SystemExit):  # noqa: BLE001 - migrations are anybody's code; this is advice
        return None
