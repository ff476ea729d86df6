"""What a PostgreSQL database is made of, in the words of ``undrop.compare.structure``."""

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop.compare import ddl
from undrop.compare.structure import (
    Clause,
    Column,
    ForeignKey,
    Part,
    Reference,
    Structure,
    Table,
    fold,
)
from undrop.engines.postgres import catalogs, content, objects
from undrop.engines.postgres.catalogs import MEMBER, NAME, SYSTEM
from undrop.errors import UndropError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undrop.engines.postgres.catalogs import Ask

LARGE = "large objects"
SQL_NAME = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
LEAVES = (
    f"SELECT {SQL_NAME}, c.relispartition, quote_literal({SQL_NAME}) FROM pg_class c "  # noqa: S608
    f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND NOT ({SYSTEM})"
)
ROOTS_OF = (
    f"SELECT {SQL_NAME} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "  # noqa: S608
    "c.oid IN (SELECT pg_partition_root(each) FROM unnest(ARRAY[{}]::regclass[]) AS each)"
)
DEFERRABLE = re.compile(r"(?<! NOT )\bDEFERRABLE( INITIALLY DEFERRED)?")
ACTIONS = {
    "a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"
}  # fmt: skip
OURS = (
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE NOT ({SYSTEM}) AND NOT {MEMBER.format('pg_class', 'c')} "
    "AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
)
TABLES = (
    f"SELECT c.oid, {NAME}, quote_ident(n.nspname) || '.' || quote_ident(c.relname), "
    f"c.relkind::text, concat(c.relrowsecurity, c.relforcerowsecurity), "
    "CASE WHEN c.relpersistence = 'p' THEN 'LOGGED' ELSE '' END, CASE c.relreplident "
    f"WHEN 'd' THEN 'DEFAULT' WHEN 'f' THEN 'FULL' WHEN 'i' THEN 'USING INDEX' ELSE '' END {OURS} "
    "ORDER BY 2"
)
COLUMNS = (
    "SELECT a.attrelid, quote_ident(a.attname), upper(format_type(a.atttypid, a.atttypmod)), "  # noqa: S608
    "a.attnotnull, pg_get_expr(d.adbin, d.adrelid), "
    "coalesce(array_position(k.conkey, a.attnum), 0), "
    "CASE WHEN a.attgenerated <> '' THEN 3 ELSE 0 END, "
    "a.attidentity::text, format_type(a.atttypid, NULL), format_type(a.atttypid, a.atttypmod), "
    # Without its length: what CAST is told, which would make of a value one that fits.
    "format_type(a.atttypid, -1), (SELECT 'COLLATE ' || quote_ident(l.collname) FROM pg_collation "
    "l WHERE l.oid = a.attcollation AND l.collname <> 'default') FROM pg_attribute a "
    "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
    "LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'p' "
    f"WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN (SELECT c.oid {OURS}) "
    "ORDER BY a.attrelid, a.attnum"
)
CONSTRAINTS = (
    "SELECT k.conrelid, k.contype::text, pg_get_constraintdef(k.oid), "  # noqa: S608 - our own
    "(SELECT array_agg(quote_ident(a.attname) ORDER BY o) FROM unnest(k.conkey) WITH ORDINALITY "
    "AS u (attnum, o) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum), "
    f"(SELECT {NAME} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.oid = k.confrelid), k.confupdtype::text, k.confdeltype::text, "
    "(SELECT array_agg(quote_ident(a.attname) ORDER BY o) FROM unnest(k.confkey) WITH ORDINALITY "
    "AS u (attnum, o) JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum) "
    "FROM pg_constraint k "
    f"WHERE k.conrelid IN (SELECT c.oid {OURS})"
)
INDEXES = (
    f"SELECT {NAME.replace('c.', 'ic.')}, {NAME}, pg_get_indexdef(i.indexrelid) "  # noqa: S608
    "FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON "
    "c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE NOT ({SYSTEM}) AND NOT ic.relispartition AND i.indisvalid "
    "AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)"
)
TRIGGERS = (
    f"SELECT quote_ident(t.tgname), {NAME}, concat_ws(' ', pg_get_triggerdef(t.oid), "  # noqa: S608
    "CASE WHEN t.tgenabled <> 'O' THEN 'enabled ' || t.tgenabled::text END) FROM pg_trigger t "
    "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE NOT t.tgisinternal AND NOT c.relispartition AND NOT ({SYSTEM})"
)
POLICIES = (
    f"SELECT quote_ident(p.polname), {NAME}, concat_ws(' ', p.polcmd, p.polpermissive, "  # noqa: S608
    "CASE WHEN p.polroles <> '{0}' THEN (SELECT 'to ' || string_agg(quote_ident("
    "pg_get_userbyid(r)), ' ' ORDER BY r) FROM unnest(p.polroles) AS r) END, "
    "pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) "
    "FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid "
    f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT ({SYSTEM})"
)
VIEWS = (
    f"SELECT {NAME}, {NAME}, concat_ws(' ', pg_get_viewdef(c.oid), c.reloptions::text) "  # noqa: S608
    "FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE c.relkind IN ('v', 'm') AND NOT ({SYSTEM}) AND NOT {MEMBER.format('pg_class', 'c')}"
)
FUNCTIONS = (
    "SELECT CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END "  # noqa: S608
    "|| quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')', '', "
    "CASE p.prokind WHEN 'a' THEN (SELECT concat_ws(' ', g.aggkind, g.aggtransfn, "
    "g.aggfinalfn, g.agginitval, format_type(g.aggtranstype, NULL)) "
    "FROM pg_aggregate g WHERE g.aggfnoid = p.oid) "
    "ELSE pg_get_functiondef(p.oid) END FROM pg_proc p "
    f"JOIN pg_namespace n ON n.oid = p.pronamespace WHERE NOT ({SYSTEM}) "
    f"AND NOT {MEMBER.format('pg_proc', 'p')}"
)
PARTS = {
    "index": INDEXES, "trigger": TRIGGERS, "view": VIEWS, "policy": POLICIES,
    "function": FUNCTIONS, **objects.PARTS,
}  # fmt: skip


