"""What changed between two database files, by content alone."""

import sqlite3
from contextlib import ExitStack
from typing import TYPE_CHECKING

from undrop.compare import comparison, ddl, encoding, reading, rows
from undrop.compare.comparison import Comparison, Counter, TableChange
from undrop.compare.structure import NO_TEXT, TEXT, Column, Part, Structure, Table, fold
from undrop.sqlitefile import btree, check, connect
from undrop.sqlitefile.check import quoted
from undrop.sqlitefile.connect import Connection
from undrop.values import PATIENCE, VERSION_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.compare.comparison import Reading
    from undrop.values import Progress


def compare(  # noqa: PLR0913 - what is compared, and what is known of it
    old: "Path",
    new: "Path",
    progress: "Progress",
    *,
    known: tuple[Structure, Structure] | None = None,
    in_use: "Path | None" = None,
    version_table: str = VERSION_TABLE,
    also: "Reading | None" = None,
) -> Comparison:
    """Compare two files that nobody writes, but for the one that is ``in_use``.

    That is read in one transaction. Where they stand for another engine's, what those are made of
    is ``known``. ``also`` reads both when they are compared. Raises UndropError when one cannot be
    read.
    """
    with connect.explained(in_use or new, "comparing"), ExitStack() as stack:
        old, new = stack.enter_context(encoding.alike(old, new, in_use))
        connections = [_both(old, new, in_use, stack)]
        # Two connections could see two states of what others write to.
        connections.append(connections[0] if in_use else _both(old, new, None, stack))
        pages = None if in_use or known else (old, new)
        comparisons: list[Comparison] = []

        def compare_and_read() -> None:
            comparisons.append(_Compare(connections, known, version_table, pages).all())
            if also:
                also(connections[0], comparisons[0])

        with check.beside(
            connections,
            compare_and_read,
            lambda: progress("compare", 1, 1),
        ):
            pass
        return comparisons[0]


def _both(old: "Path", new: "Path", in_use: "Path | None", stack: ExitStack) -> Connection:
    modes = ["ro" if path == in_use else "immutable" for path in (old, new)]
    connection = connect.connect(old, modes[0])
    stack.callback(connection.close)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
    # It reads both schemas. No quotation mark is in a URI.
    connect.begin(connection, PATIENCE, f"ATTACH '{connect.uri(new, modes[1])}' AS after")
    if in_use:
        schema = "main" if in_use == old else "after"
        connect.begin(connection, PATIENCE, "BEGIN", f"SELECT 1 FROM {schema}.sqlite_master")  # noqa: S608
    return connection


