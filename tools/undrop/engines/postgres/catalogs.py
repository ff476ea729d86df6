"""Asking the server's catalogs: what is the user's own, and how it is called."""

from collections.abc import Callable
from typing import Any

Ask = Callable[[str], list[Any]]
"""Runs one statement and gives its rows."""
MEMBER = (
    "EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = '{0}'::regclass AND e.objid = {1}.oid "
    "AND e.deptype = 'e')"
)
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
VERSIONS = (
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
    "WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped GROUP BY n.nspname, c.relname "
    "HAVING array_agg(a.attname::text) = ARRAY['version_num'] "
    "AND min(format_type(a.atttypid, a.atttypmod)) ~ '^(character varying|text)'"
)