class Kind(NamedTuple):
    """What a column is, in SQL."""

    plain: str
    """Its type without a length, for people."""
    declared: str
    """Its type with the length."""
    cast: str
    """Its type as CAST takes any length."""
    always: bool
    """GENERATED ALWAYS AS IDENTITY."""


class Source:
    """A table, as it is read: its name in SQL, whether it has partitions, what each column is."""

    def __init__(self, sql: str, kind: str, kinds: dict[str, Kind]) -> None:
        self.name = sql
        self.sql = f"ONLY {sql}" if kind == "r" else sql
        self.kinds = kinds
        """By name."""
        self.columns = {name: each.plain for name, each in kinds.items()}
        """Type, without its length, by name."""
        self.labels: dict[str, str] = {}
        """What an enum's labels are compared as, where they are called otherwise on another side
        (``Side.renamed``)."""


def apart(here: "Ask", there: "Ask") -> list[str]:
    """Partitions that are tables of their own in the other database, as literals."""
    alone = {name for name, partition, _ in there(LEAVES) if not partition}
    return [text for name, partition, text in here(LEAVES) if partition and name in alone]


def read(
    ask: "Ask", *, rooted: bool, version_table: str, alone: "Sequence[str]" = ()
) -> tuple[Structure, dict[str, Source]]:
    """The structure, and how to read each table's rows, by folded name.

    ``alone``: partitions that are looked at as tables of their own (``apart``).

    ``rooted``: tables may be known by their OIDs, since one database is a copy of the other.
    ``version_table``: the one that is left out (``Session.version_table``); empty for none.
    """
    if not alone:
        return _read(ask, rooted=rooted, version_table=version_table)
    less = ", ".join(alone)

    def ask_so(sql: str) -> list[Any]:
        for table in "c", "ic":
            is_alone = f"(NOT {table}.relispartition OR {SQL_NAME} IN ({less}))"
            sql = sql.replace(f"NOT {table}.relispartition", is_alone)
        return ask(sql)

    structure, sources = _read(ask_so, rooted=rooted, version_table=version_table)
    roots = {name for (name,) in ask(ROOTS_OF.format(less))}
    for source in sources.values():
        if source.name in roots:
            others = f"tableoid <> ALL (ARRAY[{less}]::regclass[])"
            source.sql = f"(SELECT * FROM {source.name} WHERE {others})"  # noqa: S608 - the server's
    return structure, sources


