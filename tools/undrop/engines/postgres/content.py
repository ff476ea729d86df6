"""What a database holds, in numbers: rows and checksums by table, sequences, large objects."""

import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop import digest
from undrop.engines.postgres import apart as reading
from undrop.engines.postgres import locks
from undrop.engines.postgres.catalogs import (
    MEMBER,
    NAME,
    RELATIONS,
    SYSTEM,
    TRUSTED,
    version_tables_in,
)
from undrop.values import VERSION_TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from undrop.engines.postgres.apart import Apart
    from undrop.engines.postgres.catalogs import Ask

OURS = (
    f"({TRUSTED.format('{0}.relowner')} "
    "OR coalesce({0}.xmin = pg_current_xact_id_if_assigned()::xid, false))"
)
"""Whether a table's owner may become who asks, or this very transaction has made it, so that nobody
else has seen it yet (Alembic makes its own before it asks us, as whatever role it has)."""
ROWS = (
    # By name: pg_dump puts an inherited column before a child's own, wherever it was.
    f"SELECT {NAME}, quote_ident(o.nspname) || '.' || quote_ident(t.relname), "  # noqa: S608 - ours
    "array(SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = t.oid "
    # What is generated is so again; and COPY has no word for it.
    "AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attname), "
    "coalesce(e.condition, ''), "
    f"{OURS.format('t')} "
    "FROM pg_class t JOIN pg_namespace o ON o.oid = t.relnamespace "
    # In which of its partitions a row is depends on the server: an enum's hash on its OIDs
    # (app-pgdump.html, --load-via-partition-root).
    "JOIN pg_class c ON c.oid = coalesce(pg_partition_root(t.oid), t.oid) "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    # Of an extension's own tables, what pg_dump has of them.
    "LEFT JOIN (SELECT relation, condition FROM pg_extension x CROSS JOIN LATERAL "
    "unnest(x.extconfig, x.extcondition) AS u (relation, condition)) e ON e.relation = t.oid "
    f"WHERE NOT ({SYSTEM}) AND t.relkind = 'r' "
    f"AND (e.relation IS NOT NULL OR NOT {MEMBER.format('pg_class', 't')}) ORDER BY 1, 2"
)
COLUMNS = (
    f"SELECT {OURS.format('c')}, (SELECT json_object_agg("  # noqa: S608 - our own
    "quote_ident(a.attname), format_type(a.atttypid, a.atttypmod)) FROM pg_attribute a "
    "WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') "
    "FROM pg_class c WHERE c.oid = '{}'::regclass"
)


class Content(NamedTuple):
    """What a database holds."""

    tables: dict[str, tuple[int, str]]
    """Rows, and a checksum in which their order does not count, by the name that people use; of
    all partitions under their root's."""
    sequences: dict[str, str]
    large_objects: str
    definitions: str
    """A digest of every definition, as SQL."""
    revisions: list[str]

    @property
    def rows(self) -> dict[str, int]:
        """Rows by table."""
        return {name: count for name, (count, _) in self.tables.items()}

    @property
    def filled(self) -> list[str]:
        """Tables that have rows, Alembic's own among them."""
        return sorted(name for name, (count, _) in self.tables.items() if count)

    @property
    def data(self) -> str:
        """What tells these rows and large objects from others."""
        return digest.of_text(json.dumps([sorted(self.tables.items()), self.large_objects]))

    @property
    def positions(self) -> str:
        """What tells these sequences' positions from others."""
        return digest.of_text(json.dumps(sorted(self.sequences.items())))

    @property
    def all(self) -> str:
        """What tells this state from others: three digests, so that each can be compared."""
        return f"{self.data} {self.positions} {self.definitions}"


HELD = (
    "SELECT count(pg_sequence_last_value(c.oid)) FROM pg_class c "
    "WHERE c.relkind = 'S' AND c.relpersistence <> 't'"
)
"""Locks every sequence until the transaction ends (lock_and_open_sequence in sequence.c), which no
LOCK does: what is read by a sequence's name afterwards is that one."""


def read(
    ask: "Ask",
    definitions: "Callable[[], str] | None" = None,
    version_table: str = VERSION_TABLE,
    apart: "Apart | None" = None,
) -> Content:
    """Count and sum up everything, in the transaction that ``ask`` is in, settled for it.

    ``definitions`` gives every definition, as SQL, and is asked last; without it they are none.
    ``apart`` is how the tables of those are read whose code must not run here (``Apart``); without
    it, it may.

    A row's text is hashed to 128 bits (``hashtextextended`` with two seeds) and a table's hashes
    are added up.
    """
    listed = ask(ROWS)
    ours = [each for each in listed if each[-1] or not apart]
    tables: dict[str, tuple[int, str]] = {}
    for name, sql, columns, condition, _ in ours:
        rows = f"(SELECT {', '.join(columns)} FROM ONLY {sql} {condition})"  # noqa: S608
        _add(tables, name, sum_of(ask, rows))
    if apart and len(ours) < len(listed):
        with apart.opened() as copied:
            for name, sql, columns, *_ in (each for each in listed if not each[-1]):
                there = copied(sql, dict.fromkeys(columns, "text"))
                _add(tables, name, sum_of(there, reading.ROWS))
    ask(HELD)
    sequences = {
        name: str(tuple(ask(f"SELECT last_value, is_called FROM {sql}")[0]))  # noqa: S608
        for name, sql in ask(RELATIONS.format("S"))
    }
    large_objects = str(tuple(ask(LARGE_OBJECTS)[0]))
    known = revisions(ask, version_table, apart)
    defined = definitions_of(ask, definitions() if definitions else "")
    return Content(tables, sequences, large_objects, defined, known)


