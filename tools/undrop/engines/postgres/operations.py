"""What a merge does to a table, as SQL for PostgreSQL, and the temporary table that says to what.

The statements are the same in the scratch database, where they are tried, and in the live one.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from undrop.compare.structure import fold
from undrop.engines.postgres import side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from undrop.compare.merge import Ops
    from undrop.engines.postgres.structure import Kind, Source
    from undrop.sqlitefile.connect import Connection


class Field(NamedTuple):
    """A column of the table, and what its values are on the other sides."""

    name: str
    """In SQL."""
    kind: "Kind"
    alike: bool
    """Whether it has the same type on every side: then its values are exactly what they are."""
    other: str
    """What it is elsewhere."""
    read: str
    """SQL for its value, as it is written down."""
    given: bool
    """Whether the other sides have the column."""


class Operations:
    """Those on one table: rows to put in, to change, to take away."""

    def __init__(
        self, ops: "Ops", source: "Source", others: "Sequence[Source]", *, encoded: bool
    ) -> None:
        self.ops, self.source, self._encoded = ops, source, encoded
        self.name = fold(ops.table.name)
        self.rows = f"pg_temp.undrop_rows_{ops.number}"
        """Of the transaction; ``o`` and ``d`` are the texts of a row's values before and after."""
        shared = {fold(column.ours.name) for column in ops.match.shared}
        self.fields = [
            Field(
                column.name,
                source.kinds[column.name],
                side.alike(source, others, column.name),
                side.other_kind(source, others, column.name),
                side.read(source, others, column.name, exact=True),
                fold(column.name) in shared,
            )
            for column in ops.table.data
        ]
        self.places = {fold(field.name): n for n, field in enumerate(self.fields)}
        self.key = [self.places[fold(column.ours.name)] for column in ops.match.key]
        self.changed: list[int] = []
        """Columns that change in any row."""
        self.has: set[str] = set()
        """What is to be done: ``put``, ``change``, ``gone``."""

    @property
    def given(self) -> list[int]:
        """Columns that have a value in a row that is put in."""
        return [n for n, field in enumerate(self.fields) if field.given]

    def text(self, alias: str, values: str, n: int) -> str:
        """SQL for the text of a value before (``o``) or after (``d``)."""
        text = f"{alias}.{values}[{n + 1}]"
        return text if self._encoded else f"convert_from(decode({text}, 'escape'), 'SQL_ASCII')"

    def value(self, alias: str, values: str, n: int) -> str:
        """SQL for that value."""
        return f"CAST({self.text(alias, values, n)} AS {self.fields[n].kind.cast})"

    def load(self, connection: "psycopg.Connection[Any]", sqlite: "Connection") -> None:
        """Bring the operations to the server, for the transaction."""
        name = self.rows.removeprefix("pg_temp.")
        connection.execute(
            f"CREATE TEMPORARY TABLE {name} "
            "(n bigint PRIMARY KEY, does text, o text[], d text[]) ON COMMIT DROP"
        )
        count = len(self.fields)
        listed = ", ".join(f"{values}{n}" for values in "od" for n in range(count))
        select = f"SELECT {', '.join(filter(None, ['n, does', listed]))} FROM {self.ops.rows}"  # noqa: S608
        changed, has = set[int](), set[str]()
        with connection.cursor().copy(f"COPY {self.rows} FROM STDIN") as copy:
            for n, does, *values in sqlite.execute(select):
                texts = [None if value is None else str(value) for value in values]
                old, new = texts[:count], texts[count:]
                if does == "change":
                    changed.update(at for at in range(count) if old[at] != new[at])
                has.add(does)
                copy.write_row((n, does, old, new))
        self.changed, self.has = sorted(changed), has
        connection.execute(f"ANALYZE {self.rows}")

    def gone(self, only: str = "") -> "Iterator[str]":
        """Take rows away; ``only`` narrows ``x``, the operations, down."""
        if self.key:
            yield (
                f"DELETE FROM {self.source.sql} AS t USING {self.rows} AS x "  # noqa: S608 - quoted
                f"WHERE x.does = 'gone'{only} AND {self._on()}"
            )
            return
        here = ", ".join(f.name if f.alike else f.read for f in self.fields)
        there = ", ".join(
            self.value("x", "o", n) if f.alike else self.text("x", "o", n)
            for n, f in enumerate(self.fields)
        )
        yield (
            f"WITH going AS (SELECT ROW({there})::text AS row, count(*) AS times FROM {self.rows} "  # noqa: S608
            f"AS x WHERE x.does = 'gone'{only} GROUP BY 1), "
            f"here AS (SELECT tableoid AS part, ctid AS place, ROW({here})::text AS row "
            f"FROM {self.source.sql}), "
            "chosen AS (SELECT part, place, times, row_number() OVER (PARTITION BY row) AS number "
            "FROM here JOIN going USING (row)) "
            f"DELETE FROM {self.source.sql} AS t USING chosen AS c "
            "WHERE c.number <= c.times AND t.tableoid = c.part AND t.ctid = c.place"
        )

    def change(self, only: str = "") -> "Iterator[str]":
        """Change values in place; the others stay exactly what they are."""
        sets = ", ".join(f"{self.fields[n].name} = {self._new('t', n)}" for n in self.changed)
        yield (
            f"UPDATE {self.source.sql} AS t SET {sets} FROM {self.rows} AS x "  # noqa: S608 - quoted
            f"WHERE x.does = 'change'{only} AND {self._on()}"
        )

    def anew(self, only: str = "") -> "Iterator[str]":
        """Take the rows that change away, all of them, and put them in again as they are to be."""
        kept = f"undrop_kept_{self.ops.number}"
        names = ", ".join(field.name for field in self.fields)
        listed = ", ".join(f"t.{field.name}" for field in self.fields)
        yield (
            f"CREATE TEMPORARY TABLE {kept} ON COMMIT DROP AS SELECT {listed}, x.n AS undrop_n "  # noqa: S608
            f"FROM {self.source.sql} AS t JOIN {self.rows} AS x ON x.does = 'change'{only} "
            f"AND {self._on()}"
        )
        yield (
            f"DELETE FROM {self.source.sql} AS t USING {self.rows} AS x "  # noqa: S608 - quoted
            f"WHERE x.does = 'change'{only} AND {self._on()}"
        )
        values = ", ".join(
            self._new("t", n) if n in self.changed else f"t.{field.name}"
            for n, field in enumerate(self.fields)
        )
        yield (
            f"INSERT INTO {self.source.name} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} "  # noqa: S608
            f"FROM pg_temp.{kept} AS t JOIN {self.rows} AS x ON x.n = t.undrop_n"
        )

    def put(self, only: str = "") -> "Iterator[str]":
        """Put rows in."""
        names = ", ".join(self.fields[n].name for n in self.given)
        values = ", ".join(self.value("x", "d", n) for n in self.given)
        yield (
            f"INSERT INTO {self.source.name} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} "  # noqa: S608
            f"FROM {self.rows} AS x WHERE x.does = 'put'{only} ORDER BY x.n"
        )

    def _new(self, alias: str, n: int) -> str:
        same = f"x.o[{n + 1}] IS NOT DISTINCT FROM x.d[{n + 1}]"
        name, value = self.fields[n].name, self.value("x", "d", n)
        return f"CASE WHEN {same} THEN {alias}.{name} ELSE {value} END"

    def _on(self) -> str:
        """SQL for: the row has that key."""
        pairs = ((self.fields[n].name, self.value("x", "o", n)) for n in self.key)
        return " AND ".join(f"t.{name} = {value}" for name, value in pairs)

    def casts(self, only: str = "") -> str:
        """A query that fails where a value is none of its column's type."""
        counted = ", ".join(f"count({self.value('x', 'd', n)})" for n in self.given)
        return f"SELECT {counted} FROM {self.rows} AS x WHERE x.does <> 'gone'{only}"  # noqa: S608

    def unfit(self) -> "Iterator[str]":
        """Queries for operations that a column, of another type elsewhere, would round or cut."""
        for n, field in enumerate(self.fields):
            if field.alike or not field.given:
                continue
            value, kind = self.value("x", "d", n), field.kind
            tests = []
            if kind.declared != kind.cast:
                tests.append(f"CAST({value} AS {kind.declared}) IS DISTINCT FROM {value}")
            if any({kind.plain, field.other} <= kinds for kinds, _ in side.MEETING):
                again = side.compared(value, kind.plain, field.other)
                tests.append(f"{again} IS DISTINCT FROM {self.text('x', 'd', n)}")
            if tests:
                yield (
                    f"SELECT x.n FROM {self.rows} AS x WHERE x.does <> 'gone' AND "  # noqa: S608
                    f"(x.does = 'put' OR x.o[{n + 1}] IS DISTINCT FROM x.d[{n + 1}]) "
                    f"AND ({' OR '.join(tests)})"
                )

    def given_rows(self) -> str:
        """The table, as it stands after FROM, with the columns that the other sides have."""
        names = ", ".join(self.fields[n].name for n in self.given)
        return f"(SELECT {names} FROM {self.source.sql} AS t)"  # noqa: S608 - quoted
