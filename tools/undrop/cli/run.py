"""``undrop run -- COMMAND…``."""

import shlex
import sys
from contextlib import suppress

from undrop import settings
from undrop.cli import diff
from undrop.cli.answer import UNDO, Answer, Run
from undrop.errors import UndropError, UsageError
from undrop.recipes import Action, Text
from undrop.steps import cover
from undrop.store.lock import locked

EXAMPLE = (
    Action("run", "COMMAND…", typed=False),
    ", such as ",
    Action("run", "rm", "app.db", typed=False),
)


def run(run: Run) -> Answer:
    """Back up, run the command, say what it changed; the exit code is the command's."""
    from undrop.steps import run as core

    words = run.arguments.command
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise UsageError("no command was given", *EXAMPLE)
    databases = [run.settings] if run.is_named else settings.every(run.settings)
    watched = cover.Watched("run", f"before {command[0]}", shlex.join(command))
    kept: list[cover.Covered] = []
    for each in databases:
        try:
            begun = cover.begin(each, watched)
        except (UndropError, OSError):
            for other, begun in zip(databases, kept, strict=False):
                with suppress(UndropError, OSError):  # nothing is run: what is begun, is over
                    cover.end(other, watched, begun)
            raise
        kept.append(begun)
        where = each.backups / begun.name
        if begun.damaged:
            run.say(f"{each.engine.label} is damaged; its files are kept in {where}")
        elif begun.taken:
            run.say(f"backed up to {where}")
    ran = core.run(databases, command, run.standing)
    for each, begun in zip(databases, kept, strict=True):
        try:
            cover.end(each, watched, begun)
        except (UndropError, OSError) as error:  # the exit code is the command's
            state = f"{each.called}the state after {command[0]}"
            run.say(f"{state} is not backed up: {error}")
    if ran.code in {126, 127} and not any(ran.changed):
        run.say(f"{command[0]} ended with {ran.code}, or there is no such command")
    notes: list[Text] = []
    if sys.stderr.isatty():
        for each, begun, changed in zip(databases, kept, ran.changed, strict=True):
            # Undo does not go back to damaged files.
            if changed and begun.name and not begun.damaged:
                notes += _told(run.on(each), begun.name)
    return Answer({}, notes=tuple(notes), code=ran.code)


def _told(run: Run, name: str) -> list[str]:
    """What became of a database, and how to go back."""
    changes, called = _changes(run, name), run.settings.called
    return [called + run.prompt.text(changes), run.prompt.text(UNDO)] if changes else []


def _changes(run: Run, name: str) -> Text:
    """What a command changed, in one line; empty when that is nothing."""
    from undrop.steps import run as core

    if not run.settings.engine.exists():
        return f"{run.settings.engine.label} is gone"
    try:
        with locked(run.settings, run.say) as lock:
            if core.is_as_kept(lock, name):
                return ""
            comparison = core.what_changed(lock, name)
    except UndropError as error:
        return f"the database changed: {error.what}"
    if comparison is None:
        return ("the database changed:", Action("diff", name))
    return "the command changed " + (
        "; ".join(diff.changes(comparison)) or "nothing that is stored in tables"
    )