def _add(tables: dict[str, tuple[int, str]], name: str, sums: tuple[int, str]) -> None:
    """Add the sums of a table's rows (``sum_of``; of no rows the server says NULL) to a name's."""
    before = tables.get(name, (0, ""))
    if before[0] and sums[0]:
        pairs = zip(before[1].split(" "), sums[1].split(" "), strict=True)
        sums = before[0] + sums[0], " ".join(str(int(x) + int(y)) for x, y in pairs)
    tables[name] = sums if sums[0] or name not in tables else before


def definitions_of(ask: "Ask", definitions: str) -> str:
    """A digest of every definition, as SQL, and of what no dump says with them."""
    return digest.of_text(definitions + str([tuple(each) for each in ask(OF_LARGE_OBJECTS)]))


PIECE = 1 << 20  # bytes of a large object at a time: all of one may be 4 TB
HASHED = "length(p.data), hashtextextended(encode(p.data, 'hex'), 0)"
PIECES = (
    "WITH RECURSIVE pieces (oid, n, bytes, hash) AS ("  # noqa: S608 - our own
    f"SELECT o.oid, 0, {HASHED} FROM pg_largeobject_metadata o, "
    f"LATERAL (SELECT lo_get(o.oid, 0, {PIECE}) AS data OFFSET 0) p UNION ALL "
    f"SELECT o.oid, o.n + 1, {HASHED} FROM pieces o, "
    f"LATERAL (SELECT lo_get(o.oid, (o.n + 1)::int8 * {PIECE}, {PIECE}) AS data OFFSET 0) p "
    f"WHERE o.bytes = {PIECE}) "
)
HASH_OF_PIECE = "hashtextextended(concat_ws(' ', oid, n, bytes, hash), 0)"
LARGE_OBJECTS = (
    f"{PIECES} SELECT count(*) FILTER (WHERE n = 0), sum({HASH_OF_PIECE})::text FROM pieces"  # noqa: S608
)
EACH_LARGE_OBJECT = (  # as it stands after FROM
    f"({PIECES} SELECT oid::int8, sum({HASH_OF_PIECE})::text AS content FROM pieces GROUP BY oid)"  # noqa: S608
)
OF_LARGE_OBJECTS = (  # pg_dump --schema-only leaves them out
    "SELECT o.oid::text, pg_get_userbyid(o.lomowner)::text, o.lomacl::text, "
    "obj_description(o.oid, 'pg_largeobject') FROM pg_largeobject_metadata o ORDER BY o.oid"
)


UNRESOLVED = {"42883", "42P01", "42704", "3F000"}
"""The server's codes for a name that it does not find (errcodes-appendix.html)."""
SUM = (
    "SELECT pg_catalog.count(*), "
    "pg_catalog.sum(pg_catalog.hashtextextended(v, 0::pg_catalog.int8))::pg_catalog.text, "
    "pg_catalog.sum(pg_catalog.hashtextextended(v, 1::pg_catalog.int8))::pg_catalog.text "
    "FROM (SELECT (undrop_row.*)::pg_catalog.text AS v, pg_catalog.clock_timestamp() "
    "FROM {} AS undrop_row) AS texts"
)
"""Something volatile keeps the text from being made twice, as OFFSET 0 would, and unlike that lets
the server's parallel workers do it (postgresql.org/docs/current/parallel-safety.html)."""


def is_found(ask: "Ask", select: str) -> bool:
    """Whether a query finds all that it needs under the search_path of now; nothing of it is run.

    To plan one the server works out what the tables' indexes call, and that may name what it needs
    without a schema.
    """
    ask("SAVEPOINT undrop_plan")
    try:
        ask(f"EXPLAIN {select}")
    except Exception as error:
        if locks.code(error) not in UNRESOLVED:
            raise
        ask("ROLLBACK TO SAVEPOINT undrop_plan")
        return False
    ask("RELEASE SAVEPOINT undrop_plan")
    return True


def sum_of(ask: "Ask", table: str) -> tuple[int, str]:
    """Rows of a table, as it stands after FROM, and their checksum."""
    ask("SAVEPOINT undrop_sum")
    try:
        [sums] = ask(SUM.format(table))
    except Exception as error:
        if locks.code(error) not in UNRESOLVED:
            raise
        # An index calls a function that names what it needs without a schema (``is_found``).
        ask("ROLLBACK TO SAVEPOINT undrop_sum")
        ask("SET LOCAL search_path TO DEFAULT")
        [sums] = ask(SUM.format(table))
        ask("SET LOCAL search_path TO ''")
    ask("RELEASE SAVEPOINT undrop_sum")
    return sums[0], f"{sums[1]} {sums[2]}"


def revisions(ask: "Ask", version_table: str, apart: "Apart | None" = None) -> list[str]:
    """The revision(s), by a ``Session.version_table``; ``apart`` as for ``read``."""
    known = version_tables_in(ask, version_table)
    if not known:
        return []
    table = next(iter(known.values()))
    wanted = f"SELECT {table.revision}, {table.order} FROM {{}}"  # noqa: S608
    rows: list[Any] = []
    for sql in known:
        [[ours, columns]] = ask(COLUMNS.format(sql.replace("'", "''")))
        if ours or not apart:
            rows += ask(wanted.format(sql))
        else:
            with apart.opened() as copied:
                rows += copied(sql, columns)(wanted.format(reading.ROWS))
    found = [str(revision) for revision, _ in sorted(rows, key=itemgetter(1))]
    return found if table.every else found[-1:]
