"""Compare two databases: the tables that differ are copied into SQLite files, and those compared.

Two databases of a server cannot be joined, and SQLite's comparison is there: one judgement of what
a loss is, whatever the engine.
"""

from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from undrop.compare import files, stand_in
from undrop.compare import readable as readables
from undrop.engines.postgres import content, session, structure

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    import psycopg

    from undrop.compare.comparison import Comparison, Reading
    from undrop.compare.readable import Readable
    from undrop.compare.structure import Structure, Table
    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.structure import Source
    from undrop.values import Progress

WHOLE = {"smallint", "integer", "bigint", "oid"}


def databases(  # noqa: PLR0913 - what is compared, and who wants to know
    table_before: "Address",
    table_after: "Address",
    progress: "Progress",
    prefix: str,
    *,
    copied: bool,
    also: "Reading | None" = None,
) -> "Comparison":
    """Compare two databases that nobody writes; ``copied``: one was made as a copy of the other.

    ``also`` is given the SQLite files that stand for them, without the rows of tables that are the
    same.

    Raises UndropError.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix=prefix)))
        sides = [
            _Side(stack.enter_context(session.opened(address, "comparing")), rooted=copied)
            for address in (table_before, table_after)
        ]
        old, new = sides
        same = {
            name
            for name in old.structure.tables
            if name in new.structure.tables and _kept(old, new, name)
        }
        for number, side in enumerate(sides):
            side.exact = also is not None and also.exact
            side.write(folder / f"{number}.db", progress, same, sides[1 - number])
        known: tuple[Structure, Structure] = (old.structure, new.structure)
        comparison = files.compare(
            folder / "0.db", folder / "1.db", progress, known=known, also=also
        )
        counts = {old.structure.tables[name].name: old.sums[name][0] for name in same}
        tables = [
            change._replace(rows_before=counts[change.name], rows_after=counts[change.name])
            if change.name in counts and change.name == change.now
            else change
            for change in comparison.tables
        ]
        return comparison._replace(tables=tables)


@contextmanager
def readable(
    connection: "psycopg.Connection[Any]", progress: "Progress", prefix: str
) -> "Iterator[Readable]":
    """What a connection sees, in a SQLite file. Raises UndropError."""
    with TemporaryDirectory(prefix=prefix) as folder:
        side, path = _Side(connection, rooted=False), Path(folder, "state.db")
        side.write(path, progress)
        with readables.opened(path, side.structure) as copied:
            yield copied


def _kept(old: "_Side", new: "_Side", name: str) -> bool:
    """Whether every value of a table is where it was, as the servers' checksums tell."""
    table_before, table_after = old.structure.tables[name], new.structure.tables[name]
    if table_before._replace(root=0) == table_after._replace(root=0):
        return old.sums[name] == new.sums[name]
    # Columns that came take nothing away: of gigabytes, that spares reading every row.
    columns = old.types(name, table_before)
    if [c.name for c in table_before.key] != [c.name for c in table_after.key] or not columns:
        return False
    there = new.types(name, table_after).items()
    return columns.items() <= there and old.sum(name, columns) == new.sum(name, columns)


class _Side:
    exact = False
    """Whether values are written as they are, not as those that mean the same."""

    def __init__(self, connection: "psycopg.Connection[Any]", *, rooted: bool) -> None:
        self._connection = connection
        ask = session.asker(connection)
        self.structure, self._sources = structure.read(ask, rooted=rooted)

    @cached_property
    def sums(self) -> dict[str, tuple[int, str]]:
        """Of each table, its rows and their checksum."""
        ask = session.asker(self._connection)
        return {name: content.sum_of(ask, source.sql) for name, source in self._sources.items()}

    def sum(self, name: str, columns: dict[str, str]) -> tuple[int, str]:
        """Rows, and the checksum of those columns."""
        listed = f"(SELECT {', '.join(columns)} FROM {self._sources[name].sql} AS t)"  # noqa: S608
        return content.sum_of(session.asker(self._connection), listed)

    def types(self, name: str, table: "Table") -> dict[str, str]:
        """What the columns of the table of that name, or origin, are here."""
        roots = (key for key, each in self.structure.tables.items() if 0 != each.root == table.root)
        found = self._sources.get(next(roots, name))
        return found.columns if found else {}

    def write(
        self,
        path: Path,
        progress: "Progress",
        without: "Container[str]" = (),
        other: "_Side | None" = None,
    ) -> None:
        """Every table into a SQLite file; the rows of those in ``without`` are left out.

        Values are written to be compared with the ``other`` side's, where there is one.
        """
        with stand_in.written(path) as file:
            for done, (name, table) in enumerate(self.structure.tables.items()):
                source, others = self._sources[name], (other or self).types(name, table)
                file.add(table, () if name in without else self._rows(source, others))
                progress("compare", done, len(self.structure.tables))

    def _rows(self, source: "Source", others: dict[str, str]) -> "Iterator[tuple[Any, ...]]":
        texts = (
            f"{name}::text"
            if self.exact and kind not in WHOLE
            else _value(name, kind, others.get(name, kind))
            for name, kind in source.columns.items()
        )
        values = ", ".join(each if each.endswith("bigint") else self._as(each) for each in texts)
        select = f"COPY (SELECT {values} FROM {source.sql} AS t) TO STDOUT"  # noqa: S608 - quoted
        kinds = ["int8" if kind in WHOLE else "text" for kind in source.columns.values()]
        with self._connection.cursor().copy(select) as copy:
            copy.set_types(kinds)
            yield from copy.rows()

    def _as(self, text: str) -> str:
        """Where a database has no encoding, its bytes need not be a text in ours."""
        if self._connection.info.parameter_status("server_encoding") != "SQL_ASCII":
            return text
        return f"encode(convert_to({text}, 'SQL_ASCII'), 'escape')"


TEXTS = {"text", "character varying", "character", "name"}
MEETING = [
    ({"date", "timestamp without time zone", "timestamp with time zone"}, "timestamp"),
    ({"real", "double precision"}, "double precision"),
    ({"json", "jsonb"}, "jsonb"),
    ({"money", "numeric"}, "numeric"),
]
"""Types that hold the same, and in which their values are compared where one became the other."""


def _value(name: str, kind: str, other: str) -> str:
    """How a value is compared with one of type ``other``: 5.00 and 5 are the same number."""
    if kind in WHOLE:
        return f"{name}::bigint"
    if kind == "boolean" and other in WHOLE:
        return f"{name}::int::text"
    if kind == "numeric":
        return f"{name}::text" if other in TEXTS else f"trim_scale({name})::text"
    for kinds, common in MEETING:
        if kind != other and {kind, other} <= kinds:
            return f"{name}::{common}::text"
    return f"{name}::text"
