"""Alembic on a database of our choosing, in a process of its own, with a fence around it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import version_table
from undrop.errors import LiveMovedError, UndropError, UnknownRevisionError, UsageError
from undrop.migrations import command, flask_app
from undrop.migrations.message import Reply, Request
from undrop.migrations.process import AGAIN, CORRECT, Child, Waiting, asked, others
from undrop.recipes import Action, Setting, standing

if TYPE_CHECKING:
    from undrop.recipes import Part
    from undrop.settings import Settings
    from undrop.values import Moved, Target


class Alembic(Waiting):
    """Alembic, loading from now on: that lasts longer than the backup that is taken meanwhile.

    It brings a database to a revision, up or down (``tool.Tool``). Raises UsageError without an
    ``alembic.ini``.
    """

    name = "Alembic"
    in_place = True
    fenced = True
    together = True
    reads_accepts_loss = True

    def __init__(self, settings: "Settings", words: list[str]) -> None:
        refuse(settings, words)
        [self._revision] = words
        self.goes_to = None if self._revision in {"head", "heads"} else words
        self._config = settings.alembic_files
        if not self._config:
            raise UsageError(f"there is no {settings.alembic_ini}", "alembic init alembic")
        self._settings = settings
        super().__init__(lambda: _child(settings, settings.engine.kind), settings.engine.session)

    def typed(self, *options: str) -> Action:
        """The same asked for once more, with such options."""
        return Action("migrate", self._revision, *options)

    def run(self, target: "Target") -> "Moved":
        """Bring ``target`` there with the project's env.py. Raises as ``tool.Tool.run`` does."""
        request = _request(self._settings)._replace(revision=self._revision, target=target)
        began = time.monotonic()
        # After a server's copy its live database is migrated; a file's copy takes its place.
        answer = self.ask(request.to_json(), again=not (request.live or target.live))
        if answer.has_live_moved:
            raise LiveMovedError("somebody wrote to the database", "the same again")
        if answer.unknown:
            raise UnknownRevisionError(answer.unknown)
        if answer.refused:
            raise _refusal(self._settings, answer)
        if answer.wrong:
            raise _wrong(self._settings, answer)
        if answer.moved is None:
            raise UndropError(f"the migration failed: {answer.error}", CORRECT)
        engine, table = self._settings.engine, answer.moved.version_table
        engine.session.version_table = table
        version_table.remember(self._settings.backups, engine.source, table)
        return answer.moved._replace(seconds=time.monotonic() - began)


def refuse(settings: "Settings", words: list[str]) -> None:
    """Raise UsageError for more than one revision, and for an ``alembic-command`` that is none."""
    own_words(settings)
    if len(words) > 1:
        raise UsageError(
            f"{' '.join(words)} is more than one revision", Action("migrate", words[0])
        )


def look(settings: "Settings") -> Reply:
    """Which revisions Alembic knows, or that they cannot be read."""
    return asked(_child(settings), _request(settings).to_json())


def _child(settings: "Settings", kind: str = "") -> Child:
    folder = settings.root
    if not settings.alembic_command:
        folder = flask_app.home(settings.alembic_files, folder, settings.alembic_ini.parent)
    return Child("Alembic", "undrop.migrations.child", folder, kind)


def _request(settings: "Settings") -> Request:
    return Request(
        config=settings.alembic_files,
        root=str(settings.root),
        live=str(settings.engine.file or ""),
        url=settings.url,
        variable=settings.variable,
        kind=settings.engine.kind,
        reroute=settings.reroute,
        name=settings.name,
        others=others(settings),
        command=own_words(settings),
    )


def own_words(settings: "Settings") -> list[str]:
    """The project's own command that runs Alembic, if it has one. Raises UsageError."""
    line = settings.alembic_command
    return command.split(line, "alembic-command") if line else []


def _wrong(settings: "Settings", answer: Reply) -> UsageError:
    """The error for a revision, or a configuration, that Alembic cannot use."""
    what = f"Alembic says: {answer.error}"
    if answer.wrong == "configuration":
        return UsageError(what, f"correct that, {AGAIN}")
    if answer.wrong == "heads":
        typed = settings.engine.session.typed
        return UsageError(what, Action(typed.name if typed else "migrate", "heads"))
    file = Path(*list(settings.alembic_files.values())[:1])
    is_seen = file.parent == standing() and file.name in {"alembic.ini", "pyproject.toml"}
    where = () if is_seen else ("-c", str(file))
    return UsageError(what, Action("run", "alembic", *where, "history"), " shows them all")


def _refusal(settings: "Settings", answer: Reply) -> UndropError:
    """The error for project code that would have changed another database."""
    what = f"refused: {answer.error}"
    if answer.refused == "elsewhere" and len(settings.databases) == 1:
        return UndropError(what, f"correct it, {AGAIN}")
    typed = ("flask", "db") if flask_app.folder(settings.alembic_files) else ("alembic",)
    upgrade = Action("run", *(own_words(settings) or (*typed, "upgrade", "head")))
    if answer.refused == "elsewhere":
        by_itself = (f"correct it, {AGAIN}; or let it do that, behind a backup of each:",)
        return UndropError(what, *by_itself, upgrade)
    if answer.refused != "live":
        return UndropError(
            what,
            f"take that out of it, {AGAIN}; or let it do that, behind a backup of the live one:",
            upgrade,
        )
    variable = f"the URL from {settings.variable}, or " if settings.variable else ""
    way = f"let it take {variable}op.get_bind()"
    several: tuple[Part, ...] = ()
    if len(settings.databases) > 1:
        several = ("; or let it, behind a backup of each:", upgrade)
    if settings.reroute:
        return UndropError(what, f"{way}; {AGAIN}", *several)
    hands = f", which hands SQLAlchemy's engines the work copy; {AGAIN}"
    return UndropError(what, f"{way}, or", Setting("reroute = true"), hands, *several)
