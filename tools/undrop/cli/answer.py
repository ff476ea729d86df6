"""What commands are given and what they answer with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop import recipes
from undrop.errors import MOVED, CheckError, UndropError, UsageError
from undrop.recipes import Action, Prompt, Text

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from undrop.engines.protocol import Clients
    from undrop.migrations.tool import Tool
    from undrop.settings import Settings
    from undrop.steps.guarded import Change
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock
    from undrop.values import Moved, Session


Table = tuple[tuple[str, ...], ...]
UNDO = ("to go back:", Action("undo"))
BROKEN = "A BACKUP CANNOT BE PUT BACK: {}; it is marked, and counts no more"
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
    is_named: bool = True
    """Whether somebody said which database it is about."""

    @property
    def standing(self) -> Path:
        """Where the user stands."""
        return recipes.standing()

    @property
    def prompt(self) -> Prompt:
        """Where the user types what is next."""
        return Prompt(self.settings.root, database=self.settings.told)

    def on(self, database: "Settings") -> "Run":
        """The same command on another of the project's databases."""
        return self._replace(settings=database, is_named=True)


class Bare(NamedTuple):
    """What a command gets that finds its project by itself, or makes it one."""

    arguments: "Namespace"
    session: "Session"
    say: "Callable[[str], None]"


def of_all(run: Run, one: "Callable[[Run], Answer]") -> Answer:
    """What ``one`` says of the database that is named; of every one where none is.

    The default comes first, the others after it, each with its name; in JSON below ``databases``.
    One that cannot be looked at is said to be so, and is a check that says no.
    """
    from undrop import settings

    said = one(run)
    if run.is_named or len(run.settings.databases) == 1:
        return said
    parts = [(run.settings.name, run.prompt, said)]
    for name in run.settings.names:
        if name != run.settings.name:
            prompt = Prompt(run.settings.root, database=name)
            try:
                parts.append((name, prompt, one(run.on(settings.another(run.settings, name)))))
            except UndropError as error:
                what = (f"{error.what}; to correct that:", *error.next_parts)
                parts.append((name, prompt, _failed(failure(error, prompt), what)))
    return joined(parts)


def joined(parts: "list[tuple[str, Prompt, Answer]]") -> Answer:
    """What is said of several databases as one answer, the first one's facts at its top in JSON."""
    said = [(name, answer.line) for name, _, answer in parts if answer.line]
    blocks = any("\n" in line for _, line in said)
    lines = [f"{name}:\n{line}" if blocks else f"{name}: {line}" for name, line in said]
    return Answer(
        {**parts[0][2].result, "databases": {name: each.result for name, _, each in parts[1:]}},
        ("\n\n" if blocks else "\n").join(lines),
        tuple(f"{name}: {p.text(note)}" for name, p, answer in parts for note in answer.notes),
        _one_table([(name, answer.table) for name, _, answer in parts if answer.table]),
        max(answer.code for _, _, answer in parts),
    )


def _failed(facts: dict[str, Any], note: Text) -> Answer:
    return Answer(facts, notes=(note,), code=CheckError.exit_code)


def _one_table(parts: "list[tuple[str, Table]]") -> "Table":
    """Tables with the same columns as one, which says first which database a row is of."""
    rows = [(name, *row) for name, table in parts for row in table[1:]]
    return (("DATABASE", *parts[0][1][0]), *rows) if parts else ()


def together(run: Run, migrations: "Tool") -> tuple[list[Run], list["Lock"]]:
    """The run on each database that one run of ``migrations`` is to migrate, this one first.

    With it the locks for those that it may go to, and that are to stay: where one is named.
    """
    from undrop import settings
    from undrop.store.lock import Lock

    own = run.settings
    if not migrations.together:  # what it starts may go to any of them
        others = [each for each in settings.known(own) if each.name != own.name]
        return [run], [Lock(each) for each in others if _answers(each)]
    if own.engine.file is None:
        return [run], []
    others = [each for each in settings.known(own) if each.name != own.name and each.engine.file]
    if run.is_named:
        return [run], [Lock(each) for each in others]
    return [run, *map(run.on, others)], []


def _answers(project: "Settings") -> bool:
    """Whether a database can be reached: one that cannot is out of anybody's reach here."""
    try:
        project.engine.exists()
    except UndropError:
        return False
    return True


def of_migrated(runs: "list[Run]", answers: list[Answer], moved: "list[Moved]") -> Answer:
    """The answers of those on which a migration ran, as one; else the first."""
    if len(runs) == 1 or not any(each.steps for each in moved):
        return answers[0]
    parts = [
        (run.settings.name, run.prompt, said if each.steps else Answer(said.result))
        for run, said, each in zip(runs, answers, moved, strict=True)
        if each.steps or run is runs[0]
    ]
    return joined(parts)


def about_to_migrate(runs: "list[Run]") -> str:
    """Which databases are to be changed, for people."""
    names = ", ".join(run.settings.engine.label for run in runs)
    return f"about to change {names}" if len(runs) == 1 else f"about to migrate, of these: {names}"


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
    where = {"only_in_vault": backup.only_in_vault, "disk_bytes": backup.disk_bytes}
    return {**facts, "verified": backup.verified, **where}


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
    said = change.backup.unproved
    return (*told, f"the state before is {change.backup.path.name}{said and f', {said}'}", UNDO)


def failure(error: "UndropError", prompt: Prompt) -> dict[str, Any]:
    """An error in JSON, but for the exit code."""
    told = {
        "error": error.what,
        "live_changed": error.live_changed,
        "next": prompt.text(error.next_parts),
        "next_actions": prompt.actions(error.next_parts),
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
