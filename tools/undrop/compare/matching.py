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
    base, theirs = to_ours.structure_before, to_theirs.structure_after
    here, there = _pairs(to_ours), _pairs(to_theirs)
    tables: list[Match] = []
    strays: list[tuple[Table | None, Table]] = []
    for name, table in base.tables.items():
        if name in here and name in there:
            tables.append(_match(here[name], table, there[name]))
        elif name in there:
            strays.append((table, there[name][0]))
    known = {fold(table.name) for table, _ in there.values()}
    strays += [(None, table) for name, table in theirs.tables.items() if name not in known]
    return Matches(tables, strays)


def _pairs(comparison: "Comparison") -> "dict[str, tuple[Table, dict[str, str]]]":
    """By folded name of a table, what it is afterwards, and what its columns are called there.

    One that is defined as it was is itself: where values went from one name to another in it, they
    were written there.
    """
    before, after = comparison.structure_before.tables, comparison.structure_after.tables
    same = {
        name
        for name, table in before.items()
        if name in after and after[name].columns == table.columns
    }
    pairs = {
        name: (after[name], {column: column for column in before[name].columns}) for name in same
    }
    for change in comparison.tables:
        old, new = fold(change.name), fold(change.now)
        if old and new and old not in same and new not in same:
            pairs[old] = (after[new], columns(before[old], after[new], change))
    return pairs


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
    here: "tuple[Table, dict[str, str]]",
    base: "Table",
    there: "tuple[Table, dict[str, str]]",
) -> Match:
    ours, to_ours = here
    theirs, to_theirs = there
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
