"""The line that brings a row back that live lacks, or that had other values."""

import re
from typing import TYPE_CHECKING, NamedTuple

from undrop.compare.recovery import own_table
from undrop.recipes import Action
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from undrop.compare.lookup import Row


UNPLAIN = re.compile(r'^$|^[-\s]|\s$|[,"\r\n]')
"""What ``--key`` takes for something else: it is CSV."""


class Back(NamedTuple):
    """What a backup has of some rows of a table, and live has not."""

    backup: str
    """Its name."""
    names: tuple[str, ...]
    """As the loss report has them: ``rows items``, ``items.price``; none where live has no tables
    to put them into."""
    keys: "tuple[Row, ...]"
    """Of the rows, by column."""
    by_rowid: bool = False
    """Whether that is the rowid: the table has no primary key."""
    overwrite: bool = False
    """Whether live has another value in the place of one of those."""

    @property
    def action(self) -> Action:
        """What to type."""
        if not self.names:
            return Action("restore", self.backup)
        how = ["--overwrite"] if self.overwrite else []
        kind, _, table = self.names[0].partition(" ")
        if kind == "table":  # live's schema has no place for it
            how = ["--into", own_table(table)]
        return Action("recover", "--from", self.backup, *self.names, *self._which, *how)

    @property
    def _which(self) -> tuple[str, str]:
        values = [str(value) for key in self.keys for value in key.values()]
        plain = all(UNPLAIN.search(value) is None for value in values)
        one = all(len(key) == 1 for key in self.keys)
        whole = all(isinstance(v, int | str) for key in self.keys for v in key.values())
        if one and plain and whole and not self.by_rowid:
            return "--key", ",".join(values)
        return "--where", " OR ".join(map(self._test, self.keys))

    def _test(self, key: "Row") -> str:
        tests = (f"{self._name(name)} = {_literal(value)}" for name, value in key.items())
        return " AND ".join(tests)

    def _name(self, name: str) -> str:
        """PostgreSQL's are in quotation marks already, where they need some."""
        return name if self.by_rowid or name[:1] == '"' else quoted(name)


def _literal(value: object) -> str:
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return str(value)