class _Compare:
    def __init__(
        self,
        connections: list[Connection],
        known: tuple[Structure, Structure] | None,
        version_table: str,
        pages: "tuple[Path, Path] | None",
    ) -> None:
        self.connections = connections
        self.connection = connections[0]
        # Another engine's say which table it is; a page of SQLite's is used again.
        self.roots_tell = known is not None
        self.structure_before, self.structure_after = _meeting(
            *known
            or (
                reading.read(self.connection, "main", version_table),
                reading.read(self.connection, "after", version_table),
            )
        )
        self.unread = [*self.structure_before.unread]
        self.counts: dict[tuple[str, str], int] = {}
        roots = {table.root for table in self.structure_before.tables.values()} - {0}
        self.untouched = btree.untouched(*pages, roots) if pages and roots else set[int]()

    def all(self) -> Comparison:
        old, new = self.structure_before.tables, self.structure_after.tables
        by_name = {name: self._pair(old[name], new[name]) for name in old if name in new}
        # Whose content may be under another name, and the names under which it may be.
        lossy = {name for name, change in by_name.items() if change.lost}
        waiting = [*(name for name in old if name in lossy), *(n for n in old if n not in new)]
        free = {
            name: table
            for name, table in new.items()
            if name not in old
            or name in lossy
            or any(_is_rather(table, old[other], old[name]) for other in waiting)
        }
        moved: dict[str, TableChange] = {}
        for name in waiting:
            there = {key: table for key, table in free.items() if key != name}
            if change := self._renamed(old[name], there):
                free.pop(fold(change.now))
                moved[name] = change
                if fold(change.now) in by_name and fold(change.now) not in waiting:
                    waiting.append(fold(change.now))  # whose name that was
        taken = {fold(change.now) for change in moved.values()}
        tables = []
        for name, table in old.items():
            stays = name in new and name not in taken
            tables.append(moved.get(name) or (by_name[name] if stays else self._gone(table)))
        taken |= {name for name in by_name if name not in moved}
        for table in (table for name, table in new.items() if name not in taken):
            count = self._count("after", table)
            tables.append(TableChange("", table.name, 0, count, added=count))
        return Comparison(
            self.structure_before,
            self.structure_after,
            sorted(tables, key=lambda table: table.name or table.now),
            _missing(self.structure_before, self.structure_after, tables),
            _missing(self.structure_after, self.structure_before, []),
            [*_redefined(self.structure_before, self.structure_after, tables)],
            self.unread,
            [*_set_back(self.connection, self.structure_before, self.structure_after, tables)],
            [],
        )

    def _pair(self, old: Table, new: Table) -> TableChange:
        stored = _stored_alike(old, new) if old.root in self.untouched else None
        if stored is not None:
            count = self._count("main", old)
            more = tuple(column.name for column in new.data[len(old.data) :])
            return TableChange(
                old.name, new.name, count, count, new_columns=more, renamed=tuple(stored)
            )
        try:
            return rows.compare(self.connections, old, new)
        except sqlite3.OperationalError:
            if not (old.virtual or new.virtual):
                raise
            try:
                count = rows.count(self.connection, "main", old)
            except sqlite3.OperationalError:
                self.unread.append(old.name)
                return TableChange(old.name, new.name)
            return TableChange(old.name, new.name, count, gone=count)  # it could be read before

    def _count(self, schema: str, table: Table) -> int:
        if (schema, table.name) not in self.counts:
            self.counts[schema, table.name] = self._counted(schema, table)
        return self.counts[schema, table.name]

    def _counted(self, schema: str, table: Table) -> int:
        try:
            return rows.count(self.connection, schema, table)
        except sqlite3.OperationalError:
            if not table.virtual:
                raise
            if table.name not in self.unread:
                self.unread.append(table.name)
            return 0

    def _gone(self, table: Table) -> TableChange:
        count = self._count("main", table)
        samples = rows.first(self.connection, table) if count else ()
        return TableChange(table.name, "", count, gone=count, samples=samples)

    def _renamed(self, gone: Table, added: dict[str, Table]) -> TableChange | None:
        """The new table that has all of this one's columns and rows, if there is one."""
        rows_before = self._count("main", gone)
        # One that was only renamed keeps its root.
        candidates = sorted(added.values(), key=lambda table: table.root != gone.root)
        if self.roots_tell and candidates and 0 != candidates[0].root == gone.root:
            return self._pair(gone, candidates[0])
        if not rows_before:
            return self._renamed_empty(gone, candidates)
        for candidate in candidates:
            if (
                candidate.virtual == gone.virtual
                and _may_hold(candidate, gone)
                and self._count("after", candidate) >= rows_before
            ):
                change = self._pair(gone, candidate)
                if change.rows_before and not change.lost and _is_evident(gone, candidate, change):
                    return change
        return None

    def _renamed_empty(self, gone: Table, candidates: list[Table]) -> TableChange | None:
        """The same of one without rows: its root alone tells."""
        for table in candidates:
            if 0 != table.root == gone.root and gone.columns.keys() <= table.columns.keys():
                count = self._count("after", table)
                return TableChange(gone.name, table.name, added=count, rows_after=count)
        return None


def _stored_alike(old: Table, new: Table) -> list[tuple[str, str]] | None:
    """The columns of one and the same b-tree that have another name now; None where more changed.

    A row is its values in the order of the columns, the last of which it may lack
    (sqlite.org/lang_altertable.html#altertabaddcol).
    """
    if (old.root, old.rowid, old.key_is_rowid) != (new.root, new.rowid, new.key_is_rowid):
        return None
    before, after = ([c for c in table.columns.values() if c.hidden != 2] for table in (old, new))
    pairs = list(zip(before, after, strict=False))
    if len(pairs) < len(before) or any(
        (a.key, a.hidden, _absent(a)) != (b.key, b.hidden, _absent(b)) for a, b in pairs
    ):
        return None
    renamed = [(a, b) for a, b in pairs if fold(a.name) != fold(b.name)]
    kept = any(fold(a.name) in new.columns or fold(b.name) in old.columns for a, b in renamed)
    # Names that changed places: of columns that differ in nothing else nothing else can be meant.
    if kept and any(a.type != b.type for a, b in renamed):
        return None
    return [(a.name, b.name) for a, b in renamed]


def _absent(column: Column) -> tuple[str, str] | None:
    """What stands for the value in a row that lacks it (sqlite.org/fileformat2.html, 2.1)."""
    return None if column.default is None else (column.default, column.type)


def _meeting(old: Structure, new: Structure) -> tuple[Structure, Structure]:
    """Have a full-text index that kept its text, or now does, be a table on either side.

    The text is compared as the index shows it, whoever keeps it. One that shows none any more, and
    kept none before, is compared by the numbers of its rows.
    """
    to = {name: new.external[name] for name in old.tables.keys() & new.external.keys()}
    back = {name: old.external[name] for name in new.tables.keys() & old.external.keys()}
    after = dict(new.tables)
    for name, table in [*back.items()]:
        if new.tables[name].clauses.get(TEXT) == NO_TEXT:
            back[name] = table._replace(columns={})
            after[name] = after[name]._replace(columns={})
    return (
        old._replace(tables={**old.tables, **back}, parts=_without(old.parts, back)),
        new._replace(tables={**after, **to}, parts=_without(new.parts, to)),
    )


