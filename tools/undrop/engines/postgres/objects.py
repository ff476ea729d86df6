"""What a database has beside tables, views and functions, as parts that may be gone.

Each query gives names, the table that it belongs to (empty for none), and what it is, as text in
which nothing is known by its OID. Comments and owners are not told of.
"""

from undrop.engines.postgres.catalogs import MEMBER, NAME, SYSTEM

_RELATION = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
_WORD = f"""'"' || replace({NAME}, '"', '""') || '"'"""
"""A table's name, as ``structure`` has it in a definition: one word, which may be another now."""
_GRANTEE = "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END"
_WHAT = "a.privilege_type || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END"


def _named(name: str) -> str:
    return f"CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END || {name}"


def _own(catalog: str, alias: str) -> str:
    return f"NOT ({SYSTEM}) AND NOT {MEMBER.format(catalog, alias)}"


def _of_schema(catalog: str, prefix: str, text: str, where: str = "true") -> str:
    """Of a catalog whose objects are known by a schema and a name."""
    return (
        f"SELECT {_named(f'quote_ident(o.{prefix}name)')}, '', {text} FROM {catalog} o "  # noqa: S608
        f"JOIN pg_namespace n ON n.oid = o.{prefix}namespace WHERE {_own(catalog, 'o')} AND {where}"
    )


def _of_database(catalog: str, name: str, text: str) -> str:
    """Of a catalog whose objects are in no schema; those that initdb made have small OIDs."""
    member = MEMBER.format(catalog, "o")
    return f"SELECT {name}, '', {text} FROM {catalog} o WHERE o.oid >= 16384 AND NOT {member}"  # noqa: S608


def _grants(source: str, acl: tuple[str, str], on: str, table: str, word: str) -> str:
    """A line for each privilege of each role, but for the owner's own (``acl``: it, and whose)."""
    given, owner = acl
    return (
        f"SELECT a.privilege_type || ' ON ' || {on} || ' TO ' || {_GRANTEE}, {table}, "  # noqa: S608
        f"{_WHAT} || ' on ' || {word} || ' to ' || {_GRANTEE} "
        f"FROM {source} CROSS JOIN LATERAL aclexplode({given}) a WHERE a.grantee <> {owner}"
    )


