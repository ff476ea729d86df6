"""What one side did since a base, worked out to be done to the other: by row, key and value.

Of three states of a database, *base*, *ours* and *theirs*, ours is ``main`` in SQL, as ``o``; the
others are attached, as ``b`` and ``t``. What theirs did since the base is written down in the file
that is attached as ``ops``, a table for each table of ours: rows to take away, to put in and to
change. Nothing is done to ours here. What both sides changed, and not alike, is a conflict.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.compare.matching import Match
    from undrop.compare.structure import Column, Table
    from undrop.sqlitefile.connect import Connection

Prefer = Literal["ours", "theirs"] | None
"""Whose value it is where both changed it; None where nobody may say."""
MOST = 900  # columns: their values before and after are in one row, of which SQLite takes 2,000
BOTH = "both changed it"
GONE = "one side changed the row, the other took it away"
TAKEN = "the key is another row's there"
NO_PLACE = "there is no such column or table there"
UNKEYED = "the row has no key, and others have no column for its value"
NO_TEXT_KEPT = "it keeps no text that could be indexed anew"
FEWER = "the row is not there as often as it should go"


class Conflict(NamedTuple):
    """Something that is not done, because nobody can know whether it should be."""

    table: str
    """As ours calls it."""
    key: dict[str, object]
    """The row's, by column; all of its values where it has none; empty for a whole table."""
    why: str
    """One of the sentences above, or what the database says of the row."""
    column: str = ""
    """The one that it is about; empty for a row."""
    ours: object = None
    theirs: object = None
    """The two values; of a row those that differ, by column."""


class Ops(NamedTuple):
    """What is to be done to a table of ours."""

    number: int
    match: "Match"

    @property
    def table(self) -> "Table":
        """The table."""
        return self.match.ours

    @property
    def rows(self) -> str:
        """The table of ``ops`` that says what.

        ``n``; ``does``: ``put``, ``change`` or ``gone``; ``i…``: what the row is known by in ours
        (``identity``); ``r``: the rowid that it is to have, if that is no column; ``o…`` and
        ``d…``: its values before and after, in the order of ``Table.data``.
        """
        return f"ops.row_{self.number}"


class Into(NamedTuple):
    """A table of its own that recovered rows go into."""

    name: str
    columns: "tuple[Column, ...]"
    """As theirs has them; those of the key come first."""
    rows: str = "ops.into"
    """Its rows, with these columns."""


class Merge(NamedTuple):
    """What is to be done, and what is not."""

    ops: list[Ops]
    conflicts: list[Conflict]
    into: Into | None = None


class Sources(NamedTuple):
    """The three states, as backups; None for the live one."""

    ours: "Path | None"
    base: "Path | None"
    """None where ours is the base."""
    theirs: "Path | None"


class Sides(NamedTuple):
    """Three states that are attached, and how they compare."""

    connection: "Connection"
    to_ours: "Comparison | None"
    """From the base, or else from ours to it; None where ours is the base."""
    to_theirs: "Comparison"
    """From the base to theirs; where ours is the base, from theirs to ours."""
    kept: frozenset[str] = frozenset()
    """Full-text tables of ours that triggers keep, by folded name."""
    ours_first: bool = False
    """Whether ``to_ours`` begins with ours: where that is the older one."""
    where: "Callable[[Table, str], str] | None" = None
    """SQL for: it is a row of theirs of which an expression is true that somebody typed.

    None where SQLite itself can say that. Raises UsageError.
    """
    fetch: "Callable[[str], None] | None" = None
    """Have the rows of a table of theirs there that were left out since nothing in it differs."""


def identity(table: "Table") -> tuple[str, ...]:
    """What tells a table's rows apart, quoted; empty where nothing does."""
    if table.rowid_name:
        return (quoted(table.rowid_name),)
    return () if table.rowid else tuple(quoted(column.name) for column in table.key)


def counts(connection: "sqlite3.Connection", ops: Ops) -> dict[str, int]:
    """Rows to ``put``, to ``change``, and to be ``gone``."""
    sql = f"SELECT does, count(*) FROM {ops.rows} GROUP BY 1"  # noqa: S608 - our own
    return {"put": 0, "change": 0, "gone": 0, **dict(connection.execute(sql).fetchall())}
