"""find: where a text is."""

from typing import TYPE_CHECKING

from undrop.cli import states, tables
from undrop.cli.answer import Answer, Run
from undrop.compare.structure import fold
from undrop.errors import CheckError
from undrop.recipes import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.search import Hit, Hits
    from undrop.recipes import Text
    from undrop.steps.find import Finding

COLUMNS = ("TABLE", "COLUMN", "ROWS", "KEY", "VALUE")
SAMPLES = 3  # rows of a column that people are shown
AROUND = 20  # characters before the text that they are shown
WIDTH = 60


def find(run: Run) -> Answer:
    """Where TEXT is, in the newest state that has it."""
    from undrop.steps import find as core

    finding = core.find(run.settings, " ".join(run.arguments.text))
    searched, moment = finding.searched, finding.moment
    hits = searched.hits if searched else []
    following = _following(finding)
    result = {
        "text": finding.text,
        "state": (moment.name or "live") if moment else None,
        "in_live": finding.in_live,
        "hits": [_fields(each) for each in hits],
        "back": states.back(finding.back),
        "next_actions": states.action(run.prompt, following),
        "searched": finding.states,
        "unread": searched.unread if searched else [],
        "passed_over": finding.passed_over,
        "no_live": finding.no_live,
    }
    notes: list[Text] = [*states.notes(finding.passed_over, finding.no_live)]
    if searched and searched.unread:
        notes.append(
            f"not searched, since SQLite here cannot read it: {', '.join(searched.unread)}"
        )
    if moment is None:
        where = states.searched(finding.states, finding.no_live)
        notes.insert(0, f"nothing holds {states.value(finding.text)}: searched {where}")
        return Answer(result, notes=tuple(notes), code=CheckError.exit_code)
    where = "live holds it"
    if moment.backup:
        where = f"in {moment.name}, of {tables.age(moment.backup.created)}"
        where += "; live does not hold it any more" if finding.in_live is False else ""
    notes.append(where)
    if following:
        what = "to bring it back:" if finding.back else "the life of the first row:"
        notes.append((what, following))
    rows = tuple(line for each in hits for line in _rows(each, finding.text))
    return Answer(result, table=(COLUMNS, *rows), notes=tuple(notes))


def _following(finding: "Finding") -> Action | None:
    """The line that brings it back, else the one that shows what became of the first row."""
    if finding.back:
        return finding.back.action
    if finding.searched is None or not finding.searched.hits:
        return None
    first = finding.searched.hits[0]
    key = first.samples[0].key
    if not key or not all(type(value) in {int, str} for value in key.values()):
        return None
    return Action("log", first.table, *map(str, key.values()))


def _rows(hits: "Hits", text: str) -> "Iterator[tuple[str, ...]]":
    for number, hit in enumerate(hits.samples[:SAMPLES]):
        column = (hits.table, hits.column, f"{hits.rows:,}") if number == 0 else ("", "", "")
        key = ", ".join(f"{name} {states.value(value)}" for name, value in hit.key.items())
        yield (*column, key, _around(hit, text))


def _around(hit: "Hit", text: str) -> str:
    """What is around the text."""
    start = max(0, fold(hit.value).find(fold(text)) - AROUND)
    shown = hit.value[start : start + max(WIDTH, AROUND + len(text[:WIDTH]))]
    more = "…" * (start + len(shown) < len(hit.value))
    return states.quoted(f"{'…' * bool(start)}{shown}{more}")


def _fields(hits: "Hits") -> dict[str, object]:
    rows = [{"key": states.fields(hit.key), "value": hit.value} for hit in hits.samples]
    return {"table": hits.table, "column": hits.column, "rows": hits.rows, "samples": rows}
