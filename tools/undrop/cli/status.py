"""status: one screen, or one JSON object for prompts and scripts."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from undrop.cli import elsewhere, tables, terminal
from undrop.cli.answer import Answer, Run, of_all
from undrop.errors import CheckError
from undrop.migrations import revisions
from undrop.recipes import Action
from undrop.record import heads_ahead, revision_names
from undrop.store import log, neighbours
from undrop.store.timeline import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.steps.status import Status
    from undrop.store.handed_on import Standing


DOORS = "not guarded"
"""A line's name that is not shown: the line has words of its own."""


def status(run: Run) -> Answer:
    """Where things stand; exit 4 when no verified backup holds the present state.

    With ``--max-age``: when the newest one is older, or the database is damaged or lost.
    """
    return of_all(run, _status)


def _status(run: Run) -> Answer:
    from undrop.steps import status as core

    settings = run.settings
    seen = core.with_replica(settings, core.look(settings))
    # One that no migration has ever touched may be none of theirs.
    theirs = seen.exists and bool(seen.revisions or not settings.told)
    behind = theirs and revisions.is_behind(settings, seen.revisions)
    others = neighbours.of(settings)
    age = (datetime.now(UTC) - seen.last.created).total_seconds() if seen.last else None
    limit = run.arguments.max_age
    too_old = limit is not None and (age is None or age > limit.seconds)
    result = {
        **seen._asdict(),
        "database": "" if settings.engine.in_memory else settings.engine.label,
        "journal_mode": seen.mode.removesuffix(" mode"),
        "open_in": [each._asdict() for each in seen.open_in],
        "last": str(seen.last.path) if seen.last else None,
        "age_seconds": None if age is None else round(age, 3),
        "too_old": None if limit is None else too_old,
        "pending": behind,
        "pending_migrations": seen.pending if behind else [],
        "undo": _undone(seen),
        "elsewhere": elsewhere.fields(others),
        "after_backup": _after_backup(seen),
    }
    old = limit.text if limit and too_old else ""
    lines = [*_lines(run, seen, behind=behind, old=old)]
    lines += [("elsewhere", text) for text in elsewhere.lines(others)]
    text = "\n".join(_line(*each) for each in lines)
    fine = seen.covered if limit is None else not (too_old or seen.damage or seen.lost)
    return Answer(result, text, code=0 if fine else CheckError.exit_code)


def _undone(seen: "Status") -> dict[str, Any] | None:
    """The step that undo would take back, in JSON."""
    steps = getattr(seen.undo, "taken_back", ())
    return steps[-1].to_dict() if steps else None


def _after_backup(seen: "Status") -> dict[str, Any] | None:
    """How far that command is, in JSON."""
    told = seen.after_backup
    since = told.since.isoformat() if told and told.since else None
    return {**told._asdict(), "since": since} if told else None


def _handed_on(run: Run, told: "Standing") -> str:
    """The same for people."""
    if told.since is None:
        return "every backup, to after-backup"
    said = f"all but {told.left:,} backup(s), the oldest of {tables.age(told.since)}"
    if told.running:
        return f"{said}: after-backup is at work"
    error = f"; the last time after-backup failed: {told.error}" if told.error else ""
    return f"{said}{error}: {run.prompt.line(Action('after-backup'))}"


def _undo(run: Run, seen: "Status") -> str:
    from undrop.steps import undo as core

    line = run.prompt.line(Action("undo"))
    if seen.undo is None:
        return "nothing to undo"
    if isinstance(seen.undo, core.OthersWorkError):
        return f"stops, for others worked since the last step: {line} says what can be typed"
    to = seen.undo.target.name or "no database"
    if not seen.undo.taken_back:
        return f"puts back what was lost, {to}: {line}"
    step = seen.undo.taken_back[-1]
    kinds = names(seen.undo.taken_back)
    return f"goes back before {kinds} of {tables.age(step.when)}, to {to}: {line}"


COLOURS = {
    "LOST": terminal.RED,
    "damaged": terminal.RED,
    "ALARM": terminal.RED,
    "TOO OLD": terminal.YELLOW,
    "covered": terminal.GREEN,
}


def _line(name: str, text: str) -> str:
    """A line, without a name where it has its own words, in the colour of what it says."""
    said = tables.clean(f"{name:<10} {text}" if name != DOORS else text)
    if not terminal.has_colour(sys.stdout):
        return said
    warned = (name == "covered" and text.startswith("no")) or name == DOORS
    return terminal.coloured(said, terminal.YELLOW if warned else COLOURS.get(name, ""))