def _without(
    parts: dict[tuple[str, str], Part], tables: dict[str, Table]
) -> dict[tuple[str, str], Part]:
    return {key: part for key, part in parts.items() if key[0] != "table" or key[1] not in tables}


def _is_rather(table: Table, one: Table, other: Table) -> bool:
    """Whether a table has more of ``one`` than of the ``other``, which had its name."""
    names = table.columns.keys()
    return 0 != table.root == one.root or one.columns.keys() == names != other.columns.keys()


def _may_hold(new: Table, old: Table) -> bool:
    if old.columns.keys() <= new.columns.keys():
        return True  # whatever their types are now: the values are compared
    types = [column.type for column in new.data]
    for column in old.data:
        if column.type not in types:
            return False
        types.remove(column.type)
    return True


def _is_evident(old: Table, new: Table, change: TableChange) -> bool:
    """Whether it is no accident that one table's rows are in another: numbers are alike."""
    if old.columns.keys() == new.columns.keys():
        return True
    alike = old.columns.keys() <= new.columns.keys() or len(old.data) == len(new.data)
    return change.added == 0 and (alike or 0 != old.root == new.root)


def _redefined(old: Structure, new: Structure, changes: list[TableChange]) -> "Iterator[str]":
    renames = comparison.renames(changes)
    for name, table in old.tables.items():
        other = new.tables.get(name)
        # A column that came or went is said already.
        same_columns = other is not None and _stored(table) == _stored(other)
        if other and same_columns and not ddl.alike(table.definition, other.definition, renames):
            yield f"table {table.name}"
    for key, part in old.parts.items():
        other_part = new.parts.get(key)
        if other_part and not ddl.alike(part.definition, other_part.definition, renames):
            yield f"{part.kind} {part.name}"


def _set_back(
    connection: Connection, old: Structure, new: Structure, changes: list[TableChange]
) -> "Iterator[Counter]":
    """Counters by which numbers would be given out again (sqlite.org/autoinc.html)."""
    for change in changes:
        if not (change.name and change.now):
            continue
        table, last = new.tables[fold(change.now)], old.tables[fold(change.name)].counter
        if last > table.counter and table.key_is_rowid:
            sql = f"SELECT max({quoted(table.rowid_name)}) FROM after.{quoted(table.name)}"  # noqa: S608
            last_after = max(table.counter, connection.ask(sql)[0][0] or 0)
            if last > last_after:
                yield Counter(change.name, change.now, last, last_after)


def _stored(table: Table) -> set[str]:
    return {fold(column.name) for column in table.data}


def _missing(one: Structure, other: Structure, changes: list[TableChange]) -> list[Part]:
    """Parts of ``one`` that ``other`` has neither by name nor, names of things aside, by content.

    What went with its table or its column is that one's loss and no other.
    """
    # Of two indexes that are alike one does the other's work; else it takes one that is new.
    there = {
        (part.kind, *ddl.words(part.definition))
        for key, part in other.parts.items()
        if part.kind == "index" or key not in one.parts
    }
    by_table = {fold(change.name): change for change in changes}
    missing = []
    parts_gone = {name for _, name in one.parts} - {name for _, name in other.parts}
    tables_gone = one.tables.keys() - other.tables.keys()
    for key, part in one.parts.items():
        if fold(part.table) in parts_gone and fold(part.table) != key[1]:
            continue
        if part.kind == "grant" and fold(part.table) in tables_gone - by_table.keys():
            continue
        change = by_table.get(fold(part.table))
        words = ddl.words(part.definition)
        if change and part.kind != "view":
            renamed = {fold(old): fold(new) for old, new in change.renamed}
            renamed[fold(change.name)] = fold(change.now)
            words = [renamed.get(word, word) for word in words]
            if not change.now or _went_along(part, words, change, other.tables[fold(change.now)]):
                continue
        if key not in other.parts and (part.kind, *words) not in there:
            missing.append(part)
    return missing


def _went_along(part: Part, words: list[str], change: TableChange, now: Table) -> bool:
    """Whether an index is no loss of its own: its columns went, or a constraint does its work."""
    if part.kind != "index" or "(" not in words:
        return False
    columns = [w for w in words[words.index("(") :] if len(w) > 1 or w.isidentifier()]
    lost = {fold(column.name) for column in change.columns if not column.now}
    gone = {fold(name) for name in change.gone_columns}
    unique = "unique" in words and tuple(sorted(columns)) in now.uniques
    return bool(lost & set(columns)) or set(columns) <= gone or unique
