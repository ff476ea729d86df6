"""What migrations did where they were rehearsed, and whether they did the same elsewhere."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from undrop.engines.postgres import catalogs, content, sequences, structure
from undrop.engines.postgres.sequences import End
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
NAMES = (
    f"SELECT c.oid::int8, {catalogs.NAME}, "  # noqa: S608 - ours
    "quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') "
    f"AND NOT c.relispartition AND NOT ({catalogs.SYSTEM})"
)
RIGHTS = (
    f"SELECT 'relation ' || {catalogs.NAME}, concat('owner ', c.relowner::regrole) "  # noqa: S608 - ours
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE NOT ({catalogs.SYSTEM}) AND c.relkind <> 'i' "
    f"UNION SELECT 'relation ' || {catalogs.NAME}, concat_ws(' ', a.grantee::regrole, "
    "a.privilege_type, a.is_grantable) FROM pg_class c JOIN pg_namespace n "
    "ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault("
    "CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END, c.relowner))) a "
    f"WHERE NOT ({catalogs.SYSTEM}) AND c.relkind <> 'i' "
    "UNION SELECT 'schema ' || n.nspname, concat_ws(' ', n.nspowner::regrole, a.grantee::regrole, "
    "a.privilege_type, a.is_grantable) FROM pg_namespace n CROSS JOIN LATERAL "
    "aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a "
    f"WHERE NOT ({catalogs.SYSTEM}) "
    "UNION SELECT 'publication ' || p.pubname, concat_ws(' ', p.puballtables, p.pubinsert, "
    "p.pubupdate, p.pubdelete, p.pubtruncate, r.prrelid::regclass) FROM pg_publication p "
    "LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid"
)
COUNTED = "SELECT current_setting('track_counts') = 'on'"
MOST = 400  # columns in a query: the server takes 1,664 expressions
WHY = "the copy has another name, and may have other owners and grants"


def facts(ask: "Ask", *, rights: bool) -> Facts:
    """Every definition but of Alembic's own table, in parts; ``rights``: and owners and grants.

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
    if rights:
        passed = {f"relation {sql.removeprefix('public.')}" for sql in own}
        found |= {(str(what), str(text)) for what, text in ask(RIGHTS) if what not in passed}
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


class Begun:
    """Where migrations begin: the tables that are there, and which are written to since."""

    def __init__(self, ask: "Ask") -> None:
        self.files, self._written = dict(ask(FILES)), set[int]()
        self._names = {oid: name for oid, name, _ in ask(NAMES)}

    def done(self, ask: "Ask") -> dict[str, int | None] | None:
        """Of each table written to by now, its rows as the transaction of ``ask`` has them.

        None for one that is gone; none of them where nobody counts. It is to be asked at each
        commit: a session counts what is later than its last report, which may be several
        transactions (pgstat_report_stat in pgstat.c).
        """
        if not ask(COUNTED)[0][0]:
            return None
        files, names = dict(ask(FILES)), {oid: called for oid, *called in ask(NAMES)}
        self._written |= {oid for (oid,) in ask(WRITTEN)}
        moved = {oid for oid in {*files, *self.files} if files.get(oid) != self.files.get(oid)}
        found: dict[str, int | None] = {}
        for oid in self._written | moved:
            if called := names.get(oid):
                name, sql = called
                [[found[name]]] = ask(f"SELECT count(*) FROM {sql}")  # noqa: S608 - quoted
            elif gone := self._names.get(oid):
                found.setdefault(gone, None)
        return found


def told(old: "Side", new: "Side", commits: list[Any], *, rights: bool) -> str:
    """What was done from one side to the other, in JSON, for ``Watch``.

    ``commits`` are what ``Begun.done`` said at each. ``rights``: both have all owners, grants and
    publications that live has.
    """
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
    was, now = facts(old.ask, rights=rights), facts(new.ask, rights=rights)
    delta = [sorted(now - was), [what for what, _ in sorted(was - now)]]
    ends = [sequences.ends(side.ask) for side in (old, new)]
    return json.dumps([tables, *delta, rights, new.alone, *ends, commits])


class Watch:
    """A transaction in which migrations run, from before the first one.

    ``rehearsed`` is what ``told`` has told of them; empty where nobody looked.
    """

    def __init__(self, rehearsed: str, begun: Begun, ask: "Ask") -> None:
        self._begun, self._passed = begun, 0
        self._rehearsed = json.loads(rehearsed) if rehearsed else None
        self.ends = sequences.ends(ask)
        if self._rehearsed:
            self._facts = facts(ask, rights=self._rehearsed[3])

    def on_the_way(self, ask: "Ask") -> str:
        """The same of a commit that is not the last: which tables were written to, their rows."""
        there = self._rehearsed[-1][self._passed :] if self._rehearsed else []
        self._passed += 1
        here = self._begun.done(ask)
        if not there or there[0] is None or here is None:
            return ""
        [wanted, *_] = there
        for name in sorted({*here, *wanted}):
            one, other = (_said(each, name) for each in (here, wanted))
            if one != other:
                return f"table {name}: {one}, {other} where it was rehearsed"
        return ""

    def difference(self, ask: "Ask", *, alone: bool) -> str:
        """How it differs from the rehearsal; empty where it does not, or nobody looked.

        ``alone``: it was one transaction, which ``ask`` is in.
        """
        if not self._rehearsed:
            return ""
        tables, added, gone, rights, partitions, before, after, _ = self._rehearsed
        was, now = self._facts, facts(ask, rights=rights)
        here = now - was
        left = Counter(what for what, _ in was - now)
        added = {tuple(each) for each in added}
        if here != added or left != Counter(gone):
            items = {what for what, _ in here ^ added}
            items |= {what for what in {*left, *gone} if left[what] != gone.count(what)}
            return f"{', '.join(sorted(items)[:5])}: defined otherwise"
        _, sources = structure.read(ask, rooted=False, version_table="", alone=partitions)
        rows = self._rows(tables, sources, ask, alone=alone)
        return next(iter(rows), "") or next(iter(self._sequences(before, after, ask)), "")

    def _sequences(
        self, before: dict[str, list[Any]], after: dict[str, list[Any]], ask: "Ask"
    ) -> "Iterable[str]":
        """Those that are behind where they stood here, and where the rehearsal left them.

        Others may have been given numbers meanwhile: further on is no difference.
        """
        for name, end in sequences.ends(ask).items():
            began, least = self.ends.get(name), after.get(name)
            if least is None:
                continue  # not in the copy: of a relation that no dump has
            numbers = [End(*least).number]
            if began and name in before and began.is_behind(End(*before[name]).number):
                numbers.append(began.number)  # somebody had set it back since the backup
            if all(end.is_behind(number) for number in numbers):
                yield (
                    f"sequence {name.removeprefix('public.')}: set back to {end.number:,}, "
                    f"{numbers[0]:,} where it was rehearsed"
                )

    def _rows(
        self, tables: dict[str, Any], sources: "dict[str, Source]", ask: "Ask", *, alone: bool
    ) -> "Iterable[str]":
        files = dict(ask(FILES))
        touched = {oid for oid, each in files.items() if self._begun.files.get(oid) != each}
        touched |= {oid for (oid,) in ask(WRITTEN)}
        if not (alone and ask(COUNTED)[0][0]):
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


def _said(rows: dict[str, int | None], name: str) -> str:
    if name not in rows:
        return "not written to"
    return "gone" if rows[name] is None else f"{rows[name]:,} rows"
