"""Whose code is in a database: what a dump of it would run as the user who loads it."""

from typing import TYPE_CHECKING, Any

from undrop import digest, record
from undrop.engines.postgres import programs
from undrop.engines.postgres.catalogs import MEMBER, TRUSTED
from undrop.errors import CheckError
from undrop.recipes import Action, Setting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import psycopg

    from undrop.engines.postgres.catalogs import Ask
    from undrop.record import Record
    from undrop.values import Progress

BUILT_IN = 16384
"""The first OID that is not given out by initdb (transam.h, FirstNormalObjectId)."""
HARMLESS = (
    "random random_normal clock_timestamp timeofday nextval currval lastval gen_random_uuid uuidv4 "
    "uuidv7 uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 gen_random_bytes gen_salt "
    "unaccent similarity_op word_similarity_op word_similarity_commutator_op "
    "strict_word_similarity_op strict_word_similarity_commutator_op"
)
"""Functions of the server's and its extensions' that are not immutable and do nothing to others."""
OWN = f"{{0}}.oid >= {BUILT_IN} AND NOT {MEMBER.format('{1}', '{0}')}"
"""Somebody's, not the server's. What an extension has is made of its files when a dump is loaded,
whoever owns it."""
EXPRESSIONS = " UNION ALL ".join(
    (
        "SELECT c.relowner, k.conbin::text FROM pg_constraint k JOIN pg_class c "
        "ON c.oid = k.conrelid",
        "SELECT t.typowner, k.conbin::text FROM pg_constraint k JOIN pg_type t "
        "ON t.oid = k.contypid",
        "SELECT c.relowner, d.adbin::text FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid",
        "SELECT c.relowner, concat(i.indexprs, i.indpred) FROM pg_index i JOIN pg_class c "
        "ON c.oid = i.indrelid",
        "SELECT c.relowner, p.partexprs::text FROM pg_partitioned_table p JOIN pg_class c "
        "ON c.oid = p.partrelid",
        "SELECT s.stxowner, to_jsonb(s) ->> 'stxexprs' FROM pg_statistic_ext s",  # since 14
        "SELECT c.relowner, concat(p.polqual, p.polwithcheck) FROM pg_policy p JOIN pg_class c "
        "ON c.oid = p.polrelid",
        "SELECT c.relowner, t.tgqual::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid",
        "SELECT c.relowner, concat(r.ev_qual, r.ev_action) FROM pg_rewrite r JOIN pg_class c "  # noqa: S608
        f"ON c.oid = r.ev_class WHERE r.oid >= {BUILT_IN}",
        "SELECT t.typowner, t.typdefaultbin::text FROM pg_type t",
    )
)
ROLES = (
    "WITH harmful (oid) AS MATERIALIZED ("  # noqa: S608 - our own
    "SELECT p.oid FROM pg_proc p WHERE NOT ("
    f"(p.oid < {BUILT_IN} AND (p.provolatile = 'i' "
    # Those ask whatever they are told to.
    "OR p.provolatile = 's' AND p.proname !~ '_to_xml') "
    f"OR p.oid >= {BUILT_IN} AND p.provolatile = 'i') "
    f"OR p.proname = ANY (string_to_array('{HARMLESS}', ' '))) "
    f"AND NOT ({OWN.format('p', 'pg_proc')})), "
    f"expressions (owner, tree) AS MATERIALIZED ({EXPRESSIONS}), "
    "called (owner, oid) AS (SELECT e.owner, m[1]::oid FROM expressions e CROSS JOIN LATERAL "
    "regexp_matches(e.tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g') AS m "
    "UNION SELECT e.owner, o.oprcode FROM expressions e CROSS JOIN LATERAL "
    "regexp_matches(e.tree, ':opno (\\d+)', 'g') AS m JOIN pg_operator o ON o.oid = m[1]::oid) "
    "SELECT DISTINCT pg_get_userbyid(owner)::text FROM ("
    f"SELECT p.proowner FROM pg_proc p WHERE {OWN.format('p', 'pg_proc')} "
    f"UNION SELECT o.oprowner FROM pg_operator o WHERE {OWN.format('o', 'pg_operator')} "
    "UNION SELECT evtowner FROM pg_event_trigger "
    "UNION SELECT relowner FROM pg_class WHERE relkind = 'f' "
    "UNION SELECT owner FROM called JOIN harmful USING (oid)) AS all_of_them (owner) ORDER BY 1"
)
OWNERS = (
    "SELECT DISTINCT pg_get_userbyid(c.relowner)::text FROM pg_class c "  # noqa: S608 - our own
    f"WHERE c.relkind IN ('r', 'p', 'm') AND {OWN.format('c', 'pg_class')}"
)
"""Of tables: an index with their code can come at any time."""
OTHERS = (
    "SELECT DISTINCT name FROM unnest(%s::text[]) AS given (name) WHERE NOT coalesce((SELECT "  # noqa: S608 - our own
    f"{TRUSTED.format('r.oid')} FROM pg_roles r WHERE r.rolname = name), false)"
)


