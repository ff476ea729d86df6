"""Which operations would leave a row without the one that a foreign key of it points to.

It is asked before anything is done: the server would take other rows along, by ON DELETE CASCADE.
"""

from typing import TYPE_CHECKING, NamedTuple

from undrop.compare.refused import HAS_CHILDREN, NO_PARENT, Refused
from undrop.compare.structure import fold
from undrop.engines.postgres.catalogs import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from undrop.engines.postgres.catalogs import Ask
    from undrop.engines.postgres.operations import Operations
    from undrop.engines.postgres.structure import Source

KEYS = (
    "SELECT quote_ident(s.nspname), quote_ident(k.conname), "  # noqa: S608 - our own
    f"(SELECT {NAME} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.oid = k.conrelid), "
    f"(SELECT {NAME} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.oid = k.confrelid), "
    "(SELECT array_agg(quote_ident(a.attname) ORDER BY o) FROM unnest(k.conkey) WITH ORDINALITY "
    "AS u (attnum, o) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum), "
    "(SELECT array_agg(quote_ident(a.attname) ORDER BY o) FROM unnest(k.confkey) WITH ORDINALITY "
    "AS u (attnum, o) JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum), "
    "k.confdeltype IN ('c', 'n', 'd', 'r'), k.confupdtype IN ('c', 'n', 'd', 'r'), k.condeferrable "
    "FROM pg_constraint k JOIN pg_namespace s ON s.oid = k.connamespace "
    "WHERE k.contype = 'f' AND k.conparentid = 0 "
    "AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)"  # since PostgreSQL 18
)


class Key(NamedTuple):
    """A foreign key; tables by their folded names, columns as in SQL."""

    schema: str
    constraint: str
    child: str
    parent: str
    columns: tuple[str, ...]
    to: tuple[str, ...]
    acts_on_delete: bool
    """Whether something happens at once to rows that point to one that goes."""
    acts_on_update: bool
    deferrable: bool


def read(ask: "Ask") -> list[Key]:
    """Every foreign key."""
    return [
        Key(schema, name, fold(child), fold(parent), tuple(columns), tuple(to), *rest)
        for schema, name, child, parent, columns, to, *rest in ask(KEYS)
    ]


def broken(
    ask: "Ask",
    keys: list[Key],
    tables: "Mapping[str, Operations]",
    sources: "Mapping[str, Source]",
) -> list[Refused]:
    """Rows that come without a parent; where there are none, parents that leave rows behind."""
    refused: dict[tuple[int, int], Refused] = {}
    for key in keys:
        for sql in _orphans(key, tables, sources):
            for (n,) in ask(sql):
                ops = tables[key.child].ops
                refused[ops.number, n] = Refused(
                    ops, n, f"{NO_PARENT} ({_named(key.parent, sources)})"
                )
    if refused:
        return [*refused.values()]
    for key in keys:
        for sql in _left_behind(key, tables, sources):
            for (n,) in ask(sql):
                ops = tables[key.parent].ops
                refused[ops.number, n] = Refused(
                    ops, n, f"{HAS_CHILDREN} ({_named(key.child, sources)})"
                )
    return [*refused.values()]


def _named(name: str, sources: "Mapping[str, Source]") -> str:
    return sources[name].name.removeprefix("public.")


def _places(operations: "Operations | None", names: tuple[str, ...]) -> list[int] | None:
    """Where the values of these columns stand; None where not all are written."""
    if operations is None:
        return None
    places = [operations.places.get(fold(name), -1) for name in names]
    return None if -1 in places else places


def _orphans(
    key: Key, tables: "Mapping[str, Operations]", sources: "Mapping[str, Source]"
) -> "Iterator[str]":
    child, parent = tables.get(key.child), tables.get(key.parent)
    places = _places(child, key.columns)
    if child is None or places is None or key.parent not in sources:
        return
    values = [child.value("x", "d", n) for n in places]
    there = " AND ".join(f"p.{to} = {v}" for to, v in zip(key.to, values, strict=True))
    where = [f"{value} IS NOT NULL" for value in values]
    moved = " OR ".join(f"x.o[{n + 1}] IS DISTINCT FROM x.d[{n + 1}]" for n in places)
    where.append(f"(x.does = 'put' OR x.does = 'change' AND ({moved}))")
    stays = ""
    own = _places(parent, key.to)
    if parent and own:
        old, new = ([parent.value("y", side, n) for n in own] for side in "od")
        goes = " AND ".join(f"p.{to} = {v}" for to, v in zip(key.to, old, strict=True))
        comes = " AND ".join(f"{v} = {w}" for v, w in zip(new, values, strict=True))
        stays = (
            f" AND NOT EXISTS (SELECT 1 FROM {parent.rows} AS y WHERE y.does <> 'put' AND {goes})"  # noqa: S608
        )
        where.append(
            f"NOT EXISTS (SELECT 1 FROM {parent.rows} AS y WHERE y.does <> 'gone' AND {comes})"  # noqa: S608
        )
    where.append(f"NOT EXISTS (SELECT 1 FROM {sources[key.parent].sql} AS p WHERE {there}{stays})")  # noqa: S608
    yield f"SELECT x.n FROM {child.rows} AS x WHERE {' AND '.join(where)}"  # noqa: S608


def _left_behind(
    key: Key, tables: "Mapping[str, Operations]", sources: "Mapping[str, Source]"
) -> "Iterator[str]":
    child, parent = tables.get(key.child), tables.get(key.parent)
    own = _places(parent, key.to)
    if parent is None or own is None or key.child not in sources:
        return
    old = [parent.value("x", "o", n) for n in own]
    moved = " OR ".join(f"x.o[{n + 1}] IS DISTINCT FROM x.d[{n + 1}]" for n in own)
    point = " AND ".join(f"c.{name} = {v}" for name, v in zip(key.columns, old, strict=True))
    pointing = f"(SELECT count(*) FROM {sources[key.child].sql} AS c WHERE {point})"  # noqa: S608
    leaving = "0"
    places = _places(child, key.columns)
    if child and places:
        values = [child.value("z", "o", n) for n in places]
        away = " AND ".join(f"{v} = {w}" for v, w in zip(values, old, strict=True))
        changed = " OR ".join(f"z.o[{n + 1}] IS DISTINCT FROM z.d[{n + 1}]" for n in places)
        leaving = (
            f"(SELECT count(*) FROM {child.rows} AS z WHERE {away} "  # noqa: S608
            f"AND (z.does = 'gone' OR z.does = 'change' AND ({changed})))"
        )
    again = " AND ".join(
        f"{parent.value('y', 'd', n)} = {v}" for n, v in zip(own, old, strict=True)
    )
    for does, acts in (("gone", key.acts_on_delete), ("change", key.acts_on_update)):
        other = f"NOT EXISTS (SELECT 1 FROM {parent.rows} AS y WHERE y.does <> 'gone' AND {again})"  # noqa: S608
        yield (
            f"SELECT x.n FROM {parent.rows} AS x WHERE x.does = '{does}' "  # noqa: S608
            f"AND ({moved if does == 'change' else 'true'}) "
            f"AND {'true' if acts else other} AND {pointing} > {leaving}"
        )
