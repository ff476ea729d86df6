"""Asking the server's catalogs: what is the user's own, and how it is called."""

from collections.abc import Callable
from typing import Any

from undrop.values import VERSION_TABLES, VersionTable, version_tables

Ask = Callable[[str], list[Any]]
"""Runs one statement and gives its rows."""
MEMBER = (
    "EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = '{0}'::regclass AND e.objid = {1}.oid "
    "AND e.deptype = 'e')"
)
TRUSTED = "(pg_has_role({0}, current_user, 'MEMBER') AND pg_has_role({0}, session_user, 'MEMBER'))"
"""Whether a role may become the user of the session anyway: whatever code runs in it may do so with
RESET ROLE, where the database or the user has a ``role`` set."""
SYSTEM = "n.nspname = 'information_schema' OR n.nspname ^@ 'pg_'"  # nobody else may be called so
NAME = (
    "CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END "
    "|| quote_ident(c.relname)"
)
RELATIONS = (
    f"SELECT {NAME}, quote_ident(n.nspname) || '.' || quote_ident(c.relname) "  # noqa: S608 - ours
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE NOT ({SYSTEM}) AND NOT {MEMBER.format('pg_class', 'c')} "
    "AND c.relkind = '{0}' ORDER BY 1"
)
_ALEMBICS = (
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
    "WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped GROUP BY n.nspname, c.relname "
    "HAVING array_agg(a.attname::text) = ARRAY['version_num'] "
    "AND bool_and(a.atttypid IN ('varchar'::regtype, 'text'::regtype))"
)
_NAMED = (
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), n.nspname = 'public', "  # noqa: S608 - ours
    "array_agg(lower(a.attname)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = 'r' AND a.attnum > 0 "
    f"AND NOT a.attisdropped AND NOT ({SYSTEM}) AND c.relname = '{{0}}' GROUP BY 1, 2 "
    # A type of somebody's has functions of theirs.
    "HAVING bool_and(a.atttypid < 16384) ORDER BY 2"
)


def version_tables_in(ask: Ask, wanted: str) -> dict[str, VersionTable]:
    """Where revisions are, by name in SQL: of one tool, the likeliest one that ``wanted`` may mean.

    Alembic's is known by its one column, in any schema and whatever it is called. Another tool's is
    in ``public``, else in the one schema that has such a table.
    """
    for table in version_tables(wanted):
        if table.revision == VERSION_TABLES[0].revision:
            if alembics := {str(name): table for (name,) in ask(_ALEMBICS)}:
                return alembics
            continue
        there = [row for row in ask(_NAMED.format(table.name)) if table.columns <= {*row[2]}]
        if there and (there[-1][1] or len(there) == 1):
            return {str(there[-1][0]): table}
    return {}
