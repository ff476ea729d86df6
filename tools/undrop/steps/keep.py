"""Undo that keeps what others did since: the step alone is taken back, by a merge of three states.

The base is the state after the step. Where the step left the schema alone, what it did is taken
back in the live database, row by row; where it changed that, others' work is done to the state
before it.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

from undrop.compare import merge, three_way
from undrop.compare.merge import Conflict, Sides, Sources
from undrop.errors import CheckError
from undrop.recipes import Action
from undrop.steps import backup, guarded, verify
from undrop.store import unpacked
from undrop.store.timeline import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.comparison import Comparison
    from undrop.compare.merge import Merge, Prefer
    from undrop.recipes import Part
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.step import Step
    from undrop.store.timeline import Moment

Keep = Literal["ask", "live", "before"]
"""What is taken where both the step and others changed it; ``ask``: nothing, and undo stops."""
SCHEMA = "the step and others both changed the schema"
REST = "grants, comments or the like"
"""What definitions may differ in that no comparison names."""


class Between(NamedTuple):
    """What is taken back."""

    before: "Moment"
    """The state before it, which comes back but for others' work."""
    after: "Moment"
    """The state that it led to."""
    steps: "tuple[Step, ...]"
    """What led there."""


class Kept(NamedTuple):
    """What became of others' work."""

    counts: dict[str, dict[str, int]]
    """Rows that were ``put`` in, to ``change`` and ``gone``, by table."""
    of_live: bool
    """Whether those are changes of the live database; else of the state before the step."""
    set_aside: list[str]
    """Triggers that did not run."""


class ConflictsError(CheckError):
    """Both sides changed a thing, and not alike: nobody can know which is meant."""

    def __init__(
        self, conflicts: list[Conflict], between: Between, *, of_live: bool, asked: Keep
    ) -> None:
        before = between.before.name
        ways: list[Part] = []
        if asked == "ask":
            ways += [
                Action("undo", "--keep", "--live"),
                " leaves what live holds there\n",
                Action("undo", "--keep", "--before"),
                f" takes what was before {names(between.steps)} there\n",
            ]
        ways += [Action("undo", "--whole"), f" takes all of it back, to {before}"]
        taken = (each for each in conflicts if each.why == merge.TAKEN and len(each.key) == 1)
        numbers = ((each.table, key) for each in taken for key in each.key.values())
        again = next((each for each in numbers if isinstance(each[1], int)), None)
        if again and of_live:
            table, number = again
            line = Action(
                "recover", "--from", before, f"rows {table}", f"--key={number}", "--new-keys"
            )
            ways += ["\n", line, " brings such a row back under another key"]
        super().__init__(
            f"{len(conflicts):,} conflict(s) between {names(between.steps)} and others' work",
            *ways,
        )
        self.conflicts, self.of_live, self.asked = conflicts, of_live, asked


def keep(
    attempt: guarded.Attempt, between: Between, asked: Keep, *, triggers: bool
) -> "tuple[Backup, str, Kept, guarded.Outcome]":
    """Take back that, and nothing else; with all ``triggers``, or those alone that keep full text.

    Returns what holds the state before it, and what is said where that is the second of a backup's
    two files. Raises ConflictsError, CheckError, UndropError with live as it was.
    """
    settings, state = attempt.lock.settings, attempt.state
    before, instead = _whole(settings, between, between.before)
    after, _ = _whole(settings, between, between.after)
    if state.kind != "database" or state.backup is None:
        raise _cannot(between, "there is no whole live database")
    schema_before, schema_after, schema_now = (
        settings.engine.definitions(unpacked.plain(settings, each), each.record).schema
        for each in (before, after, state.backup)
    )
    file_before, file_after = (unpacked.plain(settings, each) for each in (before, after))
    of_live = schema_before == schema_after
    others = not of_live and schema_now != schema_after
    sources = (
        Sources(None, file_after, file_before)
        if of_live
        else Sources(file_before, file_after, None)
    )
    prefer: Prefer = None
    if asked != "ask":
        prefer = "ours" if (asked == "live") == of_live else "theirs"

    def work_out(sides: Sides) -> "Merge":
        done = three_way.work_out(sides, prefer)
        if others and prefer != "ours":
            told = [*_of_schema(sides.to_theirs)]
            done.conflicts.extend(told or [Conflict(REST, {}, SCHEMA)])
        return done

    with settings.engine.merge(state, sources, work_out, triggers=triggers) as merged:
        if merged.conflicts and prefer != "ours":
            raise ConflictsError(merged.conflicts, between, of_live=of_live, asked=asked)
        if not of_live:
            modes = (step.mode_before for step in between.steps)
            merged.journal_mode = next(filter(None, modes), "")
        filled = sorted(merged.facts.filled)
        seconds = attempt.put_in_place(merged)
        held = backup.after(attempt.lock, state, merged, filled)
        outcome = guarded.Outcome(seconds, filled, held, note=merged.note)
        return before, instead, Kept(merged.counts, of_live, merged.set_aside), outcome


def _whole(settings: "Settings", between: Between, moment: "Moment") -> "tuple[Backup, str]":
    """The backup that holds a state, and what is said where that is the second of its files."""
    if moment.backup is None or not moment.can_be_put_back:
        raise _cannot(between, "the state before it, or after it, is held by no whole backup")
    return verify.whole(settings, moment.backup)


def _cannot(between: Between, why: str) -> CheckError:
    return CheckError(
        f"others' work cannot be kept when {names(between.steps)} is taken back: {why}",
        Action("undo", "--whole"),
        "takes both back",
    )


def _of_schema(comparison: "Comparison") -> "Iterator[Conflict]":
    """What others changed of the schema, where the step changed it too."""
    for part in (*comparison.parts_gone, *comparison.parts_new):
        yield Conflict(f"{part.kind} {part.name}", {}, SCHEMA)
    for name in comparison.redefined:
        yield Conflict(name, {}, SCHEMA)
    for change in comparison.tables:
        if change.name and not change.now:
            yield Conflict(f"table {change.name}", {}, SCHEMA)
        for column in (*change.gone_columns, *change.new_columns):
            yield Conflict(change.now or change.name, {}, SCHEMA, column)
        for column, _ in change.renamed:
            yield Conflict(change.name, {}, SCHEMA, column)
