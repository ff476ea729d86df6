"""Which table and column is which in three states, as two comparisons with their base pair them."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.compare.structure import fold

if TYPE_CHECKING:
    from undrop.compare.comparison import Comparison, TableChange
    from undrop.compare.structure import Column, Table


class Shared(NamedTuple):
    """A column that all three have."""

    ours: "Column"
    base: "Column"
    theirs: "Column"


class Match(NamedTuple):
    """A table that all three have."""

    ours: "Table"
    base: "Table"
    theirs: "Table"
    shared: tuple[Shared, ...]
    """In the order of ours."""
    unplaced: "tuple[tuple[Column | None, Column], ...]"
    """Columns that ours has not: the base's, where that has it, and theirs."""

    @property
    def key(self) -> tuple[Shared, ...]:
        """By what a row is known in all three: the primary key; none where they differ in it."""
        keys = [column for column in self.shared if column.base.key]
        wanted = len(self.base.key)
        same = all(column.ours.key and column.theirs.key for column in keys)
        whole = len(self.ours.key) == len(self.theirs.key) == len(keys) == wanted
        return tuple(sorted(keys, key=lambda column: column.base.key)) if same and whole else ()

    @property
    def by_rowid(self) -> bool:
        """Whether rows are known by the rowid that their application gave them: full text's."""
        return self.ours.virtual and not self.key and bool(self.ours.rowid_name)


class Matches(NamedTuple):
    """The tables of three states."""

    tables: list[Match]
    strays: "list[tuple[Table | None, Table]]"
    """Tables that ours has not: the base's, where that has it, and theirs."""


def matches(to_ours: "Comparison", to_theirs: "Comparison") -> Matches:
    """Both comparisons begin with the base."""
    base = to_ours.structure_before
    ours_by_base = {fold(change.name): change for change in to_ours.tables if change.name}
    tables: list[Match] = []
    strays: list[tuple[Table | None, Table]] = []
    for change in to_theirs.tables:
        if not change.now:
            continue
        theirs = to_theirs.structure_after.tables[fold(change.now)]
        there = ours_by_base.get(fold(change.name)) if change.name else None
        if there is None or not there.now:
            strays.append((base.tables.get(fold(change.name)) if change.name else None, theirs))
            continue
        ours = to_ours.structure_after.tables[fold(there.now)]
        table = base.tables[fold(change.name)]
        tables.append(_match(ours, table, theirs, columns(table, ours, there), change))
    return Matches(tables, strays)


def since(lacking: "Comparison") -> Matches:
    """The same where ours is the base itself, of a comparison that begins with theirs."""
    tables: list[Match] = []
    strays: list[tuple[Table | None, Table]] = []
    for change in lacking.tables:
        if not change.name:
            continue
        theirs = lacking.structure_before.tables[fold(change.name)]
        if not change.now:
            strays.append((None, theirs))
            continue
        ours = lacking.structure_after.tables[fold(change.now)]
        pairs = {new: old for old, new in columns(theirs, ours, change).items()}
        shared = tuple(
            Shared(column, column, theirs.columns[pairs[fold(column.name)]])
            for column in ours.data
            if fold(column.name) in pairs
        )
        unplaced = tuple((None, c) for c in theirs.data if fold(c.name) not in pairs.values())
        tables.append(Match(ours, ours, theirs, shared, unplaced))
    return Matches(tables, strays)


def _match(
    ours: "Table", base: "Table", theirs: "Table", to_ours: dict[str, str], change: "TableChange"
) -> Match:
    to_theirs = columns(base, theirs, change)
    from_ours = {new: old for old, new in to_ours.items()}
    shared = tuple(
        Shared(column, base.columns[old], theirs.columns[to_theirs[old]])
        for column in ours.data
        if (old := from_ours.get(fold(column.name))) in to_theirs
    )
    placed = {fold(column.theirs.name) for column in shared}
    from_theirs = {new: old for old, new in to_theirs.items()}
    unplaced = tuple(
        (base.columns.get(from_theirs.get(fold(column.name), "")), column)
        for column in theirs.data
        if fold(column.name) not in placed
    )
    return Match(ours, base, theirs, shared, unplaced)


def columns(before: "Table", after: "Table", change: "TableChange") -> dict[str, str]:
    """What each column is called afterwards, folded; those that are gone are left out."""
    renamed = {fold(old): fold(new) for old, new in change.renamed}
    gone = {fold(name) for name in change.gone_columns}
    stored = {fold(column.name) for column in after.data}
    now = {
        fold(column.name): renamed.get(fold(column.name), fold(column.name))
        for column in before.data
        if fold(column.name) not in gone
    }
    return {old: new for old, new in now.items() if new in stored}
