"""Rows whose foreign key points nowhere: those that a migration made, and those that it found."""

from contextlib import closing
from typing import TYPE_CHECKING

from undrop.compare.structure import fold
from undrop.sqlitefile import check, connect
from undrop.sqlitefile.check import Key
from undrop.values import Orphans

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.compare.comparison import TableChange


def since(backup: "Path | None", path: "Path", tables: "list[TableChange]") -> list[Orphans]:
    """Those in ``path`` that its ``backup`` has not, tables and columns renamed or not.

    Both are files that nobody writes. Raises sqlite3.Error.
    """
    old, new = check.tables(backup) if backup else {}, check.tables(path)
    # Where neither the rows nor the definitions of a table and its parents changed, no row of
    # it can have lost its parent: on gigabytes that spares most of the time.
    steady = {each.now for each in tables if each.same and old.get(each.now) == new[each.now]}
    violations = check.foreign_key_violations(path, lambda table, to: {table, *to} <= steady)
    if not violations:
        return []
    names = _Names(tables)
    known = {names.now(key): n for key, n in _violations(backup).items()}
    declared = {names.now(key) for key in _declared(backup)}
    return [
        Orphans(
            f"foreign key {key.table}.{', '.join(key.columns)}",
            key.broken(count),
            known=_folded(key) not in declared and names.had(key),
        )
        for key, count in violations.items()
        if count > known.get(_folded(key), 0)
    ]


def _violations(backup: "Path | None") -> dict[Key, int]:
    return check.foreign_key_violations(backup) if backup else {}


def _declared(backup: "Path | None") -> list[Key]:
    if backup is None:
        return []
    with closing(connect.connect(backup, "immutable")) as connection:
        return [
            key
            for table in check.tables(backup)
            for key in check.foreign_keys(connection, table).values()
        ]


def _folded(key: Key) -> Key:
    return Key(fold(key.table), tuple(map(fold, key.columns)), fold(key.parent))


class _Names:
    """What tables and columns of before are called now."""

    def __init__(self, tables: "list[TableChange]") -> None:
        self._changes = {fold(change.name): change for change in tables if change.name}
        self._kept = {fold(change.now): change for change in tables if change.name and change.now}

    def now(self, key: Key) -> Key:
        change = self._changes.get(fold(key.table))
        renamed = {fold(old): fold(new) for old, new in change.renamed} if change else {}
        columns = [renamed.get(fold(column), fold(column)) for column in key.columns]
        return Key(self._table(key.table), tuple(columns), self._table(key.parent))

    def _table(self, name: str) -> str:
        change = self._changes.get(fold(name))
        return fold(change.now if change and change.now else name)

    def had(self, key: Key) -> bool:
        """Whether the values that point nowhere were there before."""
        change = self._kept.get(fold(key.table))
        columns = set(map(fold, key.columns))
        return bool(change and columns and not columns & set(map(fold, change.new_columns)))
