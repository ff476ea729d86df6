"""The rows themselves that differ, table by table: SQL over the two files of a comparison."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.compare import rows
from undrop.compare.comparison import Sample
from undrop.compare.structure import Table, fold
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from undrop.compare.comparison import Comparison, TableChange
    from undrop.compare.pairing import Join, Pair
    from undrop.sqlitefile.connect import Connection


class Changed(NamedTuple):
    """A row that is known on both sides, and has other values now."""

    key: Sample
    columns: "dict[str, tuple[object, object]]"
    """Before and afterwards, by the columns' names as they are."""


class Listed(NamedTuple):
    """Rows of a table."""

    change: "TableChange"
    """With the numbers of all."""
    removed: list[Sample]
    added: list[Sample]
    changed: list[Changed]


class Listing:
    """Reads the two sides of a comparison (``comparison.Reading``); then it has the rows.

    Of one ``table`` (its name on either side), or of all that differ; ``most`` of each kind,
    where that is not None.
    """

    exact = False

    def __init__(self, table: str = "", most: int | None = None) -> None:
        self._table, self._limit = fold(table), f" LIMIT {most}" if most is not None else ""
        self.tables: list[Listed] = []
        self.known = False
        """Whether there is a table of that name on either side."""

    def __call__(self, connection: "Connection", comparison: "Comparison") -> None:
        """Raises sqlite3.Error."""
        before, after = comparison.structure_before.tables, comparison.structure_after.tables
        for change in comparison.tables:
            if self._table and self._table not in {fold(change.name), fold(change.now)}:
                continue
            self.known = True
            if change.same or comparison.unread.count(change.name or change.now):
                continue
            if change.name and change.now:
                listed = self._both(
                    connection, change, before[fold(change.name)], after[fold(change.now)]
                )
            elif change.name:
                gone = _read(connection, "main", before[fold(change.name)], self._limit)
                listed = Listed(change, gone, [], [])
            else:
                new = _read(connection, "after", after[fold(change.now)], self._limit)
                listed = Listed(change, [], new, [])
            self.tables.append(listed)

    def _both(
        self, connection: "Connection", change: "TableChange", old: Table, new: Table
    ) -> Listed:
        if not (change.gone or change.added or change.changed):
            return Listed(change, [], [], [])
        pair, join = rows.identity(connection, old, new)
        if join is None:
            return self._counted(connection, change, pair)
        removed, added, changed = list[Sample](), list[Sample](), list[Changed]()
        if change.gone:
            shown = _shown("a", old)
            rest = f"{pair.joined('LEFT JOIN', join)} WHERE {join.mark} IS NULL{self._limit}"
            removed = _rows(connection, shown, rest)
        if change.changed:
            changed = self._changed(connection, pair, join)
        if change.added:
            keys = ", ".join(f"b.{column}" for column in join.columns)
            null = " OR ".join(f"b.{column} IS NULL" for column in join.columns)
            known = f"SELECT {keys} {pair.joined('CROSS JOIN', join)}"
            where = f"({keys}) NOT IN ({known}) OR {null}"
            added = _rows(
                connection, _shown("b", new), f"FROM {pair.after} AS b WHERE {where}{self._limit}"
            )
        return Listed(change, removed, added, changed)

    def _changed(self, connection: "Connection", pair: "Pair", join: "Join") -> list[Changed]:
        pairs = list(pair.pairs())
        key = {c.name: f"a.{quoted(c.name)}" for c in pair.table_before.key}
        if not key:
            key = {"rowid": f"a.{pair.table_before.rowid_name}"}
        order = ", ".join(key.values())
        rest = (
            f"{pair.joined('CROSS JOIN', join)} WHERE {pair.differ()} ORDER BY {order}{self._limit}"
        )
        found: list[Changed] = []
        for start in range(0, len(pairs), rows.CHUNK):
            part = pairs[start : start + rows.CHUNK]
            shown = ", ".join([*key.values(), *(text for _, _, *both in part for text in both)])
            for number, row in enumerate(connection.ask(f"SELECT {shown} {rest}")):
                if not start:
                    found.append(Changed(dict(zip(key, row, strict=False)), {}))
                values = row[len(key) :]
                for (_, new, _, _), before, now in zip(
                    part, values[::2], values[1::2], strict=True
                ):
                    if before != now or type(before) is not type(now):
                        found[number].columns[new.name] = (before, now)
        return found

    def _counted(self, connection: "Connection", change: "TableChange", pair: "Pair") -> Listed:
        """By how often each whole row is there."""
        source, shown = rows.grouped(pair)
        sides = []
        for sign in ("", "-"):
            found = _rows(
                connection,
                {"": f"{sign}n", **shown},
                f"FROM {source} WHERE {sign}n > 0{self._limit}",
            )
            sides.append([row for each in found for row in [each] * int(str(each.pop("")))])
        return Listed(change, sides[0], sides[1], [])


def _shown(side: str, table: Table) -> dict[str, str]:
    shown = {column.name: f"{side}.{quoted(column.name)}" for column in table.data}
    if not table.key and table.virtual and table.rowid_name:
        return {table.rowid_name: f"{side}.{table.rowid_name}", **shown}
    return shown


def _read(connection: "Connection", schema: str, table: Table, limit: str) -> list[Sample]:
    return _rows(connection, _shown("a", table), f"FROM {schema}.{quoted(table.name)} AS a{limit}")


def _rows(connection: "Connection", shown: dict[str, str], rest: str) -> list[Sample]:
    found = connection.ask(f"SELECT {', '.join(shown.values()) or '1'} {rest}")
    return [dict(zip(shown, row, strict=False)) for row in found]
