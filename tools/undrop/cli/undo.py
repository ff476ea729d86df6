"""undo, and what it would do."""

from itertools import islice
from typing import TYPE_CHECKING, Any

from undrop.cli import conflicts, elsewhere, tables, terminal
from undrop.cli.answer import Answer, Run, clients, disconnect, failure, kept, way_back
from undrop.cli.diff import change_fields, changes
from undrop.cli.steps import unknown_revisions
from undrop.errors import CheckError, UsageError
from undrop.recipes import Action
from undrop.store import log, neighbours
from undrop.store.lock import locked
from undrop.store.timeline import Timeline, command_lines, names

if TYPE_CHECKING:
    from undrop.recipes import Text
    from undrop.steps.keep import ConflictsError, Keep
    from undrop.steps.undo import Event, OthersWorkError, Undone, Work
    from undrop.store.step import Step

COLUMNS = ("WHEN", "WHAT", "ROWS", "STATE BEFORE", "")
VERBS = {"put": "row(s) back", "change": "row(s) as before", "gone": "row(s) taken away"}
OTHERS_VERBS = {"put": "row(s) put in", "change": "row(s) changed", "gone": "row(s) taken away"}
SHOWN = 3  # tables whose rows are named in a line


def undo(run: Run) -> Answer:
    """Put back the state from before the last change."""
    from undrop.steps import keep as keeping
    from undrop.steps import replica
    from undrop.steps import undo as core

    keep = _keep(run)
    if run.arguments.list:
        return _timeline(run)
    for line in elsewhere.lines(neighbours.of(run.settings)):
        run.say(line)
    live = run.settings.engine.label
    clients(run)
    with locked(run.settings, run.say) as lock:
        disconnect(run)
        try:
            done = core.undo(
                lock, whole=run.arguments.whole, keep=keep, triggers=run.arguments.triggers
            )
        except core.OthersWorkError as stopped:
            return _stopped(run, stopped)
        except keeping.ConflictsError as stopped:
            return _conflicting(run, stopped)
    target, taken_back = done.plan.target, done.plan.taken_back
    source = str(target.backup.path) if target.backup else None
    back = target.name or "no database: there was none before"
    step = taken_back[-1] if taken_back else None
    if step is None:
        back += f", of {tables.age(target.backup.created)}" if target.backup else ""
        said = f"it was lost, and no step of undrop did that; now in place: {back}"
    else:
        what = f"{names(taken_back)}{_command(taken_back)} of {tables.age(step.when)}"
        said = f"undone: {what}; now in place: {back}"
    if done.kept:
        said += ", and others' work since then"
        source = None
    result = {
        "database": live,
        "undone": step.kind if step else None,
        "at": step.at if step else None,
        "restored": source,
        "passed_over": [each.to_dict() for each in done.plan.passed_over],
        "others": _tables(done.plan.others),
        "kept": done.kept.counts if done.kept else None,
        "triggers_set_aside": done.kept.set_aside if done.kept else [],
        **kept(done.change),
    }
    strange = unknown_revisions(run.settings, target.backup)
    instead = [done.plan.instead] if done.plan.instead else []
    notes = (said, *instead, *strange, *_passed_over(done), *_others(done), *way_back(done.change))
    told = replica.afterwards(run.settings, done.change)
    return Answer(result, source or live, (*notes, *told))


def _keep(run: Run) -> "Keep | None":
    """Whether others' work stays, and what is taken where both changed it. Raises UsageError."""
    asked = run.arguments
    if asked.keep and asked.whole:
        raise UsageError(
            "--keep keeps others' work and --whole takes it back", Action("undo", "--keep")
        )
    if (asked.live or asked.before or asked.triggers) and not asked.keep:
        raise UsageError("it goes with --keep", Action("undo", "--keep"))
    if asked.live and asked.before:
        raise UsageError("it is --live or --before", Action("undo", "--keep"))
    if not asked.keep:
        return None
    return "live" if asked.live else "before" if asked.before else "ask"


def _conflicting(run: Run, stopped: "ConflictsError") -> Answer:
    """Both changed something: what, and the ways on."""
    lines = conflicts.lines(stopped.conflicts, "before", of_live=stopped.of_live)
    told = stopped.told(run.prompt.text(stopped.next_parts))
    result = {
        **failure(stopped, run.prompt),
        "exit_code": CheckError.exit_code,
        "conflicts": conflicts.fields(stopped.conflicts, of_live=stopped.of_live),
    }
    return Answer(result, notes=("\n".join(lines), told), code=CheckError.exit_code)


def _stopped(run: Run, stopped: "OthersWorkError") -> Answer:
    """Others worked since: what that was, in counts, and what to type."""
    notes: list[Text] = [stopped.told(run.prompt.text(stopped.next_parts))]
    if stopped.since and (said := _said(stopped.work)):
        notes.insert(0, f"since {stopped.since.name}: {said}")
    result = {
        **failure(stopped, run.prompt),
        "exit_code": CheckError.exit_code,
        "since": stopped.since.name if stopped.since else None,
        "others": _tables(stopped.work),
        "whole": names(stopped.plan.taken_back) if stopped.plan else None,
    }
    return Answer(result, notes=tuple(notes), code=CheckError.exit_code)


