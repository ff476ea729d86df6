"""thin: what the rules no longer keep, what each would free; with --yes it goes."""

from typing import TYPE_CHECKING

from undrop.cli import tables
from undrop.cli.answer import Answer, Run, of_all
from undrop.recipes import Action, Setting
from undrop.store.lock import locked

if TYPE_CHECKING:
    from undrop.recipes import Text
    from undrop.steps.thin import Going

COLUMNS = ("AGE", "FREES", "TAKEN FOR", "REASON", "NAME")
TAKEN_FOR = {"agent": "an agent's call", "automatic": "a step", "own": "its own sake"}
TAKEN_FOR |= {"gone": "not known: no record"}
RULES = Setting('keep = {agent = "7d", automatic = "30 daily, 12 monthly"}')


def thin(run: Run) -> Answer:
    """Say what would go, or with ``--yes`` let it go."""
    return of_all(run, _thin)


def _thin(run: Run) -> Answer:
    from undrop.steps import thin as core

    settings, names = run.settings, run.arguments.names
    if run.arguments.yes:
        with locked(settings, run.say) as lock:
            going = core.thin(lock, names)
    else:
        going = core.planned(settings, names)
    frees = sum(each.frees for each in going)
    result = {
        "gone": run.arguments.yes,
        "backups": [
            {
                "path": str(each.backup.path),
                "created": each.backup.created.isoformat(),
                "taken_for": each.kind,
                "frees": each.frees,
            }
            for each in going
        ],
        "frees": frees,
    }
    rows = (COLUMNS, *map(_row, going)) if going else ()
    return Answer(result, notes=_notes(run, len(going), tables.size(frees)), table=rows)


def _notes(run: Run, count: int, frees: str) -> "tuple[Text, ...]":
    names = run.arguments.names
    if not count and not run.settings.keep and not names:
        return (("every backup is kept; to change that,", RULES),)
    if not count:
        return ("nothing is left that would go",)
    if run.arguments.yes:
        return (f"{count:,} backup(s) gone, {frees} free",)
    again = Action("thin", *names, "--yes")
    return ((f"{count:,} backup(s) would go and free {frees}; to do that:", again),)


def _row(going: "Going") -> tuple[str, ...]:
    backup = going.backup
    return (
        tables.age(backup.created),
        tables.size(going.frees),
        TAKEN_FOR[going.kind],
        backup.record.reason if backup.record else "",
        backup.path.name,
    )
