"""What a migration takes away: the judgement on a comparison, and what was accepted."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.compare import guarantees
from undrop.compare.comparison import (
    MISMATCH,
    ColumnChange,
    Comparison,
    FullText,
    Sample,
    TableChange,
)
from undrop.compare.structure import fold
from undrop.errors import CheckError
from undrop.recipes import Action
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from undrop.compare.structure import Table
    from undrop.values import Orphans


class Loss(NamedTuple):
    """One thing that would be gone."""

    name: str
    """As ``accepts_loss`` takes it: ``items.note``, ``rows items``, ``counter items``…"""
    what: str
    lost: int
    """Rows, values or numbers of a counter; 1 for an index, a trigger or a view."""
    of: int
    """Rows there were; 1 likewise."""
    samples: tuple[Sample, ...] = ()
    also: str = ""
    """The name by what its table or column is called afterwards."""


class Report(NamedTuple):
    """What a migration does to the content."""

    losses: list[Loss]
    warnings: list[str]
    """What no longer holds, or is done another way: nothing is lost yet."""
    changes: list[str]
    """What else changed, with nothing lost by it."""
    tables: list[TableChange]


class LossError(CheckError):
    """A migration would lose what nobody said it may."""

    def __init__(
        self,
        reports: list[Report],
        remaining: list[list[Loss]],
        accepting: Action,
        *,
        in_file: bool,
    ) -> None:
        """Of each database that was migrated, a report, and the losses that nobody accepted.

        ``accepting``: the same where all may go; ``in_file``: a migration's file can say so.
        """
        left = [loss for each in remaining for loss in each]
        names = ", ".join(dict.fromkeys(f'"{loss.name}"' for loss in left))
        file = f"; or write in the migration's file:  accepts_loss = [{names}]"
        super().__init__(
            f"the migration would lose data: {len(left)} loss(es) that nobody accepted",
            "correct the migration; or, if all of it may go,",
            accepting,
            *([file] if in_file else []),
        )
        self.reports, self.remaining = reports, remaining


def report(comparison: Comparison) -> Report:
    """What of a comparison is a loss, and what else is to be said."""
    losses = lacking(comparison)
    losses += [
        Loss(f"{part.kind} {part.name}", f"{part.kind} gone", 1, 1)
        for part in comparison.parts_gone
    ]
    losses += [
        Loss(
            f"counter {counter.name}",
            f"set back from {counter.last_before:,} to {counter.last_after:,}",
            abs(counter.last_before - counter.last_after),
            abs(counter.last_before),
            also=f"counter {counter.now}",
        )
        for counter in comparison.counters
    ]
    warnings = list(guarantees.weaker(comparison))
    for index in comparison.full_text:
        if index.error_before == "":
            losses.append(Loss(f"index {index.name}", _full_text(index), 1, 1))
        elif {index.error, index.error_before} != {
            MISMATCH
        } and index.name not in comparison.unread:
            warnings.append(f"{index.name}: {_full_text(index)}")
    warnings += [f"{name}: it cannot be read, nothing is known" for name in comparison.unread]
    return Report(losses, warnings, list(_changes(comparison, warnings)), comparison.tables)


def lacking(comparison: Comparison) -> list[Loss]:
    """Rows, values and tables that are gone."""
    tables = comparison.structure_before.tables
    return [loss for change in comparison.tables for loss in _losses(change, tables)]


def missing(comparison: Comparison) -> dict[str, int]:
    """Rows and values that are no longer there, by the names of losses.

    What another value has taken the place of is not among them: an application does that.
    """
    counts: dict[str, int] = {}
    for change in comparison.tables:
        if change.name and change.gone:
            counts[f"{'rows' if change.now else 'table'} {change.name}"] = change.gone
        for column in change.columns if change.name else ():
            if count := column.lost - column.overwritten:
                counts[f"{change.name}.{column.name}"] = count
    return counts


def warned(report: Report, orphans: "Iterable[Orphans]", accepted: "Iterable[str]") -> Report:
    """The same with a warning of new foreign keys over rows that break them; not if accepted."""
    names = _names(accepted)
    warnings = [
        f"{each.name} is new: {each.what}, as before (accepts_loss takes that name)"
        for each in orphans
        if fold(each.name) not in names
    ]
    return report._replace(warnings=[*report.warnings, *warnings])


def _names(accepted: "Iterable[str]") -> set[str]:
    return {fold(" ".join(name.split())) for name in accepted}


def remaining(report: Report, accepted: "Iterable[str]") -> list[Loss]:
    """The losses that ``accepted`` does not name."""
    names = _names(accepted)
    return [loss for loss in report.losses if not {fold(loss.name), fold(loss.also)} & names]


def _full_text(index: FullText) -> str:
    if index.error != MISMATCH:
        return f"it could not be looked at whether it matches its rows: {index.error}"
    name = quoted(index.name)
    return f"{index.error}; INSERT INTO {name}({name}) VALUES('rebuild')"


def _losses(change: TableChange, tables: "dict[str, Table]") -> "Iterator[Loss]":
    if not change.name:
        return
    if not change.now:
        if change.rows_before:
            yield Loss(
                f"table {change.name}",
                "table gone",
                change.gone,
                change.rows_before,
                change.samples,
            )
        return
    keys = tables[fold(change.name)].foreign_keys
    if change.gone:
        cascades = {fold(key.parent) for key in keys if key.on_delete == "CASCADE"}
        parents = sorted(tables[name].name if name in tables else name for name in cascades)
        cause = f" (ON DELETE CASCADE from {', '.join(parents)})" if parents else ""
        name, also = f"rows {change.name}", f"rows {change.now}"
        yield Loss(name, f"rows gone{cause}", change.gone, change.rows_before, change.samples, also)
    for column in change.columns:
        if column.lost:
            cut = next((key.parent for key in keys if fold(column.name) in key.columns), "")
            yield Loss(
                f"{change.name}.{column.name}",
                _what(column, cut),
                column.lost,
                change.rows_before,
                column.samples,
                f"{change.now}.{column.now or column.name}",
            )


def _what(column: ColumnChange, parent: str) -> str:
    old, new = column.types
    cause = f" by {old or 'no type'} -> {new or 'no type'}" if column.now and old != new else ""
    texts = {
        "column gone": column.gone,
        "became NULL" + (f", cut from {parent}" if parent else "") + cause: column.nulled,
        "became blank" + cause: column.blanked,
        "overwritten" + cause: column.overwritten,
    }
    counts = [(text, count) for text, count in texts.items() if count]
    return "; ".join(f"{count:,} {text}" if len(counts) > 1 else text for text, count in counts)


def _changes(comparison: Comparison, warnings: list[str]) -> "Iterator[str]":
    for change in comparison.tables:
        if not change.name:
            yield f"table {change.now} added ({change.rows_after:,} rows)"
        elif not change.now:
            if not change.rows_before:
                known = "" if change.name in comparison.unread else ", it was empty"
                yield f"table {change.name} gone{known}"
        else:
            if change.name != change.now:
                yield f"table {change.name} is now {change.now}"
            yield from (f"{change.now}.{old} is now {new}" for old, new in change.renamed)
            yield from (f"{change.now}.{column} added" for column in change.new_columns)
            with_values = {column.name for column in change.columns}
            empty = (name for name in change.gone_columns if name not in with_values)
            yield from (f"{change.name}.{column} gone, it was empty" for column in empty)
            if change.added:
                yield f"{change.added:,} rows added to {change.now}"
    yield from (f"{part.kind} {part.name} added" for part in comparison.parts_new)
    for name in comparison.redefined:
        # Of an index, a trigger or a view a warning says what is defined anew.
        if not any(text.startswith((f"{name} ", f"{name}: ")) for text in warnings):
            yield f"{name} defined anew"
