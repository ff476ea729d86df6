"""undo, and what it would do."""

from typing import TYPE_CHECKING

from undrop.cli import tables
from undrop.cli.answer import Answer, Run, disconnect, kept, way_back
from undrop.recipes import Action
from undrop.store import log
from undrop.store.lock import locked

if TYPE_CHECKING:
    from undrop.steps.undo import Undone

COLUMNS = ("WHEN", "STEP", "ENDED", "STATE BEFORE", "")
ENDED = {
    "done": "done",
    "same": "changed nothing",
    "failed": "failed, changed nothing",
    "open": "not seen to end",
}


def undo(run: Run) -> Answer:
    """Put back the state from before the last step that changed something."""
    from undrop.steps import undo as core

    if run.arguments.list:
        return _chain(run)
    live = run.settings.engine.label
    run.say(f"about to change {live}")
    with locked(run.settings, run.say) as lock:
        disconnect(run)
        done = core.undo(lock)
    source = str(done.source) if done.source else None
    back = done.source.name if done.source else "no database: there was none before"
    said = f"undone: {done.step.kind} of {tables.age(done.step.when)}; now in place: {back}"
    result = {
        "database": live,
        "undone": done.step.kind,
        "at": done.step.at,
        "restored": source,
        "left": {each.name: [each.gone, each.changed] for each in done.left},
        **kept(done.change),
    }
    return Answer(result, source or live, (said, *_left(done), *way_back(done.change)))


def _left(done: "Undone") -> tuple[str, ...]:
    """What came after the step and is now only in the backup of the state that was left."""
    texts = []
    for change in done.left:
        counts = {"rows added": change.gone, "changed": change.changed}
        said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        columns = f"{', '.join(change.gone_columns)} added" if change.gone_columns else ""
        texts.append(f"{change.name}: {', '.join(filter(None, (said, columns)))} since")
    if not texts or done.change.backup is None:
        return ()
    return (*texts, f"all of that is kept in {done.change.backup.path.name}")


def _chain(run: Run) -> Answer:
    """Every step, newest first, and which one undo takes back."""
    from undrop.steps import status

    with locked(run.settings, run.say) as lock:
        first = status.look(run.settings, lock).undo
        chain = log.chain(run.settings)[::-1]
    goes_back = run.prompt.line(Action("undo")) + " goes back there"
    rows = tuple(
        (
            tables.age(step.when),
            step.kind,
            ENDED[step.phase],
            step.state_before or "no database",
            goes_back if step == first else "",
        )
        for step in chain
    )
    result = {
        "steps": [step.to_dict() for step in chain],
        "undo": first.to_dict() if first else None,
    }
    if not rows:
        return Answer(result, notes=("no step has changed this database",))
    return Answer(result, table=(COLUMNS, *rows))