def _read(ask: "Ask", *, rooted: bool, version_table: str) -> tuple[Structure, dict[str, Source]]:
    columns: dict[int, dict[str, Column]] = defaultdict(dict)
    clauses: dict[int, dict[Clause, str]] = defaultdict(dict)
    kinds: dict[int, dict[str, Kind]] = defaultdict(dict)
    texts: dict[int, list[str]] = defaultdict(list)
    for oid, name, kind, required, default, key, hidden, identity, *said in ask(COLUMNS):
        clauses[oid][Clause("COLLATE", column=fold(name))] = said[3] or ""
        _refuse_alike(name, columns[oid].get(fold(name)))
        numbered = identity or (default or "").startswith("nextval(")
        by = "nextval()" if numbered else default  # whichever sequence that is
        columns[oid][fold(name)] = Column(name, kind, required, by, key, hidden)
        texts[oid].append(f"{name} {kind} {default} {identity} {hidden} {required}")
        if not hidden:
            kinds[oid][name] = Kind(said[0], said[1], said[2], always=identity == "a")
    keys: dict[int, set[ForeignKey]] = defaultdict(set)
    references: dict[int, list[Reference]] = defaultdict(list)
    uniques: dict[int, set[tuple[str, ...]]] = defaultdict(set)
    checks: dict[int, set[str]] = defaultdict(set)
    for oid, listed in columns.items():
        for name, column in listed.items():
            computed = f"GENERATED ALWAYS AS ({column.default})" if column.hidden else ""
            clauses[oid][Clause("AS", column=name)] = computed
    for oid, kind, text, names, parent, update, delete, to in ask(CONSTRAINTS):
        texts[oid].append(text)
        folded = tuple(fold(name) for name in names or ())
        if kind == "f":
            keys[oid].add(ForeignKey(folded, fold(parent), ACTIONS[update], ACTIONS[delete]))
            points_to = tuple(fold(each) for each in to)
            references[oid].append(Reference(folded, fold(parent), points_to, ACTIONS[delete]))
            late = DEFERRABLE.search(text)
            about = Clause("DEFERRABLE", "foreign key", folded, fold(parent))
            clauses[oid][about] = late[0] if late else ""
        elif kind == "u":
            uniques[oid].add(tuple(sorted(folded)))
        elif kind == "c":
            checks[oid].add(" ".join(ddl.words(text)[2:-1]))
    tables: dict[str, Table] = {}
    sources: dict[str, Source] = {}
    passed_over = catalogs.version_tables_in(ask, version_table)
    for oid, name, sql, kind, security, logged, identity in ask(TABLES):
        if sql in passed_over:
            continue
        _refuse_alike(name, tables.get(fold(name)))
        texts[oid].append(security)
        clauses[oid] |= {Clause("LOGGED"): logged, Clause("REPLICA IDENTITY"): identity}
        tables[fold(name)] = Table(
            name,
            virtual=False,
            rowid=True,
            columns=columns[oid],
            key_index=True,
            foreign_keys=frozenset(keys[oid]),
            uniques=frozenset(uniques[oid]),
            checks=frozenset(checks[oid]),
            definition=" ".join(sorted(texts[oid])),
            root=oid if rooted else 0,
            clauses=clauses[oid],
            counter=0,
            references=tuple(sorted(references[oid])),
        )
        sources[fold(name)] = Source(sql, kind, kinds[oid])
    parts = {
        (kind, fold(name)): _part(kind, name, table, text, sources)
        for kind, sql in PARTS.items()
        for name, table, text in ask(sql)
    }
    if ask("SELECT 1 FROM pg_largeobject_metadata LIMIT 1"):
        tables[LARGE], sources[LARGE] = _large_objects()
    return Structure(tables, parts, [], {}), sources


def _refuse_alike(name: str, other: Table | Column | None) -> None:
    """Names that differ in the case of their letters alone would be taken for one."""
    if other:
        raise UndropError(
            f"{other.name} and {name} differ in the case of letters only: they cannot be compared",
            "give one of them another name",
        )


def _large_objects() -> tuple[Table, Source]:
    """They are told of as a table of their numbers and contents."""
    oid = Column("oid", "BIGINT", required=True, default=None, key=1, hidden=0)
    hash_ = Column("content", "TEXT", required=True, default=None, key=0, hidden=0)
    table = Table(
        LARGE,
        virtual=False,
        rowid=True,
        columns={"oid": oid, "content": hash_},
        key_index=True,
        foreign_keys=frozenset(),
        uniques=frozenset(),
        checks=frozenset(),
        definition="",
        root=0,
        clauses={},
        counter=0,
    )
    kinds = {
        name: Kind(kind, kind, kind, always=False)
        for name, kind in (("oid", "bigint"), ("content", "text"))
    }
    return table, Source(content.EACH_LARGE_OBJECT, "", kinds)


def _part(kind: str, name: str, table: str, text: str, sources: dict[str, Source]) -> Part:
    """Its table goes by the name that people use, in one word: that may change, and its schema."""
    if source := sources.get(fold(table)):
        text = f"{text} ".replace(f" {source.name} ", f' "{table}" ')
    if kind == "function":
        called = name.partition("(")[0]
        schema = "" if "." in called else "public."
        text = (text or "").replace(f"{schema}{called}(", "(", 1)
    clauses = ddl.index(text) if kind == "index" else {}
    return Part(kind, name, table, ddl.definition(text or "", name.rpartition(".")[2]), clauses)
