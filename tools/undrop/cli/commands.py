"""What each command does: call the core, and word its answer."""

import os
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop import backup, catalog
from undrop.cli import tables
from undrop.cli.progress import Bar
from undrop.errors import CheckError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from undrop.catalog import Backup
    from undrop.settings import Settings
    from undrop.step import Change

COLUMNS = ("NAME", "AGE", "SIZE", "REVISION", "REASON", "CHECK")


class Answer(NamedTuple):
    """What a command has to say: ``line`` or the table on stdout, ``notes`` on stderr."""

    result: dict[str, Any]
    line: str = ""
    notes: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    code: int = 0


class Run(NamedTuple):
    """What every command gets."""

    settings: "Settings"
    arguments: Namespace
    bar: Bar
    say: "Callable[[str], None]"
    """Prints a line on stderr at once."""

    @property
    def standing(self) -> Path:
        """Where the user stands: just moves to the project's folder and tells us from where."""
        return Path(os.environ.get("UNDROP_INVOKED_FROM") or Path.cwd())


def back_up(run: Run) -> Answer:
    """Take a verified backup; ``--before`` is how just says which step comes next."""
    reason, before = run.arguments.reason, run.arguments.before
    if before not in backup.STEPS:
        raise UsageError(
            f"{before!r} is not a step that a backup can precede",
            'just backup "the whole reason in quotes"',
        )
    if not backup.exists(run.settings):
        return Answer({"backup": None}, notes=("nothing to back up: there is no database",))
    with catalog.turn(run.settings, run.say):
        taken = backup.take(run.settings, reason, before, run.bar)
    assert taken is not None
    result = {"backup": str(taken.path), **_fields(taken)}
    if taken.is_set:
        note = f"the live database is damaged; its files are kept in {taken.path}"
        return Answer(result, notes=(note,))
    if before:
        return Answer(result, notes=(f"backed up to {taken.path}",))
    return Answer(result, str(taken.path))


def list_(run: Run) -> Answer:
    """The catalog, newest first, with the live database at its top."""
    settings = run.settings
    live = {"database": str(settings.database) if settings.database else None}
    there = settings.database is not None and settings.live.is_file()
    stat = settings.live.stat() if there else None
    first = (
        (settings.source, "live", tables.size(stat.st_size), "", "", "")
        if stat
        else (settings.source, "live", "", "", "no database", "")
    )
    backups = catalog.entries(settings)[::-1]
    rows = tuple(_row(each) for each in backups)
    result = {
        **live,
        "bytes": stat.st_size if stat else None,
        "backups": [{"path": str(each.path), **_fields(each)} for each in backups],
    }
    return Answer(result, table=(COLUMNS, first, *rows))


def verify(run: Run) -> Answer:
    """Prove FILE, or every backup, whole."""
    from undrop import restore

    if run.arguments.file is None:
        chosen = [each for each in catalog.entries(run.settings) if not each.is_set]
    else:
        chosen = [catalog.find(run.settings, run.arguments.file, run.standing)]
    lines, damaged, results = [], [], []
    for each in chosen:
        try:
            restore.verify(each, run.bar)
            problem = ""
        except CheckError as error:
            problem = error.what
            damaged.append(problem)
        name = tables.clean(each.path.name)
        lines.append(f"{name}: {problem or 'whole'}")
        results.append({"path": str(each.path), "whole": not problem, "problem": problem})
    result = {"verified": results, "damaged": len(damaged)}
    notes = () if chosen else (f"there are no backups in {run.settings.backups}",)
    return Answer(result, "\n".join(lines), notes, code=CheckError.exit_code if damaged else 0)


