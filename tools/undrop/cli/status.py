"""status: one screen, or one JSON object for prompts and scripts."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from undrop.cli import elsewhere, tables
from undrop.cli.answer import Answer, Run, of_all
from undrop.errors import CheckError
from undrop.migrations import revisions
from undrop.recipes import Action
from undrop.record import heads_ahead, revision_names
from undrop.store import neighbours
from undrop.store.timeline import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.steps.status import Status
    from undrop.store.handed_on import Standing


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
    lines = [f"{name:<10} {text}" for name, text in _lines(run, seen, behind=behind)]
    if too_old:
        line = run.prompt.line(Action("backup"))
        lines.append(f"TOO OLD    no verified backup of the last {limit.text}: {line}")
    lines += [f"{'elsewhere':<10} {text}" for text in elsewhere.lines(others)]
    if seen.unguarded:
        lines.append(f"not guarded: {tables.some(seen.unguarded)}")
    lines += seen.open_doors
    text = "\n".join(map(tables.clean, lines))
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


def _lines(run: Run, seen: "Status", *, behind: bool) -> "Iterator[tuple[str, str]]":
    settings, line = run.settings, run.prompt.line
    yield "database", settings.engine.label
    if seen.exists:
        yield "size", f"{tables.size(seen.bytes)}, {seen.mode or 'unreadable'}"
        if seen.damage:
            yield "damaged", seen.damage
        who = ", ".join(f"{each.name} (pid {each.pid})" for each in seen.open_in)
        yield "open in", who or "no other program that can be seen"
        head = ""
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
    else:
        yield "", "there is none"
    last = seen.last
    proved = last and (last.unproved or "verified")
    yield "backup", f"{last.path.name}, {tables.age(last.created)}, {proved}" if last else "none"
    if seen.shrunk:
        yield "ALARM", f"had rows before and have none in it: {', '.join(seen.shrunk)}"
    yield from _kept(run, seen)
    yield "undo", _undo(run, seen)
    if seen.replica:
        tells = f"not known: {seen.replica}; {line(Action('verify', '--litestream'))} tells"
        known = {True: seen.replica, False: f"NOT CURRENT: {seen.replica}", None: tells}
        yield "replica", known[seen.replicated]
    if seen.lost:
        back = Action("undo") if seen.undo else Action("restore", "latest")
        yield "LOST", f"no step of undrop did that; to bring it back: {line(back)}"
    elif seen.exists:
        alone = ", this database alone" * bool(seen.unguarded)
        yield "covered", f"yes{alone}" if seen.covered else "no: " + line(Action("backup"))


def _kept(run: Run, seen: "Status") -> "Iterator[tuple[str, str]]":
    """Where the backups are."""
    held = f", for states of {tables.size(seen.held_bytes)}" if seen.held_bytes else ""
    yield "space", f"{tables.size(seen.used)} in backups and vault{held}"
    if seen.not_in_vault:
        yield "vault", f"{len(seen.not_in_vault)} file(s) could not be kept in {seen.vault}"
    if seen.after_backup:
        yield "handed on", _handed_on(run, seen.after_backup)
