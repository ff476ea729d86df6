"""The commands that back up or change the database."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop import settings
from undrop.cli import dependency, elsewhere, tables
from undrop.cli.answer import (
    EMPTIED,
    Answer,
    Run,
    about_to_migrate,
    clients,
    disconnect,
    fields,
    kept,
    of_migrated,
    require_replica,
    together,
    way_back,
)
from undrop.cli.commands import ACCEPT_SHRINK
from undrop.errors import UsageError
from undrop.recipes import Action, Text
from undrop.steps import backup
from undrop.store.lock import Lock, locked

A_TIME = "2026-03-07T14:15:00Z"
REPLICA = Path("litestream's replica")

if TYPE_CHECKING:
    from argparse import Namespace

    from undrop.compare.comparison import Comparison
    from undrop.settings import Settings
    from undrop.steps.migrate import Migrated
    from undrop.store.catalog import Backup


def back_up(run: Run) -> Answer:
    """Take a verified backup; ``--before`` is how just says which step comes next."""
    if run.arguments.after:
        return _step_ended(run)
    purpose = _purpose(run)
    return Answer({"backup": None}) if purpose is None else _back_up(run, purpose)


def _back_up(run: Run, purpose: backup.Purpose) -> Answer:
    engine = run.settings.engine
    nothing = Answer({"backup": None}, notes=("nothing to back up: there is no database",))
    known = (
        purpose.next_step in backup.HOOKED and not engine.in_memory
    )  # of a later end nobody tells
    if not engine.exists() and not known:
        return nothing
    with locked(run.settings, run.say) as lock:
        with backup.covered(lock, purpose) as state:
            kept = state.backup
        if known:
            from undrop.store import log

            log.begin(run.settings, purpose.next_step, state.name)
    if kept is None:
        return nothing
    result = {"backup": str(kept.path), **fields(kept)}
    if kept.is_set:
        note = f"the live database is damaged; its files are kept in {kept.path}"
        return Answer(result, notes=(note,))
    if not purpose.next_step:
        return Answer(result, str(kept.path), _alarm(kept))
    told = (f"backed up to {kept.path}", *_alarm(kept)) if state.taken else ()
    return Answer(result, notes=told)


def _purpose(run: Run) -> "backup.Purpose | None":
    """What the backup is for; None where the step that comes would not start. Raises UsageError."""
    asked = run.arguments
    words, step, accept = " ".join(asked.reason), asked.before, asked.accept_shrink
    if step in {"", ACCEPT_SHRINK}:
        # An undrop.just of before 0.3 hands on a reason and a step, either of which may be that.
        accept = ACCEPT_SHRINK in {words, step}
        words, step = "manual" if words == ACCEPT_SHRINK else words, None
    if step is None:
        return backup.Purpose(words, "", fresh=True, accept_shrink=accept)
    if step not in backup.STEPS:
        raise UsageError(f"{step!r} is not a step that a backup can precede", Action("backup"))
    if step in backup.HOOKED:
        return backup.Purpose(words, step, fresh=True)
    if words.startswith("before "):  # as well
        return backup.Purpose(words, step, proved=False)
    if not dependency.starts(step, words, lambda hint: _begins(step, run, hint)):
        return None
    return backup.Purpose(f"before {step}", step, proved=False)


def _begins(step: str, run: Run, hint: "Namespace") -> bool:
    """Whether a step with such arguments goes on to change anything. Raises UndropError."""
    asked = run._replace(arguments=hint, say=lambda _: None)  # it is said when it is its turn
    if step == "restore":
        return not isinstance(wanted(asked), Answer)
    if step == "recover":
        return bool(hint.names)
    if step == "migrate":
        from undrop.migrations import tool

        tool.refuse(run.settings, hint.words, hint.typed)
    clients(asked)
    return True


def _step_ended(run: Run) -> Answer:
    """Hold the state after a direct run of ``alembic``, ``manage.py``; nobody is told of it."""
    from undrop.steps import cover

    step = run.arguments.after
    if step not in backup.HOOKED:
        raise UsageError(f"{step!r} is not a step that is watched", Action("backup"))
    covered = cover.end(run.settings, cover.Watched(step, ""))
    return Answer({"backup": str(run.settings.backups / covered.name) if covered else None})


def _alarm(taken: "Backup") -> tuple[Text, ...]:
    if not taken.record or not taken.record.shrunk:
        return ()
    return (
        EMPTIED.format(", ".join(taken.record.shrunk)),
        (
            "`latest` passes this backup over; to get the rows back:",
            Action("restore", "latest"),
        ),
        ("if it was meant:", Action("backup", ACCEPT_SHRINK)),
    )


def forget(run: Run) -> Answer:
    """Remove a backup everywhere, on purpose."""
    from undrop.store import catalog
    from undrop.store import forget as core

    gone = catalog.named(run.settings, run.arguments.name)
    _refuse_anothers(run, gone)
    with locked(run.settings, run.say) as lock:
        done = core.forget(lock, run.arguments.name)
    folders = [str(folder) for folder in done.folders]
    still = (f"the same bytes are still in: {', '.join(done.same)}",) if done.same else ()
    result = {"forgotten": gone.path.name, "folders": folders, "same_bytes_in": done.same}
    said = f"forgotten: {gone.path.name}, from {', '.join(folders)}"
    return Answer(result, gone.path.name, (said, *still))


def pack(run: Run) -> Answer:
    """Pack all older backups now."""
    from undrop.steps import pack as core

    with locked(run.settings, run.say) as lock:
        done = core.pack(lock)
    result = {"packed": done.states, "freed": done.bytes, "not_packed": done.passed_over}
    line = f"{done.states} packed, {tables.size(done.bytes)} freed"
    left = [f"{name} stays as it is: {why}" for name, why in done.passed_over.items()]
    return Answer(result, line, tuple(left))


def _refuse_anothers(run: Run, backup: "Backup") -> None:
    """Raise UsageError for a backup of another of the project's databases."""
    if backup.record is None:
        return
    for other in settings.known(run.settings):
        if other.name != run.settings.name and backup.record.source == other.source:
            what = f"{backup.path.name} is a backup of {other.name}"
            name = Action("forget", backup.path.name)
            raise UsageError(what, name.of_database(other.name))