def _lines(run: Run, seen: "Status", *, behind: bool, old: str) -> "Iterator[tuple[str, str]]":
    """In the order of the questions at night.

    Is it there and whole, is it covered, what happened last, what can be typed.
    """
    settings, line = run.settings, run.prompt.line
    if seen.lost:
        back = Action("undo") if seen.undo else Action("restore", "latest")
        yield "LOST", f"no step of undrop did that; to bring it back: {line(back)}"
    yield "database", settings.engine.label
    if not seen.exists:
        yield "", "there is none"
    elif seen.damage:
        yield "damaged", seen.damage
    if seen.exists:
        yield "size", f"{tables.size(seen.bytes)}, {seen.mode or 'unreadable'}"
        who = ", ".join(f"{each.name} (pid {each.pid})" for each in seen.open_in)
        yield "open in", who or "no other program that can be seen"
    yield from _covered(run, seen, old)
    yield from _last(run, seen)
    yield "undo", _undo(run, seen)
    if seen.exists and not seen.damage:
        yield from _schema(run, seen, behind=behind)
    yield from _kept(run, seen)
    if seen.last:
        looks = {"changed since": "diff", "missing": "recover", "further back": "list"}
        yield "to look", ", ".join(f"{line(Action(name))} ({what})" for what, name in looks.items())


def _covered(run: Run, seen: "Status", old: str) -> "Iterator[tuple[str, str]]":
    """What of it is in a backup, and in which."""
    line, last = run.prompt.line, seen.last
    if seen.exists and not seen.lost:
        alone = ", this database alone" * bool(seen.unguarded)
        yield "covered", f"yes{alone}" if seen.covered else "no: " + line(Action("backup"))
    proved = last and (last.unproved or "verified")
    yield "backup", f"{last.path.name}, {tables.age(last.created)}, {proved}" if last else "none"
    if old:
        yield "TOO OLD", f"no verified backup of the last {old}: {line(Action('backup'))}"
    if seen.shrunk:
        yield "ALARM", f"had rows before and have none in it: {', '.join(seen.shrunk)}"
    if seen.replica:
        tells = f"not known: {seen.replica}; {line(Action('verify', '--litestream'))} tells"
        known = {True: seen.replica, False: f"NOT CURRENT: {seen.replica}", None: tells}
        yield "replica", known[seen.replicated]
    if seen.unguarded:
        yield DOORS, f"not guarded: {tables.some(seen.unguarded)}"
    yield from ((DOORS, each) for each in seen.open_doors)


def _last(run: Run, seen: "Status") -> "Iterator[tuple[str, str]]":
    """What happened last, as far as undrop did or watched it."""
    from undrop.steps import undo as core

    steps = log.steps(run.settings)
    if not steps:
        return
    step = steps[-1]
    command = f" ({step.command})" if step.command else ""
    since = ", then others' work" * isinstance(seen.undo, core.OthersWorkError)
    yield "last step", f"{step.kind}{command}, {tables.age(step.when)}{since}"


def _schema(run: Run, seen: "Status", *, behind: bool) -> "Iterator[tuple[str, str]]":
    """Which revision it is at, and which migrations come."""
    line, head = run.prompt.line, ""
    if seen.unknown:
        head = ", which the migrations here do not know: git switch to the branch that has it"
        if seen.fitting:
            head += f", or {line(Action('restore', seen.fitting))}"
    elif behind:
        names, migrate = heads_ahead(seen.heads or [], seen.revisions), line(Action("migrate"))
        head = f", the code's head is {names}: {migrate}"
    yield "revision", revision_names(seen.revisions) + head
    if behind and not seen.unknown:
        yield from (("pending" if n == 0 else "", each) for n, each in enumerate(seen.pending))


def _kept(run: Run, seen: "Status") -> "Iterator[tuple[str, str]]":
    """Where the backups are."""
    held = f", for states of {tables.size(seen.held_bytes)}" if seen.held_bytes else ""
    yield "space", f"{tables.size(seen.used)} in backups and vault{held}"
    if seen.not_in_vault:
        yield "vault", f"{len(seen.not_in_vault)} file(s) could not be kept in {seen.vault}"
    if seen.after_backup:
        yield "handed on", _handed_on(run, seen.after_backup)
