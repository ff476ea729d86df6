"""The commands that back up or change the database."""

from typing import TYPE_CHECKING

from undrop import backup, catalog, turn
from undrop.cli.answer import Answer, Run, fields, revision_names
from undrop.errors import UsageError

ACCEPT_SHRINK = "--accept-shrink"

if TYPE_CHECKING:
    from undrop.catalog import Backup
    from undrop.step import Change


def back_up(run: Run) -> Answer:
    """Take a verified backup; ``--before`` is how just says which step comes next."""
    reason, before, accept = run.arguments.reason, run.arguments.before, False
    if ACCEPT_SHRINK in {reason, before}:  # just passes its two arguments on as they are
        accept = True
        reason = "manual" if reason == ACCEPT_SHRINK else reason
        before = "" if before == ACCEPT_SHRINK else before
    if before not in backup.STEPS:
        raise UsageError(
            f"{before!r} is not a step that a backup can precede",
            'just backup "the whole reason in quotes"',
        )
    if not backup.exists(run.settings):
        return Answer({"backup": None}, notes=("nothing to back up: there is no database",))
    with turn.take(run.settings, run.say):
        purpose = backup.Purpose(reason, before, accept_shrink=accept)
        taken = backup.take(run.settings, purpose, run.bar)
    if taken is None:  # somebody removed it in this very moment
        return Answer({"backup": None}, notes=("nothing to back up: there is no database",))
    result = {"backup": str(taken.path), **fields(taken)}
    if taken.is_set:
        note = f"the live database is damaged; its files are kept in {taken.path}"
        return Answer(result, notes=(note,))
    notes = _alarm(taken)
    if before:
        return Answer(result, notes=(f"backed up to {taken.path}", *notes))
    return Answer(result, str(taken.path), notes)


def _alarm(taken: "Backup") -> tuple[str, ...]:
    if not taken.record or not taken.record.shrunk:
        return ()
    return (
        f"WARNING: had rows before and have none now: {', '.join(taken.record.shrunk)}",
        "`latest` passes this backup over; to get the rows back: just restore latest",
        f"if it was meant: just backup {ACCEPT_SHRINK}",
    )


def forget(run: Run) -> Answer:
    """Remove a backup everywhere, on purpose."""
    with turn.take(run.settings, run.say):
        gone = catalog.named(run.settings, run.arguments.name)
        same = catalog.forget(run.settings, run.arguments.name)
    still = (f"the same bytes are still in: {', '.join(same)}",) if same else ()
    result = {"forgotten": gone.path.name, "same_bytes_in": same}
    return Answer(result, gone.path.name, (f"forgotten: {gone.path.name}", *still))


def restore(run: Run) -> Answer:
    """Put a backup back."""
    from undrop import restore as core
    from undrop import schema

    run.say(f"about to change {run.settings.live}")
    with turn.take(run.settings, run.say):
        done = core.restore(run.settings, run.arguments.file, run.standing, run.bar)
    heads = schema.heads(run.settings)
    at = f"restored {done.source}: its schema is at {revision_names(done.revisions)}"
    if heads and done.revisions != heads:
        at += f"; the code's head is {revision_names(heads)}: `just migrate` brings it forward"
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
    with turn.take(run.settings, run.say):
        moved, change = core.migrate(run.settings, run.arguments.revision, run.bar)
    line = f"{revision_names(moved.before)} -> {revision_names(moved.after)}"
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
    with turn.take(run.settings, run.say):
        moved, change = core.reset(run.settings, run.bar)
    result = {"database": str(live), "to": moved.after, **_kept(change)}
    note = f"an empty database at {revision_names(moved.after)}"
    return Answer(result, str(live), (note, _way_back(change)))


def nuke_db(run: Run) -> Answer:
    """Remove the database altogether."""
    from undrop import restore as core

    live = run.settings.live
    run.say(f"about to remove {live}")
    with turn.take(run.settings, run.say):
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
