"""Rows that a database does not take: they are taken out of what is to be done, and told."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.compare.merge import Conflict, Ops

if TYPE_CHECKING:
    import sqlite3

NO_PARENT = "a foreign key of it points to no row there"
HAS_CHILDREN = "rows point to it there"


class Refused(NamedTuple):
    """A row that the database does not take."""

    ops: Ops
    n: int
    why: str
    taken: "dict[str, object] | None" = None
    """By column, what a row there has that no other may have as well; and its key."""


def drop(connection: "sqlite3.Connection", refused: list[Refused]) -> list[Conflict]:
    """Take what was refused out of what is to be done; each is a conflict."""
    conflicts = []
    for ops, n, why, taken in refused:
        data = range(len(ops.table.data))
        listed = ", ".join([*(f"o{i}" for i in data), *(f"d{i}" for i in data)])
        [(does, *values)] = connection.execute(
            f"SELECT does, {listed} FROM {ops.rows} WHERE n = {n}"  # noqa: S608 - ours
        ).fetchall()
        old, new = values[: len(data)], values[len(data) :]
        shown = dict(
            zip((c.name for c in ops.table.data), new if does != "gone" else old, strict=True)
        )
        names = {column.ours.name for column in ops.match.key}
        key = {name: value for name, value in shown.items() if name in names} or shown
        told = {name: value for name, value in shown.items() if name not in key}
        if taken:
            told = {name: value for name, value in told.items() if name in taken}
        conflicts.append(Conflict(ops.table.name, key, why, "", taken, told or None))
    for ops, n, *_ in refused:
        connection.execute(f"DELETE FROM {ops.rows} WHERE n = {n}")  # noqa: S608 - ours
    return conflicts
