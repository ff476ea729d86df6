"""What the hooks in a project's own process share: a backup in another one, and what is loud.

They are soft: a backup that fails must not keep somebody's application down.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop import settings
from undrop.engines import registry
from undrop.errors import UndropError
from undrop.recipes import Action, Prompt
from undrop.values import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.engines.protocol import Engine

PROOF = "UNDROP_PROOF"
"""What ``undrop init`` has in place of the project's settings while it tries the guard."""
INSTEAD = "UNDROP_INSTEAD"
"""Settings for ``undrop backup``; a password may be in them, which has no place in arguments."""
RULE = "=" * 78
NO_BACKUP = "NO BACKUP WAS TAKEN BEFORE THIS {}: "
MIGRATION = "MIGRATION"
"""What a run is, mostly."""


class Run:
    """One run of a command that changes a database, from before it does to its end.

    ``kind`` is the step's, ``folder`` is in the project; ``what`` it is, for people. Raises
    ValueError.
    """

    def __init__(self, kind: str, folder: Path, what: str = MIGRATION) -> None:
        self._kind, self._folder, self._what = kind, folder, what
        self._instead: list[dict[str, Any]] = [json.loads(os.environ.get(PROOF, "{}"))]
        """The settings that differ from the project's: for its database, and for others."""
        self._begun: list[int] = []

    @property
    def is_tried(self) -> bool:
        """Whether ``undrop init`` only tries the guard."""
        return PROOF in os.environ

    @property
    def goes_elsewhere(self) -> bool:
        """Whether another database than the guarded one has been named."""
        return len(self._instead) > 1

    def before(self) -> str:
        """Back the guarded database up; what failed, empty when nothing did."""
        return self._backed_up(0)

    def before_on(self, url: str) -> str:
        """The same for the database of that URL, which may hold the password that we lack.

        Where it is another than undrop guards, that is said. Raises UndropError for a URL of
        another engine's.
        """
        named = _named(url)
        if self._guards(named):
            self.elsewhere(url, named.label)
            return ""
        if named.in_memory:
            return ""
        self._instead[0] |= _alone(named)
        return self._backed_up(0)

    def elsewhere(self, url: str, shown: str) -> None:
        """Back up the database of that URL where it is another than undrop guards, and say so."""
        try:
            named = _named(url)
            names = self._guards(named)
            if not names:
                return
            self._instead.append({**self._instead[0], **_alone(named)})
            said = self._backed_up(len(self._instead) - 1)
            said = said.replace("the backup", f"the backup of {shown}", 1)
        except UndropError as error:
            said, names = f"NO BACKUP OF IT WAS TAKEN: {error.what}", "it is not guarded"
        except Exception as error:  # noqa: BLE001 - the hook is soft by contract
            said, names = f"NO BACKUP OF IT WAS TAKEN: {error}", "it is not guarded"
        say(
            f"THIS {self._what} GOES TO ANOTHER DATABASE: {shown}, and {names}",
            said or f"It has a backup now, too; {Action('undo')} and the rest do not know it.",
        )

    def _guards(self, named: "Engine") -> str:
        """What undrop guards instead of that database; empty when it is that, or in memory."""
        if named.in_memory:
            return ""
        try:
            project = settings.load(self._folder, instead=self._instead[0])
        except UndropError as error:  # a fresh clone has no .env
            return f"undrop guards none: {error.what}"
        if any(registry.is_same(guarded, named) for guarded in _guarded(project)):
            return ""
        return f"undrop guards {project.source}"

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
        instead = self._instead[of]
        option = ["--instead", INSTEAD] if instead else []
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "undrop", "backup", *option, *arguments],
            cwd=self._folder,
            env={**os.environ, INSTEAD: json.dumps(instead)},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode


def _named(url: str) -> "Engine":
    """The database that a URL names for a process that stands here. Raises UsageError."""
    return registry.choose(url, Path.cwd(), inside=False, verify_url="", session=Session())


def _guarded(project: settings.Settings) -> "Iterator[Engine]":
    """The project's databases, those whose URL is known here."""
    yield project.engine
    for table in (settings.table(project.root) or {}).get("databases", {}).values():
        with suppress(UndropError):
            yield settings.of(project.root, table).engine


def _alone(named: "Engine") -> dict[str, Any]:
    """Settings for that database and no other of the project's."""
    url = named.url().render_as_string(hide_password=False)
    return {**settings.of_url(url), "databases": {}}


def failed(what: str, failure: str, action: Action, folder: "Callable[[], Path]") -> None:
    """Say that no backup was taken before ``what``, and what to type instead. Never raises.

    ``folder`` gives one in the project.
    """
    try:
        line = Prompt(settings.load(folder()).root).line(action)
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
