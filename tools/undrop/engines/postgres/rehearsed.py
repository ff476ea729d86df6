"""What migrations did where they were rehearsed, and whether they did the same elsewhere."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from undrop.engines.postgres import catalogs, content, structure
from undrop.values import VERSION_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from undrop.engines.postgres.catalogs import Ask
    from undrop.engines.postgres.side import Side
    from undrop.engines.postgres.structure import Source

Facts = set[tuple[str, str]]
"""Of each thing what it is, for people, and a part of its definition."""
FILES = (
    "SELECT coalesce(r.oid, c.oid)::int8, string_agg(concat(c.oid, ' ', "
    "pg_relation_filenode(c.oid)), ' ' ORDER BY c.oid) FROM pg_class c "
    "LEFT JOIN pg_class r ON r.oid = pg_partition_root(c.oid) "
    "WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 GROUP BY 1"
)
"""Of each table, its partitions with it, where its rows are."""
WRITTEN = (
    "SELECT DISTINCT coalesce(pg_partition_root(relid), relid)::int8 FROM "
    "pg_stat_xact_all_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
)
"""In this transaction (monitoring-stats.html, pg_stat_xact_all_tables)."""
COUNTED = "SELECT current_setting('track_counts') = 'on'"
MOST = 400  # columns in a query: the server takes 1,664 expressions
WHY = "the copy has another name, and may have other owners and grants"


def facts(ask: "Ask") -> Facts:
    """Every definition but of Alembic's own table, in parts.

    The transaction of ``ask`` is settled for it.
    """
    own = catalogs.version_tables_in(ask, VERSION_TABLE)  # Alembic makes it when it likes
    tables = {row[0]: row for row in ask(structure.TABLES) if row[2] not in own}
    parts = [(oid, row[4]) for oid, row in tables.items()]
    parts += [(row[0], " ".join(map(str, row[1:8]))) for row in ask(structure.COLUMNS)]
    parts += [(row[0], row[2]) for row in ask(structure.CONSTRAINTS)]
    found = {(f"table {tables[oid][1]}", str(text)) for oid, text in parts if oid in tables}
    for kind, sql in structure.PARTS.items():
        found |= {(f"{kind} {name}", f"{table} {text}") for name, table, text in ask(sql)}
    return found


def columns(ask: "Ask", source: "Source") -> dict[str, tuple[int, str]]:
    """Of each column of a table how many values are no NULL, and their checksum."""
    names = [*source.columns]
    found: dict[str, tuple[int, str]] = {}
    for first in range(0, len(names), MOST):
        part = names[first : first + MOST]
        wanted = ", ".join(
            f"count({name}), sum(hashtextextended({name}::text, 0))::text" for name in part
        )
        table = f"{source.sql} AS t" if source.sql.startswith("(") else source.sql
        [row] = ask(f"SELECT {wanted} FROM {table}")  # noqa: S608 - names of the catalogs
        found |= {name: (row[2 * n], str(row[2 * n + 1])) for n, name in enumerate(part)}
    return found


def told(old: "Side", new: "Side") -> str:
    """What was done from one side to the other, in JSON, for ``Watch.difference``."""
    tables: dict[str, Any] = {}
    for name, source in new.sources.items():
        rows, checksum = new.sums[name]
        if old.sums.get(name) == new.sums[name]:
            tables[name] = [rows, checksum, {}]
            continue
        there = columns(new.ask, source)
        before = columns(old.ask, old.sources[name]) if name in old.sources else {}
        each = {
            column: [count, sums if before.get(column) == (count, sums) else ""]
            for column, (count, sums) in there.items()
        }
        tables[name] = [rows, "", each]
    was, now = facts(old.ask), facts(new.ask)
    delta = [sorted(now - was), [what for what, _ in sorted(was - now)]]
    return json.dumps([tables, *delta])


class Watch:
    """A transaction in which migrations run, from before the first one."""

    def __init__(self, ask: "Ask") -> None:
        self._ask = ask
        self._files = dict(ask(FILES))
        self._facts = facts(ask)

    def difference(self, rehearsed: str) -> str:
        """How it differs from what ``told`` has told; empty where it does not."""
        tables, added, gone = json.loads(rehearsed)
        ask = self._ask
        now = facts(ask)
        here = now - self._facts
        left = Counter(what for what, _ in self._facts - now)
        added = {tuple(each) for each in added}
        if here != added or left != Counter(gone):
            items = {what for what, _ in here ^ added}
            items |= {what for what in {*left, *gone} if left[what] != gone.count(what)}
            return f"{', '.join(sorted(items)[:5])}: defined otherwise"
        _, sources = structure.read(ask, rooted=False, version_table="")
        return next(filter(None, self._rows(tables, sources)), "")

    def _rows(self, tables: dict[str, Any], sources: "dict[str, Source]") -> "Iterable[str]":
        ask = self._ask
        files = dict(ask(FILES))
        touched = {oid for oid, each in files.items() if self._files.get(oid) != each}
        touched |= {oid for (oid,) in ask(WRITTEN)}
        if not ask(COUNTED)[0][0]:
            touched = {*files}
        oids = {f"{sql}": oid for oid, _, sql, *_ in ask(structure.TABLES)}
        for name, (rows, checksum, wanted) in tables.items():
            source = sources.get(name)
            if source is None:
                yield f"table {name}: it is not there"
                continue
            if checksum and source.name in oids and oids[source.name] not in touched:
                continue
            count, sums = content.sum_of(ask, source.sql)
            if count != rows:
                yield f"table {name}: {count:,} rows, {rows:,} where it was rehearsed"
            elif checksum and sums != checksum:
                yield f"table {name}: other values, which the rehearsal kept"
            elif wanted:
                there = columns(ask, source)
                for column, (filled, kept) in wanted.items():
                    if there[column][0] != filled:
                        yield (
                            f"table {name}: {there[column][0]:,} values of {column}, "
                            f"{filled:,} where it was rehearsed"
                        )
                    elif kept and there[column][1] != kept:
                        yield f"table {name}: other values of {column}, which the rehearsal kept"
