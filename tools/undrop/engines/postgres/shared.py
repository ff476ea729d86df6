"""What a transaction has changed of the whole server: roles, databases, settings, tablespaces."""

from typing import TYPE_CHECKING

from undrop.engines.postgres import session

if TYPE_CHECKING:
    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.catalogs import Ask

HERE = "(SELECT oid FROM pg_database WHERE datname = current_database())"
ROLE = "pg_get_userbyid({})"
CATALOGS = {
    # Its config is in pg_db_role_setting as well.
    "pg_roles": "SELECT 'role ' || rolname, (to_jsonb(t) - 'rolconfig')::text FROM pg_roles t",
    "pg_auth_members": (
        f"SELECT 'role ' || {ROLE.format('member')} || ' as a member of ' || "  # noqa: S608 - ours
        f"{ROLE.format('roleid')}, to_jsonb(t)::text FROM pg_auth_members t"
    ),
    # VACUUM moves the counters of a database, whoever runs it.
    "pg_database": (
        "SELECT 'database ' || datname, (to_jsonb(t) - 'datfrozenxid' - 'datminmxid')::text "  # noqa: S608 - ours
        f"FROM pg_database t WHERE oid <> {HERE}"
    ),
    "pg_db_role_setting": (
        "SELECT concat_ws(' ', 'settings of', 'role ' || nullif(setrole::regrole::text, '-'), "  # noqa: S608 - ours
        "'database ' || d.datname), to_jsonb(t)::text FROM pg_db_role_setting t "
        f"LEFT JOIN pg_database d ON d.oid = setdatabase WHERE setdatabase <> {HERE}"
    ),
    "pg_tablespace": "SELECT 'tablespace ' || spcname, to_jsonb(t)::text FROM pg_tablespace t",
    "pg_shdescription": (
        "SELECT 'comment on ' || pg_describe_object(classoid, objoid, 0), to_jsonb(t)::text "  # noqa: S608 - ours
        f"FROM pg_shdescription t WHERE objoid <> {HERE}"
    ),
    "pg_shseclabel": (
        "SELECT 'security label on ' || pg_describe_object(classoid, objoid, 0), "  # noqa: S608 - ours
        f"to_jsonb(t)::text FROM pg_shseclabel t WHERE objoid <> {HERE}"
    ),
    "pg_parameter_acl": (
        "SELECT 'grants on parameter ' || parname, to_jsonb(t)::text FROM pg_parameter_acl t"
    ),
    "pg_replication_origin": (
        "SELECT 'replication origin ' || roname, roname FROM pg_replication_origin t"
    ),
    "pg_subscription": (  # the rest of it is not for everybody
        "SELECT 'subscription ' || subname, concat_ws(' ', subowner, subenabled) "  # noqa: S608 - ours
        f"FROM pg_subscription t WHERE subdbid <> {HERE}"
    ),
}
"""What is read of each (postgresql.org/docs/current/catalogs.html): what it is, for people, and all
that is known of it. The database that one is connected to is left out.

What owns shared objects and has rights on them (pg_shdepend) stands in these as well.
"""
KNOWN = "SELECT relname::text FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace"
LOCKED = (
    "SELECT 1 FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' "
    "AND relation = 'pg_authid'::regclass AND mode = 'RowExclusiveLock' AND granted"
)
"""CREATE, ALTER and DROP ROLE keep this lock until the transaction ends: a password, which not
everybody may read, shows in nothing else (user.c: table_close(pg_authid_rel, NoLock))."""
HIDDEN = "a role, or its password"


def read(ask: "Ask") -> set[tuple[str, str]]:
    """All of it that the transaction of ``ask`` sees, settled for that."""
    there = {name for (name,) in ask(KNOWN)}
    queries = [sql for name, sql in CATALOGS.items() if name in there]
    return {(str(what), str(all_)) for what, all_ in ask(" UNION ALL ".join(queries))}


def committed(address: "Address") -> set[tuple[str, str]]:
    """The same as everybody sees it. Raises UndropError."""
    with session.opened(address, "looking at the server") as connection:
        return read(session.asker(connection))


def written(ask: "Ask", address: "Address") -> list[str]:
    """What the transaction of ``ask``, settled for that, has made, changed or dropped there.

    Others work on the same server: what another connection to ``address`` sees before and after it
    is not this transaction's. Raises UndropError.
    """
    before, ours, after = committed(address), read(ask), committed(address)
    alone = [*(ours - (before | after)), *((before & after) - ours)]
    found = sorted({what for what, _ in alone})
    if ask(LOCKED) and not any(what.startswith("role ") for what in found):
        found.append(HIDDEN)
    return found
