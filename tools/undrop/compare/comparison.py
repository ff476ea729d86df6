"""What became of tables and their columns: the words that a comparison answers in."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from undrop.compare.structure import fold

if TYPE_CHECKING:
    from undrop.compare.structure import Part, Structure
    from undrop.sqlitefile.connect import Connection

Sample = dict[str, object]


class ColumnChange(NamedTuple):
    """What became of a column's values, in rows that are still there."""

    name: str
    now: str
    """Its name afterwards; empty when it is gone."""
    types: tuple[str, str]
    """As declared before and after."""
    gone: int = 0
    """Values that went with the column."""
    nulled: int = 0
    blanked: int = 0
    overwritten: int = 0
    """By another value, and one that was not blank."""
    samples: tuple[Sample, ...] = ()

    @property
    def lost(self) -> int:
        """Values that are no longer there."""
        return self.gone + self.nulled + self.blanked + self.overwritten


class TableChange(NamedTuple):
    """What became of a table."""

    name: str
    """Empty for a new one."""
    now: str
    """Its name afterwards; empty when it is gone."""
    rows_before: int = 0
    rows_after: int = 0
    gone: int = 0
    """Rows; where rows have no identity, one that changed is gone and another was added."""
    added: int = 0
    changed: int = 0
    columns: tuple[ColumnChange, ...] = ()
    gone_columns: tuple[str, ...] = ()
    """With values or without."""
    new_columns: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    samples: tuple[Sample, ...] = ()
    """Of the rows that are gone."""

    @property
    def lost(self) -> int:
        """Rows and values that are no longer there."""
        return self.gone + sum(column.lost for column in self.columns)

    @property
    def same(self) -> bool:
        """Whether nothing about it changed."""
        return self == TableChange(self.name, self.name, self.rows_before, self.rows_before)


class Counter(NamedTuple):
    """AUTOINCREMENT of a table that would give out numbers again that rows had before."""

    name: str
    now: str
    """The table's names, before and afterwards."""
    last_before: int
    last_after: int


MISMATCH = "it does not match its rows"


class FullText(NamedTuple):
    """A full-text index that did not pass SQLite's integrity check."""

    name: str
    error: str
    """``MISMATCH``, or why it could not be checked."""
    error_before: str | None
    """The same of before; empty when nothing was wrong, None when there was none."""


def renames(tables: list[TableChange]) -> dict[str, set[str]]:
    """What tables and columns are called now, by what they were; folded."""
    pairs = [(change.name, change.now) for change in tables if change.name and change.now]
    pairs += [pair for change in tables for pair in change.renamed]
    now: dict[str, set[str]] = {}
    for old, new in pairs:
        now.setdefault(fold(old), set()).add(fold(new))
    return now


class Comparison(NamedTuple):
    """All that differs between a state and a later one."""

    structure_before: "Structure"
    structure_after: "Structure"
    tables: list[TableChange]
    """Every table of either, in the order of their names; a new one has no name before."""
    parts_gone: "list[Part]"
    """Indexes, triggers and views that nothing does the work of any more."""
    parts_new: "list[Part]"
    redefined: list[str]
    """Tables, indexes, triggers and views of the same name that are defined in another way."""
    unread: list[str]
    """Tables that cannot be read: nothing is known of them."""
    counters: list[Counter]
    """Those that were set back."""
    full_text: list[FullText]
    """Indexes with something wrong, where that was looked at: it takes a file that is ours."""

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        parts = self.parts_gone or self.parts_new or self.redefined or self.counters
        return not parts and all(change.same for change in self.tables)


class Reading(Protocol):
    """What else is read of the two sides of a comparison, in the same transaction."""

    @property
    def exact(self) -> bool:
        """Whether it wants every value as it is written, whatever means the same."""

    def __call__(self, connection: "Connection", comparison: Comparison, /) -> None:
        """``main`` and ``after`` are the sides. Raises sqlite3.Error, UndropError."""
