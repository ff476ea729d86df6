"""Take everything out of a database but what belongs to the server: extensions and ``public``."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.engines.postgres import grants
from undrop.engines.postgres.catalogs import MEMBER, SYSTEM
from undrop.errors import UndropError

if TYPE_CHECKING:
    from undrop.engines.postgres.catalogs import Ask

FIRST_OF_USERS = 16384  # lower OIDs are the server's own (access/transam.h, FirstNormalObjectId)
ACROSS = (
    "pg_event_trigger", "pg_publication", "pg_foreign_server", "pg_foreign_data_wrapper", "pg_cast",
    "pg_transform", "pg_language", "pg_am",
)  # fmt: skip
"""Catalogs of what lies in no schema, in the order in which it goes."""
OWNED_ACROSS = " UNION ALL ".join(
    f"SELECT '{kind} ' || c.{prefix}name, pg_get_userbyid(c.{prefix}owner) FROM {catalog} c "  # noqa: S608
    f"WHERE c.oid >= {FIRST_OF_USERS} AND NOT {MEMBER.format(catalog, 'c')} "
    f"AND NOT pg_has_role(c.{prefix}owner, 'MEMBER')"
    for kind, catalog, prefix in (
        ("publication", "pg_publication", "pub"),
        ("event trigger", "pg_event_trigger", "evt"),
        ("server", "pg_foreign_server", "srv"),
        ("foreign-data wrapper", "pg_foreign_data_wrapper", "fdw"),
    )
)
KEPT_SCHEMA = (
    "(n.nspname = 'public' OR EXISTS (SELECT 1 FROM pg_extension x WHERE x.extnamespace = n.oid))"
)
IN_SCHEMAS = (
    "SELECT i.type, i.identity FROM pg_depend d "  # noqa: S608 - our own
    "JOIN pg_namespace n ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid "
    "CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i "
    f"WHERE NOT ({SYSTEM}) AND d.deptype = 'n' AND d.classid <> 'pg_extension'::regclass "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = d.classid "
    # A partitioned table depends on its own key's columns (StorePartitionKey, heap.c).
    "AND e.objid = d.objid AND e.objsubid = 0 AND e.deptype IN ('e', 'i', 'a') "
    "AND (e.refclassid, e.refobjid) <> (e.classid, e.objid))"
)
SQL_NAMES = {
    "composite type": "TYPE",
    "statistics object": "STATISTICS",
    "foreign-data wrapper": "FOREIGN DATA WRAPPER",
    "default acl": "",
}


class Contents(NamedTuple):
    """Everything of the user's that is in a database."""

    objects: list[tuple[str, str]]
    """By kind and name, in SQL."""
    large: list[int]
    """Large objects."""


def find(ask: "Ask") -> Contents:
    """What is there for the transaction that ``ask`` is in."""
    objects = ask(IN_SCHEMAS)
    for catalog in ACROSS:
        objects += ask(
            f"SELECT i.type, i.identity FROM {catalog} c CROSS JOIN LATERAL "  # noqa: S608 - ours
            f"pg_identify_object('{catalog}'::regclass, c.oid, 0) i "
            f"WHERE c.oid >= {FIRST_OF_USERS} AND NOT {MEMBER.format(catalog, 'c')}"
        )
    named = [(SQL_NAMES.get(kind, kind.upper()), name) for kind, name in objects]
    large = [oid for (oid,) in ask("SELECT oid::int8 FROM pg_largeobject_metadata")]
    return Contents([(kind, _spelled(kind, name)) for kind, name in named if kind], large)


def _spelled(kind: str, name: str) -> str:
    """As DROP wants it, where pg_identify_object says it otherwise."""
    if kind == "AGGREGATE" and name.endswith("()"):
        return f"{name[:-2]}(*)"
    return name.replace(" on language ", " LANGUAGE ") if kind == "TRANSFORM" else name


def refuse_strange(ask: "Ask") -> None:
    """Raise UndropError for what this user could drop and not give back to its owner.

    A schema's owner may drop what others own in it; making a role the owner takes its membership.
    """
    strange = ask(
        "SELECT n.nspname || '.' || c.relname, pg_get_userbyid(c.relowner) FROM pg_class c "  # noqa: S608
        f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT ({SYSTEM}) "
        f"AND NOT {MEMBER.format('pg_class', 'c')} AND NOT pg_has_role(c.relowner, 'MEMBER') "
        "UNION ALL SELECT n.nspname || '.' || p.proname, pg_get_userbyid(p.proowner) FROM pg_proc "
        f"p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE NOT ({SYSTEM}) "
        f"AND NOT {MEMBER.format('pg_proc', 'p')} AND NOT pg_has_role(p.proowner, 'MEMBER') "
        f"UNION ALL {OWNED_ACROSS} LIMIT 1"
    )
    if strange:
        what, owner = strange[0]
        raise UndropError(
            f"{what} belongs to {owner}: what this user took away it could not bring back",
            f"let the URL name a user who is a member of {owner}, then the same command again",
        )


def is_empty(ask: "Ask") -> bool:
    """Whether there is nothing to lose in it: no object, no schema, no large object."""
    if any(find(ask)):
        return False
    return not ask(f"SELECT 1 FROM pg_namespace n WHERE NOT ({SYSTEM}) AND NOT {KEPT_SCHEMA}")  # noqa: S608


def empty(ask: "Ask", there: Contents, extensions: "set[tuple[str, str]] | None" = None) -> None:
    """Drop all of ``there``, in the transaction that ``ask`` is in.

    Extensions stay: only some users may make one again. Of those that are this user's own, the
    ones that are not among ``extensions``, names and schemas in SQL, go (None: all stay); their
    tables' rows of the user's go in any case.
    """
    refuse_strange(ask)
    first = {"EVENT TRIGGER", "PUBLICATION"}  # they act on what is dropped after them
    for kind, name in sorted(there.objects, key=lambda each: each[0] not in first):
        ask(f"DROP {kind} IF EXISTS {name} CASCADE")
    if extensions is not None:
        for name, schema in ask(
            "SELECT quote_ident(x.extname), quote_ident(n.nspname) FROM pg_extension x "
            "JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname <> 'plpgsql' "
            "AND pg_has_role(x.extowner, 'USAGE')"
        ):
            if (name, schema) not in extensions:
                ask(f"DROP EXTENSION IF EXISTS {name} CASCADE")
    for (name,) in ask(
        "SELECT quote_ident(n.nspname) FROM pg_namespace n "  # noqa: S608 - our own
        f"WHERE NOT ({SYSTEM}) AND NOT {KEPT_SCHEMA} AND NOT {MEMBER.format('pg_namespace', 'n')}"
    ):
        ask(f"DROP SCHEMA {name} RESTRICT")
    large = ",".join(map(str, there.large))
    ask(f"SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = ANY('{{{large}}}')")  # noqa: S608
    _forget_extensions_rows(ask)
    grants.reset(ask)


def _forget_extensions_rows(ask: "Ask") -> None:
    """The rows that a dump has of an extension's own tables: they come back with it."""
    rows = ask(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), e.condition "
        "FROM pg_extension x CROSS JOIN LATERAL unnest(x.extconfig, x.extcondition) "
        "AS e (relation, condition) JOIN pg_class c ON c.oid = e.relation AND c.relkind = 'r' "
        "JOIN pg_namespace n ON n.oid = c.relnamespace"
    )
    for table, condition in rows:
        ask(f"DELETE FROM {table} {condition or ''}")  # noqa: S608 - the extension's own words