class UntrustedError(CheckError):
    """Loading a dump would run somebody's code with more power than they have."""


def roles(ask: "Ask") -> list[str]:
    """The owners of all code in the database, in the transaction of ``ask``, settled for it.

    Functions, operators, event triggers and foreign tables count, whoever calls or reads them. An
    expression does (of a CHECK, default, generated column, index, partition key, statistic,
    policy, trigger, rule, view) where it calls a function of the server's or an extension's that
    can do something: not what is immutable, nor what only reads the catalogs or the clock. Which
    they are is in the expression's tree (pg_node_tree: ``funcid`` and the like, primnodes.h).
    """
    return [str(name) for (name,) in ask(ROLES)]


def code_of(dump: "Path", known: "Record | None", found: str) -> list[str] | None:
    """The owners of all code in a dump with the digest ``found``; None where nothing vouches.

    An older record does not say: then the owners of whatever is in it. Raises DamagedError.
    """
    if known is None or known.digest != found:
        return None
    if record.ANYBODY not in known.code:
        return known.code
    owners = (line.rpartition(" ")[2] for line in programs.read_list(dump).splitlines())
    # Of the schema public, in every database: whoever owns that.
    return sorted({*owners} - {"", ";", "pg_database_owner"})


def beside(dump: "Path", progress: "Progress") -> list[str]:
    """``code_of`` a dump by the record beside it. Raises UntrustedError, DamagedError."""
    known = record.read(dump.with_suffix(".json"))
    found = digest.of(dump, progress, known.bytes) if known else ""
    code = code_of(dump, known, found)
    if code is None:
        raise unvouched(dump)
    return code


def unvouched(dump: "Path") -> UntrustedError:
    """The error for a dump that no record of ours is about: it may be anybody's."""
    return UntrustedError(
        f"{dump.name} is not loaded: no record of a backup vouches for what is in it, and loading "
        "it runs that",
        "look at it with pg_restore --file=-; if you trust it,",
        Action("restore", str(dump), "--trust"),
    )


def others(connection: "psycopg.Connection[Any]", code: "Sequence[str]") -> list[str]:
    """Those roles that may not become the user of that connection; one that is not there may not.

    Raises psycopg.Error.
    """
    return [str(name) for (name,) in connection.execute(OTHERS, [[*code]]).fetchall()]


def refuse(connection: "psycopg.Connection[Any]", code: "Sequence[str]") -> None:
    """Raise UntrustedError where code would run as a user that its owner may not become.

    ``connection`` is that user's, where it would run.
    """
    if named := others(connection, code):
        [[user]] = connection.execute("SELECT session_user").fetchall()
        sql = "SELECT 1 FROM pg_roles WHERE rolname = %s AND rolcanlogin"
        able = len(named) == 1 and connection.execute(sql, named).fetchall()
        alone = [f"let the URL name {named[0]}, whose code it is; or"] if able else []
        raise UntrustedError(
            f"code of {', '.join(named)} would run as {user}",
            *alone,
            Setting('verify-url = "postgresql://HOST/NAME"'),
            ", a server to throw away where it may; or, if it may do all that this user may,",
            Setting("trust-code = true"),
            "; then the same again",
        )
