"""What log, find and history share: values, where a state came from, what was passed over."""

import json
from typing import TYPE_CHECKING, Any

from undrop.compare.rows import short
from undrop.steps.undo import DAMAGED, EMPTY
from undrop.store.timeline import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undrop.recipes import Action, Prompt
    from undrop.steps.bring_back import Back
    from undrop.store.step import Step
    from undrop.store.timeline import Moment

SHOWN = 3  # backups that were passed over, and values of a row, that are named
LONG = 10_000  # characters of a value in JSON


def value(content: object) -> str:
    """A value for people: a text in quotation marks, in one line."""
    if content is None:
        return "NULL"
    if not isinstance(content, str):
        return str(short(content))
    said = str(short(content))
    text, _, length = said.rpartition(" (") if said != content else (content, "", "")
    return quoted(text) + (f" ({length}" if length else "")


def quoted(text: str) -> str:
    """A text in quotation marks; a line's end in it is told from a blank."""
    return json.dumps(text, ensure_ascii=False)


def row(values: "Mapping[str, object]", most: int = SHOWN) -> str:
    """Some of a row, for people."""
    shown = [f"{name} {value(content)}" for name, content in [*values.items()][:most]]
    return ", ".join(shown) + ", …" * (len(values) > most)


def fields(values: "Mapping[str, object] | None") -> dict[str, object] | None:
    """A row in JSON."""
    return None if values is None else {n: short(content, LONG) for n, content in values.items()}


def by(steps: "Sequence[Step]", before: object) -> str:
    """Whose doing a state is, in words; None ``before`` it is the first that is known."""
    return names(tuple(steps)) or ("seen first" if before is None else "others' work")


def lacking(moment: "Moment") -> str:
    """What of a whole database is not there, in words; empty where it is one."""
    if moment.absent:
        return "no database"
    return {EMPTY: "no table in it", DAMAGED: "damaged"}.get(moment.content, "")


def searched(states: int, no_live: str) -> str:
    """What was looked at, for people."""
    backups = states if no_live else states - 1
    where = f"{backups:,} state(s) in backups"
    return where if no_live else f"live and {where}"


def notes(passed_over: "Mapping[str, str]", no_live: str) -> list[str]:
    """What was not looked at, and why."""
    told = [f"{no_live}: the backups alone were looked at"] if no_live else []
    names = [*passed_over][-SHOWN:][::-1]
    told += [f"passed over: {name}: {passed_over[name]}" for name in names]
    more = len(passed_over) - len(names)
    return [*told, f"passed over: {more} more"] if more else told


def back(brought: "Back | None") -> dict[str, Any] | None:
    """What can be brought back, in JSON."""
    if brought is None:
        return None
    return {
        "backup": brought.backup,
        "names": list(brought.names),
        "keys": [fields(key) for key in brought.keys],
        "overwrite": brought.overwrite,
    }


def action(prompt: "Prompt", following: "Action | None") -> "list[dict[str, Any]]":
    """What to do next, in JSON."""
    return prompt.actions([following] if following else [])