def restore(run: Run) -> Answer:
    """Put a backup back, or say what that would change."""
    from undrop.migrations import revisions
    from undrop.record import heads_ahead, revision_names
    from undrop.steps import replica
    from undrop.steps import restore as core

    asked = run.arguments
    run.settings.engine.session.trust_file = asked.trust
    chosen = wanted(run)
    if chosen is None:
        run.say(f"about to change {run.settings.engine.label}")
        with locked(run.settings, run.say) as lock:
            disconnect(run)
            done = replica.put_back(lock, asked.timestamp, foreign=asked.foreign)
            done = done._replace(source=REPLICA)
    elif isinstance(chosen, Answer):
        if not asked.dry_run:
            with locked(run.settings, run.say):
                pass  # what was put in place by a run that was killed then is swept up after it
        return chosen
    else:
        comparison = core.cost(run.settings, chosen, foreign=asked.foreign)
        costs = _cost(run, chosen, comparison)
        if asked.dry_run:
            return Answer(_would(run, chosen, comparison), str(chosen.path), tuple(costs))
        for line in costs:
            run.say(run.prompt.text(line))
        run.say(f"about to change {run.settings.engine.label}")
        with locked(run.settings, run.say) as lock:
            disconnect(run)
            done = core.restore(lock, chosen, foreign=asked.foreign)
    heads = revisions.heads(run.settings)
    at: Text = f"restored {done.source}: its schema is at {revision_names(done.revisions)}"
    theirs = done.revisions or not run.settings.told
    if heads and theirs and revisions.is_behind(run.settings, done.revisions):
        ahead = f"{at}; the code's head is {heads_ahead(heads, done.revisions)}:"
        at = (ahead, Action("migrate"), "brings it forward")
    result = {
        "database": run.settings.engine.label,
        "restored": str(done.source),
        "revisions": done.revisions,
        "heads": heads,
        **kept(done.change),
    }
    told = replica.afterwards(run.settings, done.change)
    return Answer(result, str(done.source), (at, *way_back(done.change), *told))


def wanted(run: Run) -> "Backup | Answer | None":
    """What a restore is to put back; None for what the replica holds.

    The answer where what ``latest`` means is in place already. Raises UsageError and CheckError
    for all that is told without reading it whole.
    """
    from undrop.steps import choose, verify
    from undrop.steps import restore as core

    asked = run.arguments
    since = asked.timestamp is not None
    if (asked.file is None) != asked.from_litestream or (since and not asked.from_litestream):
        raise UsageError("it takes FILE, or --from-litestream", Action("list"))
    clients(run)
    if since:
        _refuse_no_moment(asked.timestamp)
    if asked.from_litestream:
        return None
    is_latest = asked.file == "latest"
    chosen = _latest(run) if is_latest else choose.find(run.settings, asked.file, run.standing)
    if isinstance(chosen, Answer):
        return chosen
    chosen, told = verify.intact(run.settings, chosen)
    if told:
        run.say(told)
    if not is_latest:
        core.refuse_unfit(run.settings, chosen)
    return chosen


