"""One of several databases: what it is made of, and its rows, written down for SQLite."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg

from undrop.compare import stand_in
from undrop.engines.postgres import content, session, structure
from undrop.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from undrop.compare.structure import Table
    from undrop.engines.postgres.catalogs import Ask
    from undrop.engines.postgres.structure import Source
    from undrop.values import Progress

LABELS = (
    "SELECT format_type(e.enumtypid, NULL), "
    "array_agg(quote_literal(e.enumlabel) ORDER BY e.enumsortorder) FROM pg_enum e GROUP BY 1"
)
UTC = "'UTC'"
ZONE = "SELECT quote_literal(reset_val) FROM pg_settings WHERE name = 'TimeZone'"
"""Of ALTER DATABASE, ALTER ROLE or the connection (view-pg-settings.html)."""
WHOLE = {"smallint", "integer", "bigint", "oid"}


TIMES = {"timestamp without time zone", "timestamp with time zone"}
JSON = {"json", "jsonb"}
TEXTS = {"text", "character varying", "character", "name"}
MEETING = [
    ({"date", *TIMES}, "timestamp"),
    ({"real", "double precision"}, "double precision"),
    ({"json", "jsonb"}, "jsonb"),
]
"""Types that hold the same, and in which their values are compared where one became the other."""
FINE = "{0} ~ '[.][0-9]{{6}}[0-9]*[1-9]'"  # than a microsecond
ZONED = "{0} ~* ':[0-9.]+ *([+-]|(?!am|pm|bc|ad)[a-z])'"
DATED = "{0} ~ '[0-9] *[-/] *[0-9a-zA-Z]+ *[-/]'"
PAIRS = "length(regexp_replace({0}, '\"([^\"\\\\]|\\\\.)*\"|[^:]', '', 'g'))"
"""How many keys a JSON text has: jsonb keeps one of several that are alike."""
READING = "pg_temp.undrop_read"
READER = f"""CREATE OR REPLACE FUNCTION {READING}(v text, t regtype) RETURNS text
LANGUAGE plpgsql AS 'DECLARE found text; BEGIN
EXECUTE format(''SELECT $1::%s::text'', t) INTO found USING v; RETURN found;
EXCEPTION WHEN others THEN RETURN v; END'"""
"""What a text says as a value of a type, as that type writes it; the text where it says none."""
NEVER = "false"
AS_JSONB = READING + "({0}, 'jsonb')"
READ = {
    **dict.fromkeys(("uuid", "inet", "cidr", "macaddr", "json", "bytea"), NEVER),
    "date": "{0} ~ ':' AND {0} !~ '[ T]00:00(:00([.]0+)?)?$'",
    "timestamp without time zone": FINE,
    "timestamp with time zone": FINE,
    "time without time zone": f"{FINE} OR {ZONED} OR {DATED}",
    "time with time zone": f"{FINE} OR {DATED}",
    "interval": FINE,
    "money": "{0} ~ '[.][0-9]{{2}}[0-9]*[1-9]'",
    "jsonb": f"{PAIRS} <> {PAIRS.replace('{0}', AS_JSONB)}",
}
"""Types of which a text says the same in several ways, and when it says more than they hold."""
TRUE = "'t', 'tr', 'tru', 'true', 'y', 'ye', 'yes', 'on', '1'"
FALSE = "'f', 'fa', 'fal', 'fals', 'false', 'n', 'no', 'of', 'off', '0'"
"""Words for them (datatype-boolean.html)."""
NUMBER = "'^-?(0|[1-9][0-9]*)([.][0-9]+)?$'"
"""A text that says nothing more than a number: of one with zeros before it these would be lost."""