def _tables(work: "Work | None") -> list[dict[str, Any]]:
    comparison = work and work.comparison
    return [change_fields(c) for c in comparison.tables if not c.same] if comparison else []


def _said(work: "Work | None") -> str:
    """What others did, in words."""
    if work is None:
        return ""
    texts = changes(work.comparison) if work.comparison else []
    return "; ".join([*texts, *filter(None, [work.numbers])])


def _command(steps: "tuple[Step, ...]") -> str:
    command = tables.clean(command_lines(steps))
    return f" ({command})" if command else ""


def _passed_over(done: "Undone") -> tuple[str, ...]:
    return tuple(
        f"passed over: {step.kind}{_command((step,))} of {tables.age(step.when)}, "
        + ("which was not seen to end and" if not step.ended else "which")
        + " changed nothing"
        for step in done.plan.passed_over
    )


def _others(done: "Undone") -> tuple[str, ...]:
    """What others did since, and is now only in the backup of the state that was left."""
    if done.plan.others is None or done.change.backup is None:
        return ()
    what = _said(done.plan.others)
    if done.kept:
        verbs = VERBS if done.kept.of_live else OTHERS_VERBS
        did = "of the step" if done.kept.of_live else "of others' work"
        return (
            f"others' work since then is kept: {what}",
            f"{did}: {conflicts.counted(done.kept.counts, verbs)}",
            f"others were locked out {done.change.seconds:.2f} s",
            *conflicts.aside(done.kept.set_aside),
        )
    return (f"others' work since then: {what}", f"that is kept in {done.change.backup.path.name}")


def _timeline(run: Run) -> Answer:
    """What happened to the database, newest first, and what undo would do. A look."""
    from undrop.steps import undo as core

    line = Timeline(run.settings)
    present = core.look(run.settings, line)
    try:
        plan: core.Plan | None = core.planned(run.settings, line, present, whole=False)
        stopped = None
    except CheckError as error:
        plan, stopped = None, error
    left = core.pairs(line)
    most = None if run.arguments.json else terminal.at_most(run.arguments)
    told = [*islice(core.events(run.settings, left), most)]
    can = plan is not None and plan.target.can_be_put_back
    goes_back = run.prompt.line(Action("undo")) + " goes back there"
    rows = [
        _row(event, goes_back if can and plan and event.steps == plan.taken_back != () else "")
        for event in told
    ]
    name = present.name or ("no database" if present.absent else "")
    here = ("now", "you are here", "", name, "")
    others = neighbours.of(run.settings)
    result = {
        "steps": [step.to_dict() for step in log.steps(run.settings)[::-1]],
        "events": [_fields(event) for event in told],
        "undo": plan.taken_back[-1].to_dict() if plan and plan.taken_back else None,
        "restores": plan.target.name if plan else None,
        "stops": failure(stopped, run.prompt) if stopped else None,
        "elsewhere": elsewhere.fields(others),
    }
    notes: list[Text] = []
    if isinstance(stopped, core.OthersWorkError):
        notes.append(("undo stops:", stopped.what, "\n", *stopped.next_parts))
    if plan and not plan.taken_back:
        notes.append(("the database was lost:", Action("undo"), f"puts {plan.target.name} back"))
    if strangers := log.strangers(run.settings):
        notes.append(f"{len(strangers)} step(s) in the log are of another folder's database")
    notes += elsewhere.lines(others)
    if not rows:
        return Answer(result, notes=("no step has changed this database", *notes))
    shown, _ = terminal.newest(here, rows, run.arguments)
    if older := sum(1 for _ in left):  # each is looked at only when it is shown
        notes.insert(0, (f"{older} older, at most:", Action("undo", "--list", "--all")))
    return Answer(result, table=(COLUMNS, *shown), notes=tuple(notes))


def _row(event: "Event", mark: str) -> tuple[str, ...]:
    before = event.before.name or ("no database" if event.before.absent else "not held")
    if not event.steps:
        return ("", "others' work", _counts(event), before, mark)
    step = event.steps[-1]
    what = event.names + _command(event.steps)
    if not step.ended:
        what += ", not seen to end"
    elif event.same or step.phase == "failed":
        what += ", failed" if step.phase == "failed" else ", changed nothing"
    return (tables.age(step.when), what, _counts(event), before, mark)


def _counts(event: "Event") -> str:
    texts = [
        f"{name} {'-' if old is None else format(old, ',')} -> "
        f"{'-' if new is None else format(new, ',')}"
        for name, (old, new) in event.rows.items()
    ]
    more = [f"{len(texts) - SHOWN} more tables"] if len(texts) > SHOWN else []
    texts = [*texts[:SHOWN], *more, *filter(None, [event.numbers])]
    return ", ".join(texts) or ("" if event.same else "other values")


def _fields(event: "Event") -> dict[str, Any]:
    step = event.steps[-1] if event.steps else None
    return {
        "others": step is None,
        "at": step.at if step else None,
        "steps": [each.to_dict() for each in event.steps],
        "same": event.same,
        "before": event.before.name or None,
        "after": event.after.name or None,
        "rows": {name: list(pair) for name, pair in event.rows.items()},
    }
