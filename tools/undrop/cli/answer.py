"""What commands are given and what they answer with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop import recipes
from undrop.errors import MOVED, UsageError
from undrop.recipes import Action, Prompt, Text

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from undrop.engines.protocol import Clients
    from undrop.errors import UndropError
    from undrop.settings import Settings
    from undrop.steps.guarded import Change
    from undrop.store.catalog import Backup
    from undrop.values import Session


UNDO = ("to go back:", Action("undo"))
EMPTIED = "WARNING: had rows before and have none now: {}"


class Answer(NamedTuple):
    """What a command has to say: ``line`` or the table on stdout, ``notes`` on stderr."""

    result: dict[str, Any]
    line: str = ""
    notes: tuple[Text, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    code: int = 0


class Run(NamedTuple):
    """What every command gets."""

    settings: "Settings"
    arguments: "Namespace"
    say: "Callable[[str], None]"
    """Prints a line on stderr at once."""

    @property
    def standing(self) -> Path:
        """Where the user stands."""
        return recipes.standing()

    @property
    def prompt(self) -> Prompt:
        """Where the user types what is next."""
        return Prompt(self.settings.root)


class Bare(NamedTuple):
    """What a command gets that finds its project by itself, or makes it one."""

    arguments: "Namespace"
    session: "Session"
    say: "Callable[[str], None]"


def clients(run: Run) -> "Clients | None":
    """Whose sessions are to be ended; None where that was not asked for. Raises UsageError."""
    if not run.arguments.disconnect:
        return None
    engine = run.settings.engine
    if engine.clients is None:
        raise UsageError(
            f"{engine.label} is a file: nobody's session can be ended from here",
            "close the programs that have it open, which",
            Action("status"),
            "names, then the same without that option",
        )
    return engine.clients


def hold_lock(run: Run) -> None:
    """Let the session know how long others' writes may be made to wait, where that was said."""
    engine, seconds = run.settings.engine, run.arguments.hold_lock
    if seconds is None:
        return
    if engine.writers is None:
        raise UsageError(
            f"{engine.label} is on a server: its own locks make others wait, once the new content "
            "goes in",
            "the same without that option",
        )
    engine.session.hold_lock = seconds


def disconnect(run: Run) -> None:
    """End the sessions of others where that was asked for, and say whose they were."""
    if others := clients(run):
        for holder in others.disconnect():
            run.say(f"disconnected: {holder.name} (pid {holder.pid})")


def require_replica(run: Run, starts: "Callable[[], bool]" = lambda: True) -> None:
    """See to it that what replicates the database is current, unless that is not wanted.

    Nothing is asked of it where the step that comes ``starts`` nothing.
    """
    from undrop.steps import replica

    if not run.arguments.without_replica and (line := replica.require(run.settings, starts)):
        run.say(line)


def fields(backup: "Backup") -> dict[str, Any]:
    """A backup in JSON: its record, and whether it was verified."""
    facts = backup.record.to_dict() if backup.record else {}
    return {**facts, "verified": backup.verified, "only_in_vault": backup.only_in_vault}


def way_back(change: "Change") -> tuple[Text, ...]:
    """What it cost others, where the state before a step is, and the line that undoes it."""
    told: tuple[Text, ...] = ()
    if change.moved_from:
        told = (MOVED.format(change.moved_from),)
    if change.hold:
        waited = f"the last one made them wait up to {change.hold.seconds:.2f} s"
        told = (*told, f"others wrote during the first tries; {waited}")
    if change.note:
        told = (*told, change.note)
    if change.same:
        return (*told, "the content is what it was before")
    if change.backup is None:
        return ("there was no database before", UNDO)
    if change.backup.is_set:
        return (f"the damaged files from before are kept in {change.backup.path}",)
    return (*told, f"the state before is {change.backup.path.name}", UNDO)


def failure(error: "UndropError", prompt: Prompt) -> dict[str, Any]:
    """An error in JSON, but for the exit code."""
    told = {
        "error": error.what,
        "live_changed": error.live_changed,
        "next": prompt.text(error.next_parts),
        "next_actions": recipes.actions(error.next_parts),
    }
    return {**told, "live_moved": True} if error.moved_from else told


def kept(change: "Change") -> dict[str, Any]:
    """A step in JSON: what holds the state before, and how long others had to wait."""
    return {
        "backup": str(change.backup.path) if change.backup else None,
        "live_moved": bool(change.moved_from),
        "seconds_held": round(change.hold.seconds, 3) if change.hold else 0.0,
        "seconds_locked": round(change.seconds, 3),
    }
