"""Triggers and rules that are set aside for a transaction, and whether this user may do that."""

from typing import TYPE_CHECKING, Any, NamedTuple

from undrop.errors import UndropError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import psycopg

    from undrop.engines.postgres.operations import Operations

PARTS = (
    "WITH RECURSIVE parts (oid) AS (SELECT r FROM unnest(%s::text[]::regclass[]) AS r "
    "UNION SELECT i.inhrelid FROM parts p JOIN pg_inherits i ON i.inhparent = p.oid "
    "JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition) "
)
SAID = (
    "SELECT p.oid::regclass::text, quote_ident({0}), {1}::text, '{2}', "
    "pg_has_role(c.relowner, 'USAGE'), pg_get_userbyid(c.relowner) "
    "FROM parts p JOIN pg_class c ON c.oid = p.oid"
)
TRIGGERS = (
    f"{PARTS} {SAID.format('t.tgname', 't.tgenabled', 'TRIGGER')} "
    "JOIN pg_trigger t ON t.tgrelid = p.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') "
    f"UNION ALL {SAID.format('r.rulename', 'r.ev_enabled', 'RULE')} JOIN pg_rewrite r "
    "ON r.ev_class = p.oid AND r.ev_type IN ('2', '3', '4') AND r.ev_enabled IN ('O', 'A') "
    "ORDER BY 1, 4, 2"
)
"""Those that run when rows are written: rules are of UPDATE, INSERT or DELETE."""
RIGHTS = (
    "SELECT r::text, pg_has_role(c.relowner, 'USAGE'), pg_get_userbyid(c.relowner), "
    "array(SELECT p FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS p "
    "WHERE has_table_privilege(c.oid, p)) "
    "FROM unnest(%s::text[]::regclass[]) AS r JOIN pg_class c ON c.oid = r"
)
NEEDED = {"put": "INSERT", "change": "UPDATE", "gone": "DELETE"}


class Aside(NamedTuple):
    """A trigger, or a rule."""

    table: str
    """In SQL."""
    name: str
    """In SQL, as messages have it."""
    state: str
    """``O`` or ``A`` (catalog-pg-trigger.html)."""
    kind: str
    ours: bool
    """Whether this user may set it aside."""
    owner: str

    @property
    def off(self) -> str:
        """The statement that sets it aside."""
        return f"ALTER TABLE {self._only}{self.table} DISABLE {self.kind} {self.name}"

    @property
    def on(self) -> str:
        """The one that makes it what it was."""
        always = "ALWAYS " if self.state == "A" else ""
        return f"ALTER TABLE {self._only}{self.table} ENABLE {always}{self.kind} {self.name}"

    @property
    def _only(self) -> str:
        return "ONLY " if self.kind == "TRIGGER" else ""


def read(connection: "psycopg.Connection[Any]", tables: "Collection[str]") -> list[Aside]:
    """Those of tables, which are named in SQL, and of their partitions."""
    rows = connection.execute(TRIGGERS, [[*tables]]).fetchall()
    return [Aside(*row) for row in rows]


def owned(
    connection: "psycopg.Connection[Any]",
    tables: "Mapping[str, Operations]",
    *,
    set_aside: bool,
) -> set[str]:
    """Those of the tables, by folded name, that this user may alter.

    Raises UndropError where it may not do what is to be done.
    """
    named = {each.source.name: each for each in tables.values()}
    if set_aside:
        for each in read(connection, named):
            if not each.ours:
                raise UndropError(
                    f"{each.kind.lower()} {each.name} of {each.table} would run again, and only "
                    f"the table's owner may set it aside: that is {each.owner}",
                    f"let the URL name a user who is a member of {each.owner}, then the same "
                    "command again",
                )
    mine = set()
    for sql, is_owner, owner, may in connection.execute(RIGHTS, [[*named]]).fetchall():
        table = named[sql]
        if lacking := sorted({NEEDED[does] for does in table.has} - {*may}):
            raise UndropError(
                f"this user may not do that in {sql}, which belongs to {owner}: it lacks "
                f"{', '.join(lacking)}",
                f"let the URL name a user who may, as {owner}, then the same command again",
            )
        if is_owner:
            mine.add(table.name)
    return mine