class Side:
    """One database, read in the transaction of its connection.

    ``beside`` asks the one that it is compared with: ``alone`` are partitions that are tables of
    their own there, and so here.
    """

    def __init__(
        self,
        connection: "psycopg.Connection[Any]",
        *,
        rooted: bool,
        version_table: str,
        beside: "Ask | None" = None,
    ) -> None:
        self.connection = connection
        self._look(session.asker(connection), beside, rooted=rooted, version_table=version_table)

    def _look(self, ask: "Ask", beside: "Ask | None", *, rooted: bool, version_table: str) -> None:
        self.ask = ask
        self.alone = structure.apart(ask, beside) if beside else []
        self.structure, self.sources = structure.read(
            ask, rooted=rooted, version_table=version_table, alone=self.alone
        )

    @cached_property
    def labels(self) -> dict[str, list[str]]:
        """Of each enum its labels, as literals, in their order."""
        return dict(self.ask(LABELS))

    def renamed(self, others: "Iterable[Side]") -> dict[str, str]:
        """By type: SQL that gives labels, as a CASE begins, the names that they had elsewhere.

        An enum's labels cannot be taken away, so that another one in the same place is a new name.
        """
        found: dict[str, str] = {}
        for kind, here in self.labels.items():
            for there in (side.labels.get(kind, []) for side in others):
                pairs = [
                    (one, other)
                    for one, other in zip(here, there, strict=False)
                    if one not in there and other not in here
                ]
                if pairs and len(here) == len(there):
                    found[kind] = " ".join(f"WHEN {max(p)} THEN {min(p)}" for p in pairs)
        return found

    @property
    def zone(self) -> str:
        """The time zone that sessions like this one's begin with, as a literal."""
        [[name]] = self.ask(ZONE)
        return str(name)

    @cached_property
    def sums(self) -> dict[str, tuple[int, str]]:
        """Of each table, its rows and their checksum, as they were when that was asked first."""
        sources = self.sources.items()
        return {name: content.sum_of(self.ask, source.sql) for name, source in sources}

    def sum(self, name: str, columns: "Iterable[str]") -> tuple[int, str]:
        """Rows, and the checksum of those columns."""
        listed = f"(SELECT {', '.join(columns)} FROM {self.sources[name].sql} AS t)"  # noqa: S608 - ours
        return content.sum_of(self.ask, listed)

    def types(self, name: str, table: "Table") -> dict[str, str]:
        """What the columns of the table of that name, or origin, are here."""
        source = self.source(name, table)
        return source.columns if source else {}

    def source(self, name: str, table: "Table") -> "Source | None":
        """The table of that name, or origin."""
        roots = (key for key, each in self.structure.tables.items() if 0 != each.root == table.root)
        return self.sources.get(next(roots, name))

    def write(  # noqa: PLR0913 - what is written, and how it is read
        self,
        path: "Path",
        without: "Collection[str]",
        others: "Sequence[Side]",
        progress: "Progress",
        *,
        exact: bool = False,
        zone: str = UTC,
    ) -> None:
        """Every table into a SQLite file; the rows of those in ``without`` are left out.

        Values are as they are compared with those of ``others``; ``exact``: as they are, where
        the type is the same there. ``zone``: the one in which a time without one is read.
        """
        renamed = {} if exact else self.renamed(others)
        with stand_in.written(path) as file:
            for done, (name, table) in enumerate(self.structure.tables.items()):
                source = self.sources[name]
                source.labels = renamed
                there = [found for side in others if (found := side.source(name, table))]
                file.add(
                    table,
                    () if name in without else self._rows(source, there, exact=exact, zone=zone),
                )
                progress("compare", done, len(self.structure.tables))

    def rows_where(
        self, name: str, expression: str, others: "Sequence[Side]"
    ) -> "list[tuple[Any, ...]]":
        """The rows of which an expression is true, as they are written down.

        It may say nothing but what a CHECK may say of a row: a query is none of that. Nothing that
        it does stays. Raises UsageError.
        """
        source, table = self.sources[name], self.structure.tables[name]
        same = "SELECT quote_ident(relname) FROM pg_class WHERE oid = %s::regclass"
        [[copy]] = self.connection.execute(same, [source.name]).fetchall()
        try:
            with self.connection.transaction(force_rollback=True):  # a savepoint
                self.ask(f"CREATE TEMPORARY TABLE {copy} (LIKE {source.name})")
                self.ask("SET LOCAL search_path TO DEFAULT")
                checked = f"ALTER TABLE pg_temp.{copy} ADD CHECK (({expression}\n))"
                # In a form in which the server takes one statement and no more.
                self.connection.execute(checked, binary=True)
                self.ask("SET LOCAL transaction_read_only = on")
                return self.rows(name, others, f"({expression}\n)")
        except psycopg.Error as error:
            raise UsageError(
                f"the server says of that expression: {error.diag.message_primary}",
                "an expression over the columns of",
                table.name,
            ) from error

    def rows(self, name: str, others: "Sequence[Side]", where: str = "true") -> list[Any]:
        """The rows of a table, as they are written down exactly."""
        source, table = self.sources[name], self.structure.tables[name]
        there = [found for side in others if (found := side.source(name, table))]
        return [*self._rows(source, there, exact=True, where=where)]

    def _rows(
        self,
        source: "Source",
        others: "Sequence[Source]",
        *,
        exact: bool,
        where: str = "true",
        zone: str = UTC,
    ) -> "Iterator[tuple[Any, ...]]":
        texts = [read(source, others, name, exact=exact) for name in source.columns]
        if any(READING in text for text in texts):
            self.ask(READER)
        listed = [each if each.endswith("::bigint") else self._as(each) for each in texts]
        # An expression of somebody's names a table's columns by its own name.
        table = f"{source.sql} AS t" if source.sql.startswith("(") else source.sql
        select = f"SELECT {', '.join(listed)} FROM {table} WHERE {where}"  # noqa: S608 - ours
        kinds = ["int8" if each.endswith("::bigint") else "text" for each in listed]
        is_found = content.is_found(self.ask, select)
        if not is_found:
            self.ask("SET LOCAL search_path TO DEFAULT")
        self.ask(f"SET LOCAL TimeZone TO {zone}")
        yield from self._fetched(select, kinds)
        self.ask(f"SET LOCAL TimeZone TO {UTC}")
        if not is_found:
            self.ask("SET LOCAL search_path TO ''")

    def _fetched(self, select: str, kinds: list[str]) -> "Iterator[tuple[Any, ...]]":
        with self.connection.cursor().copy(f"COPY ({select}) TO STDOUT") as copy:
            copy.set_types(kinds)
            yield from copy.rows()

    @property
    def encoded(self) -> bool:
        """Whether the database has an encoding; else its bytes need not be a text in ours."""
        return self.connection.info.parameter_status("server_encoding") != "SQL_ASCII"

    def _as(self, text: str) -> str:
        return text if self.encoded else f"encode(convert_to({text}::text, 'SQL_ASCII'), 'escape')"


