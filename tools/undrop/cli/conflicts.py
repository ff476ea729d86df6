"""Conflicts and counts of a merge, in words and in JSON."""

import math
from typing import TYPE_CHECKING, Any

from undrop.cli import tables
from undrop.compare import merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from undrop.compare.merge import Conflict

SAMPLES = 3
LONG = 40  # characters of a value that are shown


def lines(conflicts: "list[Conflict]", other: str, *, of_live: bool) -> "Iterator[str]":
    """The first of each table and column; ``other`` is what the other state is called.

    ``of_live``: ours is live.
    """
    groups: dict[tuple[str, str, str], list[Conflict]] = {}
    for conflict in conflicts:
        groups.setdefault((conflict.table, conflict.column, conflict.why), []).append(conflict)
    for (table, column, why), group in groups.items():
        name = f"{table}.{column}" if column else table
        yield f"{name}: {why}" + (f" ({len(group):,} rows)" if len(group) > 1 else "")
        for conflict in group[:SAMPLES]:
            if conflict.key:
                yield f"  {_key(conflict)}{_values(conflict, other, of_live=of_live)}"
        if len(group) > SAMPLES:
            yield f"  and {len(group) - SAMPLES:,} more: --json has all of them"


def _key(conflict: "Conflict") -> str:
    return ", ".join(f"{name} {shown(value)}" for name, value in conflict.key.items())


def _values(conflict: "Conflict", other: str, *, of_live: bool) -> str:
    has = [
        f"{name} has {_row(values)}"
        for name, values in zip(("live", other), sides(conflict, of_live=of_live), strict=True)
        if isinstance(values, dict)
    ]
    if not conflict.column:
        return f": {'; '.join(has)}" if has else ""
    live, theirs = sides(conflict, of_live=of_live)
    if conflict.why == merge.NO_PLACE:
        return f": {shown(conflict.theirs)}"
    return f": live has {shown(live)}, {other} has {shown(theirs)}"


def _row(values: "dict[str, object]") -> str:
    texts = [f"{name} {shown(value)}" for name, value in values.items()]
    return ", ".join([*texts[:SAMPLES], *["…"] * (len(texts) > SAMPLES)])


def sides(conflict: "Conflict", *, of_live: bool) -> tuple[object, object]:
    """Live's value, and the other one."""
    both = (conflict.ours, conflict.theirs)
    return both if of_live else (both[1], both[0])


def shown(value: object) -> str:
    """A value for people, in one short line."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        text = f"x'{value[: LONG // 2].hex()}'"
        return text if len(value) <= LONG // 2 else f"{text}… ({len(value):,} bytes)"
    if isinstance(value, str):
        text = tables.clean(value)
        return repr(text) if len(text) <= LONG else f"{text[:LONG]!r}… ({len(text):,} characters)"
    return str(value)


def plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value


def fields(conflicts: "Iterable[Conflict]", *, of_live: bool) -> list[dict[str, Any]]:
    """All of them in JSON."""
    listed = []
    for conflict in conflicts:
        live, other = sides(conflict, of_live=of_live)
        listed.append(
            {
                "table": conflict.table,
                "column": conflict.column or None,
                "key": {name: plain(value) for name, value in conflict.key.items()},
                "why": conflict.why,
                "live": plain(live),
                "other": plain(other),
            }
        )
    return listed


def counted(counts: "dict[str, dict[str, int]]", verbs: "dict[str, str]") -> str:
    """What was done, by table, in words."""
    texts = []
    for table, numbers in sorted(counts.items()):
        said = ", ".join(f"{count:,} {verbs[does]}" for does, count in numbers.items() if count)
        if said:
            texts.append(f"{table}: {said}")
    return "; ".join(texts) or "no row"


def aside(names: "list[str]") -> tuple[str, ...]:
    """That triggers did not run, where any did not."""
    if not names:
        return ()
    return (f"set aside meanwhile, and back as they were: trigger {', '.join(names)}",)
