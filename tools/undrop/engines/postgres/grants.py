"""Grants that outlast what is dropped: back to a new database's. A dump says what differs."""

from typing import TYPE_CHECKING

from undrop.engines.postgres.catalogs import MEMBER, SYSTEM

if TYPE_CHECKING:
    from undrop.engines.postgres.catalogs import Ask

KINDS = {
    "r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS",
    "L": "LARGE OBJECTS",
}  # fmt: skip
TO_ALL = {"f": "EXECUTE", "T": "USAGE"}  # what PUBLIC has by itself (sql-grant.html, Notes)
WHO = "CASE {0} WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid({0})) END"
STAYING = (
    f"NOT ({SYSTEM}) AND NOT {MEMBER.format('pg_namespace', 'n')} "
    "AND pg_has_role(n.nspowner, 'USAGE')"
)


def reset(ask: "Ask") -> None:
    """For new objects, and for the schemas that stayed, as far as this user may."""
    _for_new_objects(ask)
    _of_schemas(ask)


def _for_new_objects(ask: "Ask") -> None:
    """One that is what it would be without an entry loses the entry (SetDefaultACL, aclchk.c)."""
    for role, schema, kind, grantees in ask(
        "SELECT quote_ident(pg_get_userbyid(d.defaclrole)), quote_ident(n.nspname), "  # noqa: S608
        f"d.defaclobjtype::text, array(SELECT DISTINCT {WHO.format('a.grantee')} "
        "FROM aclexplode(d.defaclacl) a) FROM pg_default_acl d "
        "LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace "
        "WHERE pg_has_role(d.defaclrole, 'MEMBER')"
    ):
        where = f" IN SCHEMA {schema}" if schema else ""
        alter = f"ALTER DEFAULT PRIVILEGES FOR ROLE {role}{where}"
        if kind not in KINDS:
            continue
        for grantee in grantees:
            ask(f"{alter} REVOKE ALL ON {KINDS[kind]} FROM {grantee}")
        if not schema:
            ask(f"{alter} GRANT ALL ON {KINDS[kind]} TO {role}")
            if kind in TO_ALL:
                ask(f"{alter} GRANT {TO_ALL[kind]} ON {KINDS[kind]} TO PUBLIC")


def _of_schemas(ask: "Ask") -> None:
    # Since PostgreSQL 15 (release notes, E.19.2) it belongs to whoever owns the database.
    for name in ask(
        "SELECT quote_ident(n.nspname) FROM pg_namespace n JOIN pg_roles r "  # noqa: S608 - our own
        f"ON r.rolname = 'pg_database_owner' WHERE n.nspname = 'public' AND {STAYING} "
        "AND n.nspowner <> r.oid AND pg_has_role(r.oid, 'MEMBER') "
        "AND current_setting('server_version_num')::int >= 150000"
    ):
        ask(f"ALTER SCHEMA {name[0]} OWNER TO pg_database_owner")
    for name, owner, grantees, comment in ask(
        f"SELECT quote_ident(n.nspname), {WHO.format('n.nspowner')}, "  # noqa: S608 - our own
        f"array(SELECT DISTINCT {WHO.format('a.grantee')} FROM aclexplode(n.nspacl) a), "
        "obj_description(n.oid, 'pg_namespace') IS NOT DISTINCT FROM "
        "CASE n.nspname WHEN 'public' THEN 'standard public schema' END "
        f"FROM pg_namespace n WHERE {STAYING}"
    ):
        for grantee in grantees:
            ask(f"REVOKE ALL ON SCHEMA {name} FROM {grantee} CASCADE")
        if grantees:
            ask(f"GRANT ALL ON SCHEMA {name} TO {owner}")
        if not comment:
            words = "'standard public schema'" if name == "public" else "NULL"
            ask(f"COMMENT ON SCHEMA {name} IS {words}")
    # A dump has no word for what it was given when it was made, by the server or an extension.
    for name, privilege, grantee in ask(
        f"SELECT quote_ident(n.nspname), a.privilege_type, {WHO.format('a.grantee')} "  # noqa: S608
        "FROM pg_init_privs p JOIN pg_namespace n ON n.oid = p.objoid "
        "AND p.classoid = 'pg_namespace'::regclass "
        f"CROSS JOIN LATERAL aclexplode(p.initprivs) a WHERE {STAYING}"
    ):
        ask(f"GRANT {privilege} ON SCHEMA {name} TO {grantee}")
