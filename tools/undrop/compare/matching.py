"""Which table and column is which in three states, as two comparisons with their base pair them."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.compare.pairing import same, something
from undrop.compare.structure import fold
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from undrop.compare.comparison import Comparison, TableChange
    from undrop.compare.structure import Column, Structure, Table
    from undrop.sqlitefile.connect import Connection


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
    def unknown(self) -> bool:
        """Whether ours has columns that others have not: one of theirs may be it, renamed."""
        return len(self.shared) < len(self.ours.data)

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
    unknown: bool = False
    """Whether ours has tables that the base has not: a stray may be one of them, renamed."""


Pairs = dict[str, "tuple[Table, dict[str, str]]"]
"""By folded name of a table, the other one, and what its columns are called there."""


def matches(
    connection: "Connection", to_ours: "Comparison", to_theirs: "Comparison", *, ours_first: bool
) -> Matches:
    """The second comparison begins with the base, the first too, or else with ours.

    What was renamed shows from the older to the newer of two. Raises sqlite3.Error.
    """
    base = to_ours.structure_after if ours_first else to_ours.structure_before
    theirs = to_theirs.structure_after
    here, there = _pairs(to_ours), _pairs(to_theirs)
    schemas = ("main", "base") if ours_first else ("base", "main")
    older = to_ours.structure_before
    _add_mostly(connection, here, to_ours, schemas)
    _add_mostly(connection, there, to_theirs, ("base", "theirs"))
    for name, (after, known) in here.items():
        _forget_guesses(connection, older.tables[name], after, known, schemas[0])
        _add_changed(connection, older.tables[name], after, known, schemas)
    if ours_first:
        here = _turned(here, older)
    tables: list[Match] = []
    strays: list[tuple[Table | None, Table]] = []
    for name, table in base.tables.items():
        if name in here and name in there:
            tables.append(_match(here[name], table, there[name]))
        elif name in there:
            strays.append((table, there[name][0]))
    taken = {fold(table.name) for table, _ in there.values()}
    strays += [(None, table) for name, table in theirs.tables.items() if name not in taken]
    ours = older if ours_first else to_ours.structure_after
    return Matches(tables, strays, len(here) < len(ours.tables))


def since(connection: "Connection", lacking: "Comparison") -> Matches:
    """The same where ours is the base itself, of a comparison that begins with theirs.

    Raises sqlite3.Error.
    """
    tables: list[Match] = []
    strays: list[tuple[Table | None, Table]] = []
    pairs = _pairs(lacking)
    _add_mostly(connection, pairs, lacking, ("theirs", "main"))
    for name, theirs in lacking.structure_before.tables.items():
        if name not in pairs:
            strays.append((None, theirs))
            continue
        ours, columns = pairs[name]
        there = {new: old for old, new in columns.items()}
        tables.append(_match((ours, {name: name for name in ours.columns}), ours, (theirs, there)))
    return Matches(tables, strays)


def _pairs(comparison: "Comparison") -> Pairs:
    """What a comparison takes for one and the same.

    A table that has the columns that it had is itself: where values went from one name to another,
    they were written there.
    """
    before, after = comparison.structure_before.tables, comparison.structure_after.tables
    stayed = {
        name
        for name, table in before.items()
        if name in after and after[name].columns == table.columns
    }
    pairs = {
        name: (after[name], {column: column for column in before[name].columns}) for name in stayed
    }
    for change in comparison.tables:
        old, new = fold(change.name), fold(change.now)
        if old and new and old not in stayed and new not in stayed:
            pairs[old] = (after[new], _columns(before[old], after[new], change))
    return pairs


def _add_mostly(
    connection: "Connection", pairs: Pairs, comparison: "Comparison", schemas: tuple[str, str]
) -> None:
    """Pair tables that were renamed and lost rows; ``schemas``: where the two states are."""
    taken = {fold(table.name) for table, _ in pairs.values()}
    new = [t for name, t in comparison.structure_after.tables.items() if name not in taken]
    for name, before in comparison.structure_before.tables.items():
        for after in new if name not in pairs else ():
            if _is_mostly(connection, (before, after), schemas):
                both = zip(before.data, after.data, strict=True)
                pairs[name] = (after, {fold(one.name): fold(other.name) for one, other in both})


def _is_mostly(
    connection: "Connection", tables: "tuple[Table, Table]", schemas: tuple[str, str]
) -> bool:
    """Whether a table was renamed and lost rows: half of them are there under another name.

    The one that was there keeps its root, which another may get that comes after it.
    """
    before, after = tables
    if not 0 != before.root == after.root or [c.type for c in before.data] != [
        c.type for c in after.data
    ]:
        return False
    sides = [
        f"SELECT {', '.join(quoted(c.name) for c in table.data)} FROM {schema}.{quoted(table.name)}"  # noqa: S608
        for schema, table in zip(schemas, tables, strict=True)
    ]
    kept, there = (
        connection.ask(f"SELECT count(*) FROM ({sql})")[0][0]  # noqa: S608 - quoted
        for sql in (" INTERSECT ".join(sides), sides[0])
    )
    return bool(there and kept * 2 >= there)


def _forget_guesses(
    connection: "Connection",
    before: "Table",
    after: "Table",
    columns: dict[str, str],
    schema: str,
) -> None:
    """A new name and no value that shows what became of it: not the same, if another may be it.

    Nor is one of another type. ``schema``: where the state before is.
    """
    gone = [c for c in before.data if fold(c.name) not in columns]
    for old, new in [*columns.items()]:
        one, other = before.columns[old], after.columns[new]
        another = [c for c in gone if c.type == other.type]
        if old == new or (one.type == other.type and not another):
            continue
        value = something(f"a.{quoted(one.name)}")
        there = f"SELECT 1 FROM {schema}.{quoted(before.name)} AS a WHERE {value} LIMIT 1"  # noqa: S608
        if not connection.ask(there):
            del columns[old]


def _turned(pairs: Pairs, before: "Structure") -> Pairs:
    """The same, looked at from the other side."""
    return {
        fold(after.name): (before.tables[name], {new: old for old, new in columns.items()})
        for name, (after, columns) in pairs.items()
    }


def _add_changed(
    connection: "Connection",
    before: "Table",
    after: "Table",
    columns: dict[str, str],
    schemas: tuple[str, str],
) -> None:
    """Pair columns that were renamed and of whose values some changed: half are there still."""
    keys = [(c.name, columns[fold(c.name)]) for c in before.key if fold(c.name) in columns]
    if not keys or len(keys) < len(before.key):
        return
    on = " AND ".join(f"b.{quoted(new)} = a.{quoted(old)}" for old, new in keys)
    sides = [f"{x}.{quoted(t.name)}" for x, t in zip(schemas, (before, after), strict=True)]
    joined = f"{sides[0]} AS a CROSS JOIN {sides[1]} AS b ON {on}"
    free = [c for c in after.data if fold(c.name) not in columns.values()]
    for old in [c for c in before.data if fold(c.name) not in columns and not c.key]:
        for new in [c for c in free if c.type == old.type and not c.key]:
            a, b = f"a.{quoted(old.name)}", f"b.{quoted(new.name)}"
            sql = (
                f"SELECT count(*), total({same(a, b)}), count(DISTINCT {a}) "  # noqa: S608 - quoted
                f"FROM {joined} WHERE {something(a)}"
            )
            [(count, kept, different)] = connection.ask(sql)
            if different > 1 and kept * 2 >= count:
                columns[fold(old.name)] = fold(new.name)
                free.remove(new)
                break


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


def _columns(before: "Table", after: "Table", change: "TableChange") -> dict[str, str]:
    """What each column is called afterwards, folded; those that are gone are left out.

    Without a key no row shows that values changed places: a column of that name and type is it.
    """
    stayed = {
        name
        for name, column in before.columns.items()
        if not before.key and name in after.columns and after.columns[name].type == column.type
    }
    renamed = {fold(old): fold(new) for old, new in change.renamed}
    gone = {fold(name) for name in change.gone_columns} - stayed
    stored = {fold(column.name) for column in after.data}
    now = {
        fold(column.name): renamed.get(fold(column.name), fold(column.name))
        for column in before.data
        if fold(column.name) not in gone
    }
    now = {old: old if old in stayed else new for old, new in now.items() if new in stored}
    return {old: new for old, new in now.items() if old == new or new not in stayed}
