"""undo, and what it would do."""

from typing import TYPE_CHECKING, Any

from undrop.cli import elsewhere, tables
from undrop.cli.answer import Answer, Run, clients, disconnect, failure, kept, way_back
from undrop.cli.diff import change_fields, changes
from undrop.cli.steps import unknown_revisions
from undrop.errors import CheckError
from undrop.recipes import Action
from undrop.store import log, neighbours
from undrop.store.lock import locked
from undrop.store.timeline import Timeline

if TYPE_CHECKING:
    from undrop.recipes import Text
    from undrop.steps.undo import Event, OthersWorkError, Undone, Work
    from undrop.store.log import Step

COLUMNS = ("WHEN", "WHAT", "ROWS", "STATE BEFORE", "")
SHOWN = 3  # tables whose rows are named in a line


def undo(run: Run) -> Answer:
    """Put back the state from before the last change."""
    from undrop.steps import replica
    from undrop.steps import undo as core

    if run.arguments.list:
        return _timeline(run)
    for line in elsewhere.lines(neighbours.of(run.settings)):
        run.say(line)
    live = run.settings.engine.label
    clients(run)
    with locked(run.settings, run.say) as lock:
        disconnect(run)
        try:
            done = core.undo(lock, whole=run.arguments.whole)
        except core.OthersWorkError as stopped:
            return _stopped(run, stopped)
    target, taken_back = done.plan.target, done.plan.taken_back
    source = str(target.backup.path) if target.backup else None
    back = target.name or "no database: there was none before"
    step = taken_back[-1] if taken_back else None
    if step is None:
        back += f", of {tables.age(target.backup.created)}" if target.backup else ""
        said = f"it was lost, and no step of undrop did that; now in place: {back}"
    else:
        names = core.names(taken_back) + _command(step)
        said = f"undone: {names} of {tables.age(step.when)}; now in place: {back}"
    result = {
        "database": live,
        "undone": step.kind if step else None,
        "at": step.at if step else None,
        "restored": source,
        "passed_over": [each.to_dict() for each in done.plan.passed_over],
        "others": _tables(done.plan.others),
        **kept(done.change),
    }
    strange = unknown_revisions(run.settings, target.backup)
    instead = [done.plan.instead] if done.plan.instead else []
    notes = (said, *instead, *strange, *_passed_over(done), *_others(done), *way_back(done.change))
    told = replica.afterwards(run.settings, done.change)
    return Answer(result, source or live, (*notes, *told))


def _stopped(run: Run, stopped: "OthersWorkError") -> Answer:
    """Others worked since: what that was, in counts, and what to type."""
    from undrop.steps import undo as core

    notes: list[Text] = [stopped.told(run.prompt.text(stopped.next_parts))]
    if stopped.since and (said := _said(stopped.work)):
        notes.insert(0, f"since {stopped.since.name}: {said}")
    result = {
        **failure(stopped, run.prompt),
        "exit_code": CheckError.exit_code,
        "since": stopped.since.name if stopped.since else None,
        "others": _tables(stopped.work),
        "whole": core.names(stopped.plan.taken_back) if stopped.plan else None,
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


def _command(step: "Step") -> str:
    return f" ({tables.clean(step.command)})" if step.command else ""


def _passed_over(done: "Undone") -> tuple[str, ...]:
    return tuple(
        f"passed over: {step.kind}{_command(step)} of {tables.age(step.when)}, "
        + ("which was not seen to end and" if not step.ended else "which")
        + " changed nothing"
        for step in done.plan.passed_over
    )


def _others(done: "Undone") -> tuple[str, ...]:
    """What others did since, and is now only in the backup of the state that was left."""
    if done.plan.others is None or done.change.backup is None:
        return ()
    what = _said(done.plan.others)
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
    told = core.events(run.settings, line)
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
    return Answer(result, table=(COLUMNS, here, *rows), notes=tuple(notes))


def _row(event: "Event", mark: str) -> tuple[str, ...]:
    before = event.before.name or ("no database" if event.before.absent else "not held")
    if not event.steps:
        return ("", "others' work", _counts(event), before, mark)
    step = event.steps[-1]
    what = event.names + _command(step)
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
