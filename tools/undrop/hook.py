"""What the hooks in a project's own process share: a backup in another one, and what is loud.

They are soft: a backup that fails must not keep somebody's application down.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop import settings
from undrop.engines import registry
from undrop.errors import UndropError
from undrop.recipes import CHOICE, DB, Action, Prompt
from undrop.values import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from undrop.engines.protocol import Engine

PROOF = "UNDROP_PROOF"
"""What ``undrop init`` has in place of the project's settings while it tries the guard."""
RULE = "=" * 78
NO_BACKUP = "NO BACKUP WAS TAKEN BEFORE THIS {}: "
MIGRATION = "MIGRATION"
"""What a run is, mostly."""


class _Covered(NamedTuple):
    """A database that is backed up before it is changed."""

    instead: dict[str, Any]
    """The settings that differ from the project's."""
    name: str = ""
    """Its name in them, where it is not the one that is asked for."""


class Run:
    """One run of a command that changes a database, from before it does to its end.

    ``kind`` is the step's, ``folder`` is in the project; ``what`` it is, for people. Raises
    ValueError.
    """

    def __init__(self, kind: str, folder: Path, what: str = MIGRATION) -> None:
        self._kind, self._folder, self._what = kind, folder, what
        self._databases = [_Covered(json.loads(os.environ.get(PROOF, "{}")))]
        self._begun: list[int] = []

    @property
    def is_tried(self) -> bool:
        """Whether ``undrop init`` only tries the guard."""
        return PROOF in os.environ

    @property
    def goes_elsewhere(self) -> bool:
        """Whether a database has been named that the settings do not."""
        return any(not covered.name for covered in self._databases[1:])

    def before(self) -> str:
        """Back the guarded database up; what failed, empty when nothing did."""
        return self._backed_up(0)

    def before_on(self, url: str) -> str:
        """The same for the database of that URL, which may hold the password that we lack.

        Where it is none of those that undrop guards, that is said. Raises UndropError for a URL of
        another engine's.
        """
        named = _named(url)
        if named.in_memory:
            return ""
        own, _ = self._guards(named)
        if not own:
            self.elsewhere(url, named.label)
            return ""
        by_url = _url_of(named)
        table = by_url if own == settings.DEFAULT else {"databases": {own: {"url": by_url["url"]}}}
        self._databases[0] = _Covered({**self._databases[0].instead, **table}, own)
        return self._backed_up(0)

    def elsewhere(self, url: str, shown: str) -> str:
        """Back up the database of that URL where it is another than the one that is asked for.

        Its name in the settings; where it has none there, that is said.
        """
        own = ""
        try:
            named = _named(url)
            if named.in_memory:
                return ""
            own, names = self._guards(named)
            first = self._databases[0].instead
            alone = {**first, **_url_of(named), "databases": {}}
            covered = _Covered(first, own) if own else _Covered(alone)
            if own == asked() or covered in self._databases:
                return own
            there = named.exists()
            self._databases.append(covered)
            said = self._backed_up(len(self._databases) - 1)
            if own and not said:
                return own
            said = said or ("" if there else "There was nothing in it to back up.")
            said = said.replace("the backup", f"the backup of {shown}", 1)
        except UndropError as error:
            said, names = f"NO BACKUP OF IT WAS TAKEN: {error.what}", "it is not guarded"
        except Exception as error:  # noqa: BLE001 - the hook is soft by contract
            said, names = f"NO BACKUP OF IT WAS TAKEN: {error}", "it is not guarded"
        say(
            f"THIS {self._what} GOES TO ANOTHER DATABASE: {shown}, and {names}",
            said or f"It has a backup now, too; {Action('undo')} and the rest do not know it.",
        )
        return own

    def _guards(self, named: "Engine") -> tuple[str, str]:
        """The name of that database in the settings, and what undrop guards where it has none.

        While the guard is tried, its copy has the same name.
        """
        guarded = "undrop guards none"
        for instead in ({}, self._databases[0].instead):
            try:
                project = settings.load(self._folder, None, instead, asked())
            except UndropError as error:  # a fresh clone has no .env
                guarded = f"undrop guards none: {error.what}"
                continue
            known = [*settings.known(project)]
            for database in known:
                if registry.is_same(database.engine, named):
                    return database.name, f"it is {database.name} of the settings"
            guarded = f"undrop guards {', '.join(database.source for database in known)}"
        return "", guarded

    def ended(self) -> None:
        """Have ``undo`` know where the run ended; what comes next is its application's work."""
        for of in self._begun:
            with suppress(Exception):  # the hook is soft, and the command said what it failed at
                self._undrop("--after", self._kind, of=of)

    def _backed_up(self, of: int) -> str:
        self._begun.append(of)
        code = self._undrop("--before", self._kind, self._kind, of=of)
        return f"the backup ended with {code}" if code else ""

    def _undrop(self, *arguments: str, of: int) -> int:
        """Run ``undrop backup`` on the database of that number; its exit code.

        In a process of its own: this one may have the database open, and opening and closing the
        file beside SQLite would drop the locks of its connections (howtocorrupt.html, 2.2).
        """
        instead, name = self._databases[of]
        option = [
            *(["--instead", settings.INSTEAD] if instead else []),
            *([DB, name] if name else []),
        ]
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "undrop", "backup", *option, *arguments],
            cwd=self._folder,
            env={**os.environ, settings.INSTEAD: json.dumps(instead)},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode


def _named(url: str) -> "Engine":
    """The database that a URL names for a process that stands here. Raises UsageError."""
    return registry.choose(url, Path.cwd(), inside=False, verify_url="", session=Session())


def _url_of(named: "Engine") -> dict[str, Any]:
    """Settings for that database as the default."""
    return settings.of_url(named.url().render_as_string(hide_password=False))


def asked() -> str:
    """Which of the project's databases is meant."""
    return os.environ.get(CHOICE) or settings.DEFAULT


def failed(what: str, failure: str, action: Action, folder: "Callable[[], Path]") -> None:
    """Say that no backup was taken before ``what``, and what to type instead. Never raises.

    ``folder`` gives one in the project.
    """
    try:
        project = settings.load(folder(), name=asked())
        line = Prompt(project.root, database=project.told).line(action)
    except Exception:  # noqa: BLE001 - what made the backup fail may make this fail
        line = str(action)
    say(
        f"{NO_BACKUP.format(what)}{failure}",
        f"The {what.lower()} goes on without one. To be safe, stop it, then: {line}",
    )


def say(*lines: str) -> None:
    """Where it cannot be missed."""
    framed = "\n".join((RULE, f"undrop: {lines[0]}", *lines[1:], RULE))
    print(framed, file=sys.stderr, flush=True)  # noqa: T201 - there is no cli in their process
