"""Statements that give one database on a server another's rows, where the definitions are one."""

import re
from typing import TYPE_CHECKING

from undrop.compare import exact
from undrop.engines.postgres.structure import LARGE
from undrop.errors import UsageError
from undrop.recipes import Action

if TYPE_CHECKING:
    from undrop.compare.comparison import Comparison
    from undrop.compare.structure import Table
    from undrop.sqlitefile.connect import Connection

FIRST = (
    "BEGIN;",
    "SET LOCAL session_replication_role = replica; -- no trigger fires; a superuser may say so",
    # What the text of a value depends on, as it was read (``session.SETTINGS``).
    "SET LOCAL TimeZone = 'UTC';",
    "SET LOCAL DateStyle = 'ISO, YMD';",
    "SET LOCAL IntervalStyle = 'postgres';",
    "SET LOCAL extra_float_digits = 3;",
    "SET LOCAL bytea_output = 'hex';",
    "SET LOCAL lc_monetary = 'C';",
    "SET LOCAL standard_conforming_strings = on;",
)
ALONE = re.compile(r'"([^"]|"")*"|[^".]+')
"""A name without a schema's before it: it is in ``public``."""


class Script:
    """Reads the SQLite files that stand for two databases; then it has the statements."""

    exact = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []

    def __call__(self, connection: "Connection", comparison: "Comparison") -> None:
        """Raises UsageError where definitions differ."""
        before, after = comparison.structure_before.tables, comparison.structure_after.tables
        differ = [*comparison.redefined, *(part.name for part in comparison.parts_new)]
        differ += [part.name for part in comparison.parts_gone]
        differ += sorted(
            f"table {name}"
            for name in before.keys() | after.keys()
            if not (name in before and name in after)
            or _defined(before[name]) != _defined(after[name])
        )
        if differ:
            raise UsageError(
                f"the definitions differ ({', '.join(differ[:3])}): statements are for rows alone",
                Action("diff", "A", "B", "--rows", typed=False),
            )
        gone, added = list[str](), list[str]()
        for name, table in after.items():
            old, new = _rows(connection, before[name], table)
            if table.name == LARGE:
                self.notes += ["large objects differ: no statement says it"] * bool(old or new)
                continue
            into = f"public.{table.name}" if ALONE.fullmatch(table.name) else table.name
            gone += [_delete(into, table, row) for row in old]
            columns = ", ".join(column.name for column in table.data)
            added += [
                f"INSERT INTO {into} ({columns}) OVERRIDING SYSTEM VALUE "  # noqa: S608 - quoted
                f"VALUES ({', '.join(map(_literal, row))});"
                for row in new
            ]
        if gone or added:
            self.lines = [*FIRST, *gone, *added, "COMMIT;"]
            self.notes.append("sequences stay where they are")


def _defined(table: "Table") -> "Table":
    return table._replace(root=0, counter=0)


def _rows(
    connection: "Connection", old: "Table", new: "Table"
) -> "tuple[list[exact.Row], list[exact.Row]]":
    """Whole rows that only one of the two has."""
    if new.key:
        pairs = [*exact.by_key(connection, old, new)]
        return [one for one, _ in pairs if one], [other for _, other in pairs if other]
    gone, added = list[exact.Row](), list[exact.Row]()
    for count, _, row in exact.by_row(connection, exact.before(old), new):
        gone += [row] * count
        added += [row] * -count
    return gone, added


def _delete(into: str, table: "Table", row: "exact.Row") -> str:
    values = {column.name: value for column, value in zip(table.data, row, strict=True)}
    if table.key:
        key = " AND ".join(f"{c.name} = {_literal(values[c.name])}" for c in table.key)
        return f"DELETE FROM {into} WHERE {key};"  # noqa: S608 - quoted
    same = " AND ".join(
        f"{name}::text IS NOT DISTINCT FROM {_literal(value, always=True)}"
        for name, value in values.items()
    )
    one = f"SELECT ctid FROM {into} WHERE {same or 'true'} LIMIT 1"  # noqa: S608 - quoted
    return f"DELETE FROM {into} WHERE ctid = ({one});"  # noqa: S608


def _literal(value: object, *, always: bool = False) -> str:
    """A value as it was written for the comparison; ``always`` as a text."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        text = value.decode().replace("'", "''")
        return f"'{text}'"
    return f"'{value}'" if always else str(value)