def asker(rows: "Callable[[str], Iterator[Any]]") -> "Ask":
    """What asks as ``rows`` does, and waits for all of the answer."""
    return lambda sql: [*rows(sql)]


class OpenSide(Side):
    """A database in a transaction of another process's that is not to be committed.

    ``rows`` runs a query in it.
    """

    def __init__(
        self,
        rows: "Callable[[str], Iterator[Any]]",
        *,
        rooted: bool,
        version_table: str,
        beside: "Ask | None" = None,
    ) -> None:
        self._query = rows
        self._look(asker(rows), beside, rooted=rooted, version_table=version_table)

    def _fetched(self, select: str, _kinds: list[str]) -> "Iterator[tuple[Any, ...]]":
        return map(tuple, self._query(select))

    @property
    def encoded(self) -> bool:
        """As of any other."""
        return bool(self.ask("SHOW server_encoding") != [["SQL_ASCII"]])


def alike(source: "Source", others: "Iterable[Source]", name: str) -> bool:
    """Whether a column has the same type on every side that has it."""
    here = source.kinds[name].declared
    there = [other.kinds[name].declared for other in others if name in other.kinds]
    return all(other == here for other in there)


def other_kind(source: "Source", others: "Iterable[Source]", name: str) -> str:
    """What else a column is on another side; what it is here where it is nothing else."""
    kind = source.columns[name]
    kinds = [other.columns.get(name, kind) for other in others]
    return next((other for other in kinds if other != kind), kind)