_MADE = (
    "(o.typtype IN ('e', 'd', 'r') OR o.typtype = 'c' AND EXISTS (SELECT 1 FROM pg_class k "
    "WHERE k.oid = o.typrelid AND k.relkind = 'c'))"
)
"""A type that is no table's, no array's."""
_FUNCTION = "quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')'"
GRANTS = " UNION ALL ".join([
    _grants(
        _RELATION,
        ("coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", "
        "c.relowner))", "c.relowner"), NAME, NAME, _WORD,
    ) + f" AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_own('pg_class', 'c')}",
    _grants(
        f"{_RELATION} JOIN pg_attribute t ON t.attrelid = c.oid", ("t.attacl", "c.relowner"),
        f"{NAME} || ' (' || quote_ident(t.attname) || ')'", NAME,
        f"{_WORD} || ' ' || quote_ident(t.attname)",
    ) + f" AND NOT t.attisdropped AND {_own('pg_class', 'c')}",
    _grants(
        "pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace",
        ("coalesce(p.proacl, acldefault('f', p.proowner))", "p.proowner"),
        f"'FUNCTION ' || {_named(_FUNCTION)}", _named(_FUNCTION), _named(_FUNCTION),
    ) + f" AND {_own('pg_proc', 'p')}",
    _grants(
        "pg_namespace n", ("n.nspacl", "n.nspowner"), "'SCHEMA ' || quote_ident(n.nspname)", "''",
        "quote_ident(n.nspname)",
    ) + f" AND NOT ({SYSTEM})",
    _grants(
        "pg_type o JOIN pg_namespace n ON n.oid = o.typnamespace",
        ("coalesce(o.typacl, acldefault('T', o.typowner))", "o.typowner"),
        f"'TYPE ' || {_named('quote_ident(o.typname)')}", _named("quote_ident(o.typname)"),
        "'TYPE'",  # which may have another name
    ) + f" AND {_own('pg_type', 'o')} AND {_MADE}",
    *(
        _grants(
            f"{catalog} o", (f"coalesce({acl}, acldefault('{kind}', {owner}))", owner),
            f"'{word} ' || {name}", name, f"'{word}'",
        ) + f" AND NOT {MEMBER.format(catalog, 'o')}"
        for catalog, kind, word, name, owner, acl in (
            ("pg_language", "l", "LANGUAGE", "quote_ident(o.lanname)", "o.lanowner", "o.lanacl"),
            ("pg_foreign_server", "S", "FOREIGN SERVER", "quote_ident(o.srvname)", "o.srvowner",
             "o.srvacl"),
            ("pg_foreign_data_wrapper", "F", "FOREIGN DATA WRAPPER", "quote_ident(o.fdwname)",
             "o.fdwowner", "o.fdwacl"),
            ("pg_largeobject_metadata", "L", "LARGE OBJECT", "o.oid::text", "o.lomowner",
             "o.lomacl"),
        )
    ),
])  # fmt: skip
DEFAULT_GRANTS = (
    "SELECT concat(a.privilege_type, ' ON ', CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' "  # noqa: S608
    "WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END, "
    f"' OF ' || quote_ident(pg_get_userbyid(d.defaclrole)), ' TO ', {_GRANTEE}, "
    f"' IN ' || nullif(d.defaclnamespace, 0)::regnamespace::text), '', {_WHAT} "
    "|| d.defaclobjtype::text || d.defaclrole::regrole::text || d.defaclnamespace::regnamespace "
    f"|| {_GRANTEE} FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) a "
    "WHERE a.grantee <> d.defaclrole"
)
RULES = (
    f"SELECT quote_ident(r.rulename), {NAME}, concat_ws(' ', pg_get_ruledef(r.oid), "  # noqa: S608
    f"r.ev_enabled) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE r.rulename <> '_RETURN' AND NOT ({SYSTEM})"
)
SECURED = (
    f"SELECT 'on ' || {NAME}, {NAME}, '{{1}} ' || {_WORD} FROM {_RELATION} "  # noqa: S608
    f"WHERE c.{{0}} AND {_own('pg_class', 'c')}"
)
FOREIGN_TABLES = (
    f"SELECT {NAME}, '', concat_ws(' ', s.srvname, md5(f.ftoptions::text), "  # noqa: S608
    "(SELECT string_agg(concat_ws(' ', quote_ident(t.attname), format_type(t.atttypid, "
    "t.atttypmod), t.attnotnull), ', ' ORDER BY t.attnum) FROM pg_attribute t WHERE "
    "t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped)) FROM pg_foreign_table f "
    "JOIN pg_foreign_server s ON s.oid = f.ftserver JOIN pg_class c ON c.oid = f.ftrelid "
    f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_own('pg_class', 'c')}"
)
SEQUENCES = (  # those of columns are told of with them
    f"SELECT {NAME}, '', concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, "  # noqa: S608
    "s.seqincrement, s.seqmin, s.seqmax, s.seqcycle) FROM pg_sequence s "
    "JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE {_own('pg_class', 'c')} AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE "
    "d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjsubid > 0 "
    "AND d.deptype IN ('a', 'i'))"
)
TYPES = _of_schema(
    "pg_type", "typ",
    "CASE o.typtype WHEN 'e' THEN (SELECT string_agg(quote_literal(e.enumlabel), ', ' "
    "ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = o.oid) WHEN 'd' THEN "
    "concat_ws(' ', format_type(o.typbasetype, o.typtypmod), CASE WHEN o.typnotnull THEN "
    "'NOT NULL' END, o.typdefault, (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY "
    "k.conname) FROM pg_constraint k WHERE k.contypid = o.oid AND k.contype = 'c')) WHEN 'r' THEN "
    "(SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = o.oid) ELSE "
    "(SELECT string_agg(quote_ident(t.attname) || ' ' || format_type(t.atttypid, t.atttypmod), "
    "', ' ORDER BY t.attnum) FROM pg_attribute t WHERE t.attrelid = o.typrelid AND t.attnum > 0 "
    "AND NOT t.attisdropped) END",
    _MADE,
)  # fmt: skip
EXCLUSIONS = (
    f"SELECT quote_ident(k.conname), {NAME}, pg_get_constraintdef(k.oid) || ' ' || {_WORD} "  # noqa: S608
    f"FROM {_RELATION} JOIN pg_constraint k ON k.conrelid = c.oid "
    f"WHERE k.contype = 'x' AND NOT c.relispartition AND {_own('pg_class', 'c')}"
)
INHERITED = (
    f"SELECT 'of ' || {NAME} || ' from ' || {NAME.replace('c.', 'p.').replace('n.', 'm.')}, "  # noqa: S608
    f"{NAME}, {_WORD} || ' ' || {_WORD.replace('c.', 'p.').replace('n.', 'm.')} FROM {_RELATION} "
    "JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent "
    "JOIN pg_namespace m ON m.oid = p.relnamespace "
    f"WHERE p.relkind <> 'p' AND c.relkind IN ('r', 'f') AND {_own('pg_class', 'c')}"
)
SCHEMAS = (
    "SELECT quote_ident(n.nspname), '', 'schema' FROM pg_namespace n "  # noqa: S608
    f"WHERE NOT ({SYSTEM}) AND NOT {MEMBER.format('pg_namespace', 'n')}"
)
_PUBLISHED = (
    f"SELECT string_agg({_WORD}, ' ' ORDER BY c.relname, n.nspname) FROM {_RELATION} "  # noqa: S608
    "JOIN pg_publication_rel r ON r.prrelid = c.oid WHERE r.prpubid = o.oid"
)
PARTS = {
    "schema": SCHEMAS,
    "exclusion": EXCLUSIONS,
    "inheritance": INHERITED,
    "operator class": _of_schema(
        "pg_opclass", "opc",
        "concat_ws(' ', format_type(o.opcintype, NULL), o.opcdefault, "
        "(SELECT a.amname FROM pg_am a WHERE a.oid = o.opcmethod))",
    ),
    "conversion": _of_schema("pg_conversion", "con", "o.conproc::regproc::text"),
    "language": _of_database(
        "pg_language", "quote_ident(o.lanname)",
        "concat_ws(' ', o.lanpltrusted, o.lanplcallfoid::regproc)",
    ),
    "access method": _of_database(
        "pg_am", "quote_ident(o.amname)", "concat_ws(' ', o.amtype, o.amhandler)"
    ),
    "sequence": SEQUENCES,
    "type": TYPES,
    "rule": RULES,
    "row level security": SECURED.format("relrowsecurity", "enabled"),
    "forced row level security": SECURED.format("relforcerowsecurity", "forced"),
    "grant": GRANTS,
    "default grant": DEFAULT_GRANTS,
    "event trigger": _of_database(
        "pg_event_trigger", "quote_ident(o.evtname)",
        "concat_ws(' ', o.evtevent, o.evttags::text, o.evtfoid::regprocedure, o.evtenabled)",
    ),
    "extension": _of_database("pg_extension", "quote_ident(o.extname)", "quote_ident(o.extname)"),
    "publication": _of_database(
        "pg_publication", "quote_ident(o.pubname)",
        "concat_ws(' ', o.puballtables, o.pubinsert, o.pubupdate, o.pubdelete, o.pubtruncate, "
        f"o.pubviaroot, ({_PUBLISHED}))",
    ),
    "cast": _of_database(
        "pg_cast", "concat(format_type(o.castsource, NULL), ' AS ', format_type(o.casttarget, "
        "NULL))", "concat_ws(' ', format_type(o.castsource, NULL), "
        "format_type(o.casttarget, NULL), o.castfunc::regprocedure, o.castcontext, o.castmethod)",
    ),
    # Of options a digest: a password may be among them.
    "foreign server": _of_database(
        "pg_foreign_server", "quote_ident(o.srvname)",
        "concat_ws(' ', o.srvname, o.srvtype, o.srvversion, md5(o.srvoptions::text))",
    ),
    "user mapping": (
        "SELECT concat(quote_ident(u.usename), ' ON ', quote_ident(u.srvname)), '', "
        "concat_ws(' ', u.usename, u.srvname, md5(u.umoptions::text)) FROM pg_user_mappings u"
    ),
    "foreign table": FOREIGN_TABLES,
    "text search configuration": _of_schema(
        "pg_ts_config", "cfg",
        "(SELECT string_agg(concat_ws(' ', m.maptokentype, m.mapseqno, m.mapdict::regdictionary), "
        "', ' ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map m WHERE m.mapcfg = o.oid)",
    ),
    "text search dictionary": _of_schema("pg_ts_dict", "dict", "o.dictinitoption"),
    "collation": _of_schema(
        "pg_collation", "coll",
        "concat_ws(' ', o.collprovider, o.collisdeterministic, o.collencoding, o.collcollate, "
        "o.collctype)",
    ),
    "operator": (
        f"SELECT {_named('o.oprname')} || ' (' || concat_ws(', ', format_type(nullif(o.oprleft, 0),"  # noqa: S608
        " NULL), format_type(o.oprright, NULL)) || ')', '', o.oid::regoperator::text || ' ' || "
        "o.oprcode::regprocedure FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace "
        f"WHERE {_own('pg_operator', 'o')}"
    ),
    "statistics": (
        f"SELECT {_named('quote_ident(s.stxname)')}, (SELECT {NAME} FROM {_RELATION} WHERE "  # noqa: S608
        "c.oid = s.stxrelid), pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s "
        f"JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {_own('pg_statistic_ext', 's')}"
    ),
}  # fmt: skip
"""By kind, as a loss is called."""