def status(run: Run) -> Answer:
    """Where things stand; exit 4 when no verified backup holds the present state."""
    from undrop import status as core

    settings = run.settings
    lock = catalog.turn(settings, run.say) if settings.backups.is_dir() else nullcontext()
    with lock:
        seen = core.look(settings, run.bar)
    pending = seen.heads is not None and seen.exists and seen.revisions != seen.heads
    last = seen.last
    lines = [f"database   {settings.database or settings.url}"]
    if not seen.exists:
        lines.append("           there is none")
    else:
        lines.append(f"size       {tables.size(seen.bytes)}, {seen.journal_mode or 'unreadable'} mode")
        if seen.damage:
            lines.append(f"damaged    {seen.damage}")
        who = ", ".join(f"{each.name} (pid {each.pid})" for each in seen.open_in)
        lines.append(f"open in    {who or 'no other program that can be seen'}")
        lines.append(f"revision   {_revision(seen.revisions)}" + (
            f", the code's head is {_revision(seen.heads or [])}: just migrate" if pending else ""
        ))
    lines.append(
        f"backup     {last.path.name}, {tables.age(last.created)}" if last else "backup     none"
    )
    lines.append(f"covered    {'yes' if seen.covered else 'no: just backup'}")
    result = {
        **seen._asdict(),
        "database": str(settings.database or ""),
        "open_in": [each._asdict() for each in seen.open_in],
        "last": str(last.path) if last else None,
        "pending": pending,
    }
    text = "\n".join(map(tables.clean, lines))
    return Answer(result, text, code=0 if seen.covered else CheckError.exit_code)


def restore(run: Run) -> Answer:
    """Put a backup back."""
    from undrop import restore as core
    from undrop import schema

    run.say(f"about to change {run.settings.live}")
    with catalog.turn(run.settings, run.say):
        done = core.restore(run.settings, run.arguments.file, run.standing, run.bar)
    heads = schema.heads(run.settings)
    at = f"restored {done.source}: its schema is at {_revision(done.revisions)}"
    if heads and done.revisions != heads:
        at += f"; the code's head is {_revision(heads)}: `just migrate` brings it forward"
    result = {
        "database": str(run.settings.live),
        "restored": str(done.source),
        "revisions": done.revisions,
        "heads": heads,
        **_kept(done.change),
    }
    return Answer(result, str(done.source), (at, _way_back(done.change)))


def migrate(run: Run) -> Answer:
    """Bring the schema to a revision."""
    from undrop import migrate as core

    run.say(f"about to change {run.settings.live}")
    with catalog.turn(run.settings, run.say):
        moved, change = core.migrate(run.settings, run.arguments.revision, run.bar)
    line = f"{_revision(moved.before)} -> {_revision(moved.after)}"
    result = {
        "database": str(run.settings.live),
        "from": moved.before,
        "to": moved.after,
        "migrations": moved.steps,
        **_kept(change),
    }
    if moved.steps == 0:
        return Answer(result, line, ("nothing to do: the schema is there already",))
    done = f"{moved.steps} migration(s), checked; others were locked out {change.seconds:.2f} s"
    return Answer(result, line, (done, _way_back(change)))


def reset_db(run: Run) -> Answer:
    """Make the live database an empty one at head."""
    from undrop import migrate as core

    live = run.settings.live
    run.say(f"about to change {live}")
    with catalog.turn(run.settings, run.say):
        moved, change = core.reset(run.settings, run.bar)
    result = {"database": str(live), "to": moved.after, **_kept(change)}
    note = f"an empty database at {_revision(moved.after)}"
    return Answer(result, str(live), (note, _way_back(change)))


def nuke_db(run: Run) -> Answer:
    """Remove the database altogether."""
    from undrop import restore as core

    live = run.settings.live
    run.say(f"about to remove {live}")
    with catalog.turn(run.settings, run.say):
        change = core.nuke(run.settings, run.bar)
    result = {"database": str(live), **_kept(change)}
    if change.backup is None:
        return Answer(result, str(live), ("nothing to remove: there was no database",))
    return Answer(result, str(live), ("the database is gone", _way_back(change)))


def _way_back(change: "Change") -> str:
    if change.backup is None:
        return "to go back: just nuke-db (there was no database before)"
    if change.backup.is_set:
        return f"the damaged files from before are kept in {change.backup.path}"
    return f"to go back: just restore {change.backup.path.name}"


def _kept(change: "Change") -> dict[str, object]:
    return {
        "backup": str(change.backup.path) if change.backup else None,
        "seconds_locked": round(change.seconds, 3),
    }


def _revision(revisions: list[str]) -> str:
    return ", ".join(revisions) or "no revision"


def _fields(each: "Backup") -> dict[str, Any]:
    return {**(each.record._asdict() if each.record else {}), "verified": each.verified}


def _row(each: "Backup") -> tuple[str, ...]:
    entry = each.record
    if entry is None:
        count = each.path.stat().st_size
        return each.path.name, tables.age(each.created), tables.size(count), "?", "", "no record"
    return (
        each.path.name,
        tables.age(each.created),
        tables.size(entry.bytes),
        ", ".join(entry.revisions),
        entry.reason,
        entry.check,
    )
