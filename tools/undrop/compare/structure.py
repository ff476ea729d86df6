"""What a database is made of: tables, columns, keys, constraints, indexes, triggers, views."""

from typing import NamedTuple

SMALL = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def fold(name: str) -> str:
    """A name as names are compared: of ASCII letters alone the case does not count."""
    return name.translate(SMALL)


class Column(NamedTuple):
    """A column."""

    name: str
    type: str
    """As declared, in capitals."""
    required: bool
    """NOT NULL."""
    default: str | None
    key: int
    """Its place in the primary key from 1; 0 when it is not in it."""
    hidden: int
    """0 for data; 1 for a virtual table's own, 2 and 3 for generated columns."""


class ForeignKey(NamedTuple):
    """From which columns to which table, and what happens when a row there changes or goes."""

    columns: tuple[str, ...]
    parent: str
    on_update: str
    on_delete: str


class Reference(NamedTuple):
    """Which columns hold the key of a row of which table."""

    columns: tuple[str, ...]
    parent: str
    to: tuple[str, ...]
    """The parent's columns; all names are folded."""
    on_delete: str


class Clause(NamedTuple):
    """What a constraint, a column or an index may say beside what it is; names are folded."""

    kind: str
    """``COLLATE``, ``ON CONFLICT``, ``DESC``, ``WHERE``…"""
    of: str = ""
    """The constraint: ``UNIQUE``, ``foreign key``…; empty for a column, a table or an index."""
    columns: tuple[str, ...] = ()
    """Those of the constraint."""
    parent: str = ""
    column: str = ""
    """The one that it is about, if it is about one."""


TEXT, NO_TEXT = Clause("content"), "content=''"
"""Where a full-text index has what it shows; that it shows nothing."""
NO_WHERE = "no WHERE"
"""What a unique index says that is for every row."""


class Table(NamedTuple):
    """A table that holds rows of its own; of a virtual one, what it shows."""

    name: str
    virtual: bool
    rowid: bool
    columns: dict[str, Column]
    """By folded name, in their order."""
    key_index: bool
    """Whether the primary key has an index of its own."""
    foreign_keys: frozenset[ForeignKey]
    uniques: frozenset[tuple[str, ...]]
    checks: frozenset[str]
    definition: str
    """Its SQL with comments, spaces and its own name taken out."""
    root: int
    """Number of the page where it begins, or what else a renamed table keeps; 0 when unknown."""
    clauses: dict[Clause, str]
    """What is said, by what it is about; empty where nothing is said of what is there."""
    counter: int
    """The last number that AUTOINCREMENT gave to a row; 0 when it counts nothing."""
    references: tuple[Reference, ...] = ()
    """Its foreign keys, with what they point to."""

    @property
    def data(self) -> list[Column]:
        """The columns whose values are stored, not computed."""
        return [column for column in self.columns.values() if column.hidden == 0]

    @property
    def key(self) -> list[Column]:
        """The primary key's columns in its order."""
        return sorted((c for c in self.columns.values() if c.key), key=lambda c: c.key)

    @property
    def key_is_rowid(self) -> bool:
        """Whether the primary key is the rowid's alias (sqlite.org/lang_createtable.html#rowid)."""
        return self.rowid and not self.virtual and bool(self.key) and not self.key_index

    @property
    def rowid_name(self) -> str:
        """Its alias, or a name of the rowid that no column hides; empty when there is none."""
        if self.key_is_rowid:
            return self.key[0].name
        free = (name for name in ("rowid", "_rowid_", "oid") if name not in self.columns)
        return next(free, "") if self.rowid else ""


class Part(NamedTuple):
    """An index, a trigger, a view, or a virtual table with nothing to read in it (``table``)."""

    kind: str
    name: str
    table: str
    definition: str
    """Its SQL with comments, spaces and its own name taken out."""
    clauses: dict[Clause, str]
    """Of an index, as those of a table."""


class Structure(NamedTuple):
    """A database's schema."""

    tables: dict[str, Table]
    """By folded name; not the database's own, Alembic's, nor what virtual tables keep data in."""
    parts: dict[tuple[str, str], Part]
    """By kind and folded name."""
    unread: list[str]
    """Tables that cannot be read; they are among the parts."""
    external: dict[str, Table]
    """By folded name, full-text indexes of another table's text; they are among the parts."""
