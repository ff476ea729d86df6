"""``undrop run -- COMMAND…``."""

import shlex
import sys

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
    settings = run.settings
    watched = cover.Watched("run", f"before {command[0]}", shlex.join(command))
    kept = cover.begin(settings, watched)
    if kept.damaged:
        where = settings.backups / kept.name
        run.say(f"{settings.engine.label} is damaged; its files are kept in {where}")
    elif kept.taken:
        run.say(f"backed up to {settings.backups / kept.name}")
    ran = core.run(settings, command, run.standing)
    try:
        cover.end(settings, watched, kept)
    except (UndropError, OSError) as error:  # the exit code is the command's
        run.say(f"the state after {command[0]} is not backed up: {error}")
    if ran.code in {126, 127} and not ran.changed:
        run.say(f"{command[0]} ended with {ran.code}, or there is no such command")
    if not (ran.changed and kept.name and sys.stderr.isatty()) or kept.damaged:
        return Answer({}, code=ran.code)  # undo does not go back to damaged files
    changes = _changes(run, kept.name)
    return Answer({}, notes=(changes, UNDO) if changes else (), code=ran.code)


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