def _latest(run: Run) -> "Backup | Answer":
    from undrop.steps import choose
    from undrop.store import neighbours

    for line in elsewhere.lines(neighbours.of(run.settings)):
        run.say(line)
    latest = choose.latest(run.settings)
    if latest.backup is not None:
        for name, why in latest.passed_over:
            run.say(f"latest passes over {name}: {why}")
        if choose.is_elsewheres(latest.backup):
            run.say(f"latest is {latest.backup.path.name}, taken in another folder than this one")
        return latest.backup
    told: list[Text] = [f"already in place: {latest.in_place}"]
    if latest.older:
        told.append(("the one before that:", Action("restore", latest.older)))
    result = {
        "database": run.settings.engine.label,
        "restored": None,
        "in_place": latest.in_place,
        "older": latest.older or None,
    }
    path = run.settings.backups / latest.in_place
    return Answer(result, str(path), tuple(told))


def _cost(run: Run, chosen: "Backup", comparison: "Comparison | None") -> list[Text]:
    """What it takes away and brings back, by table."""
    texts: list[Text] = [f"{chosen.path.name} is of {tables.age(chosen.created)}"]
    if comparison is not None:
        for change in comparison.tables:
            counts = {"gone": change.added, "back": change.gone, "as before": change.changed}
            said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
            if not change.name:
                said = f"gone, with {change.rows_after:,} row(s)"
            elif not change.now:
                said = f"back, with {change.rows_before:,} row(s)"
            if said:
                texts.append(f"  {change.name or change.now}: {said}")
        if comparison.same:
            texts.append("  nothing in its tables differs from the present state")
    texts += unknown_revisions(run.settings, chosen)
    return texts


def unknown_revisions(settings: "Settings", backup: "Backup | None") -> list[str]:
    """Where a backup's revisions are unknown to the migrations here: that they are."""
    from undrop.steps import choose

    strange = choose.unknown_revisions(settings, backup) if backup else []
    names = ", ".join(strange)
    return [f"its revision {names} is unknown to the migrations here: git switch to theirs"] * bool(
        strange
    )


def _would(run: Run, chosen: "Backup", comparison: "Comparison | None") -> dict[str, Any]:
    from undrop.cli.diff import change_fields

    changed = [change_fields(c) for c in comparison.tables if not c.same] if comparison else None
    return {
        "database": run.settings.engine.label,
        "would_restore": str(chosen.path),
        "created": chosen.created.isoformat(),
        "tables": changed,
    }


def _refuse_no_moment(timestamp: str) -> None:
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            f"{timestamp!r} is no time with a time zone",
            Action("restore", "--from-litestream", "--timestamp", A_TIME, typed=False),
        )


def reset_db(run: Run) -> Answer:
    """Make the live database an empty one at head."""
    from undrop.migrations import tool
    from undrop.steps import migrate as core

    settings = run.settings
    clients(run)
    if len(settings.databases) == 1:
        run.say(f"about to change {settings.engine.label}")
    with locked(settings, run.say) as lock, tool.to_newest(settings) as migrations:
        runs, lent = together(run, migrations)
        if len(settings.databases) > 1:
            run.say(about_to_migrate(runs))
        for each in runs:
            require_replica(each)
        disconnect(run)
        locks = [lock, *(Lock(each.settings) for each in runs[1:])]
        done = core.reset_all(locks, migrations, lent)
    answers = [_emptied(*each) for each in zip(runs, done, strict=True)]
    return of_migrated(runs, answers, [each.moved for each in done])


def _emptied(run: Run, done: "Migrated") -> Answer:
    from undrop.record import revision_names
    from undrop.steps import replica

    live, reached = run.settings.engine.label, done.moved.revisions_after
    result = {"database": live, "to": reached, **kept(done.change)}
    note = f"an empty database at {revision_names(reached) if reached else 'the newest schema'}"
    told = replica.afterwards(run.settings, done.change)
    return Answer(result, live, (note, *way_back(done.change), *told))


def nuke_db(run: Run) -> Answer:
    """Remove the database altogether."""
    from undrop.steps import replica
    from undrop.steps import restore as core

    live = run.settings.engine.label
    clients(run)
    run.say(f"about to remove {live}")
    if line := replica.before_removal(run.settings):
        run.say(line)
    with locked(run.settings, run.say) as lock:
        disconnect(run)
        change = core.nuke(lock)
    result = {"database": live, **kept(change)}
    if change.backup is None:
        return Answer(result, live, ("nothing to remove: there was no database",))
    return Answer(result, live, ("the database is gone", *way_back(change)))