def read(source: "Source", others: "Sequence[Source]", name: str, *, exact: bool) -> str:
    """SQL for a column's value, as it is written down."""
    kind = source.columns[name]
    other = other_kind(source, others, name)
    if kind in WHOLE and (exact or other in WHOLE):
        return f"{name}::bigint"
    if exact and alike(source, others, name):
        # What COPY writes is what the type itself reads again; a cast to text need not be.
        return f"{name}::text" if kind == "boolean" else name
    if exact and TEXTS & {kind, other}:
        return f"{name}::text"
    if kind in source.labels and not exact:
        return relabelled(f"{name}::text", source.labels[kind])
    if (of := kind.removesuffix("[]")) in source.labels and not exact:
        each = f"SELECT {relabelled('v::text', source.labels[of])} FROM unnest({name}) AS v"  # noqa: S608
        return f"CASE WHEN {name} IS NOT NULL THEN concat(array_dims({name}), array({each})) END"
    return compared(name, kind, other)


def relabelled(text: str, labels: str) -> str:
    """An enum's label as it is compared (``Side.renamed``)."""
    return f"CASE {text} {labels} ELSE {text} END"


def compared(value: str, kind: str, other: str) -> str:
    """How a value is compared with one of type ``other``: 5.00 and 5 are the same number."""
    if kind == "boolean" and other in WHOLE:
        return f"{value}::int::text"
    if kind == "numeric" or (kind == "money" and other in {*WHOLE, "numeric"}):
        return f"trim_scale({value}::numeric)::text"
    if kind in TEXTS:
        return _of_text(f"{value}::text", other)
    return _as_both(value, kind, other)


def _as_both(value: str, kind: str, other: str) -> str:
    """As a type writes it that holds what both do, where there is one."""
    if (kind == "json" and other.endswith("[]")) or (kind.endswith("[]") and other in JSON):
        kept = f"to_jsonb({value})::text"
        # Of an array that does not begin at 1 that would be lost.
        return f"CASE WHEN {value}::text ~ '^[[][-0-9]+:' THEN {value}::text ELSE {kept} END"
    if (kind, other) == ("json", "jsonb"):
        kept = f"{value}::jsonb::text"
        alike = f"{PAIRS.format(f'{value}::text')} = {PAIRS.format(kept)}"
        return f"CASE WHEN {alike} THEN {kept} ELSE {value}::text END"
    for kinds, common in MEETING:
        if kind != other and {kind, other} <= kinds:
            met = f"{value}::{common}"
            # When clocks are set back, an hour comes twice.
            is_whole = f"{met}::{kind} = {value}" if kind in TIMES else "true"
            return f"CASE WHEN {is_whole} THEN {met}::text ELSE {value}::text END"
    return f"{value}::text"


def _of_text(text: str, other: str) -> str:
    """What a text says, as a value of type ``other`` is written; else the text."""
    if other in READ:
        found = f"{READING}({text}, '{other}')"
        if other == "timestamp without time zone":  # with one it is another moment's
            moment = f"{READING}({text}, 'timestamptz')"
            local = f"regexp_replace({moment}, '[+-][0-9:]+$', '')"
            found = f"CASE WHEN {ZONED.format(text)} THEN {local} ELSE {found} END"
        return f"CASE WHEN {READ[other].format(text)} THEN {text} ELSE {found} END"
    if other == "boolean":
        word = f"lower(trim({text}))"
        cases = f"WHEN {word} IN ({TRUE}) THEN 'true' WHEN {word} IN ({FALSE}) THEN 'false'"
        return f"CASE {cases} ELSE {text} END"
    if other in {"numeric", "real", "double precision"}:
        number = f"trim_scale({text}::numeric)::text"
        return f"CASE WHEN {text} ~ {NUMBER} THEN {number} ELSE {text} END"
    return text
