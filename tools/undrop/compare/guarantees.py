"""What held before and no longer does, or is done in another way: nothing is lost by it yet."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.compare import comparison, ddl
from undrop.compare.structure import NO_WHERE, Clause, fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from undrop.compare.comparison import Comparison
    from undrop.compare.structure import Column, Part, Table

UNIQUE, ALL = Clause("UNIQUE"), Clause("WHERE")
AROUND = 3  # words that are shown on either side of what differs
MOST = 12  # words of either


class _Names(NamedTuple):
    """What things are called now, by what they were; folded."""

    columns: dict[str, str]
    """Of one table."""
    tables: dict[str, str]
    """Empty where one is gone."""
    every: dict[str, set[str]]
    """Tables and columns alike: a text says not which of them a word is."""

    def of(self, columns: "Iterable[str]") -> tuple[str, ...]:
        return tuple(self.columns.get(name, name) for name in columns)


def weaker(found: "Comparison") -> "Iterator[str]":
    """What no longer holds of tables, indexes, triggers and views that are still there.

    Names are those that things have afterwards.
    """
    before, after = found.structure_before, found.structure_after
    kept = [change for change in found.tables if change.name and change.now]
    tables = {fold(change.name): fold(change.now) for change in found.tables if change.name}
    every = comparison.renames(found.tables)
    names = {
        fold(change.now): _Names(
            {fold(old): fold(new) for old, new in change.renamed}, tables, every
        )
        for change in kept
    }
    parts = [
        (part, after.parts[key])
        for key, part in before.parts.items()
        if key in after.parts and part.kind != "table"
    ]
    indexes = [(old, new) for old, new in parts if old.kind == "index"]
    for change in kept:
        name = fold(change.now)
        old, new = before.tables[fold(change.name)], after.tables[name]
        own = [pair for pair in indexes if fold(pair[1].table) == name]
        told = {tuple(sorted(names[name].of(_indexed(index)))) for index, _ in own}
        for text in _of_table(old, new, names[name], told):
            yield f"{change.now}: {text}"
        for index, index_now in own:
            for text in _of_index(index, index_now, new, names[name]):
                yield f"index {index_now.name}{' ' if text.startswith('had ') else ': '}{text}"
    for part, part_now in parts:
        if part.kind == "type" and _has(part_now.definition, part.definition):
            continue
        if part.kind != "index" and not ddl.alike(part.definition, part_now.definition, every):
            was, is_now = _differing(part.definition, part_now.definition, every)
            yield f'{part_now.kind} {part_now.name} had "{was}", has "{is_now}"'


def _has(definition: str, other: str) -> bool:
    """Whether a definition says all that another one says, in that order, and maybe more."""
    words = iter(ddl.words(definition))
    return all(word in words for word in ddl.words(other))


def _of_table(
    old: "Table", new: "Table", names: _Names, told: set[tuple[str, ...]]
) -> "Iterator[str]":
    """What held of a table's rows and no longer does.

    ``told`` are the columns of indexes that are there still: of those it is said, if it is.
    """

    def there(columns: "Iterable[str]") -> bool:
        return all(name in new.columns for name in columns)

    yield from _foreign_keys(old, new, names)
    keyed = tuple(fold(column.name) for column in new.key)
    for columns in old.uniques:
        unique = tuple(sorted(names.of(columns)))
        if unique not in {*new.uniques, tuple(sorted(keyed)), *told} and there(unique):
            yield f"UNIQUE ({', '.join(unique)}) is gone"
    for text in old.checks:
        words = names.of(text.split())
        dropped = (set(old.columns) - set(names.columns) - set(new.columns)) & set(words)
        if " ".join(words) not in new.checks and not dropped:
            yield f"CHECK ({text}) is gone"
    for name, column in old.columns.items():
        if column_now := new.columns.get(names.columns.get(name, name)):
            yield from _of_column(column, column_now, names)
    key = names.of(fold(column.name) for column in old.key)
    if key and there(key) and not set(keyed) <= set(key) and tuple(sorted(key)) not in new.uniques:
        yield f"PRIMARY KEY had ({', '.join(key)}), has ({', '.join(keyed)})"
    elif key and there(key) and not keyed:
        yield "PRIMARY KEY is gone"
    elif old.key_is_rowid and there(key) and not new.key_is_rowid:
        column = new.key[0]
        is_now = f"{column.type} PRIMARY KEY".strip() + " WITHOUT ROWID" * (not new.rowid)
        yield f"{column.name} had INTEGER PRIMARY KEY, which numbers rows, has {is_now}"
    yield from _clauses(old.clauses, new.clauses, names)


def _foreign_keys(old: "Table", new: "Table", names: _Names) -> "Iterator[str]":
    for key in old.foreign_keys:
        wanted = key._replace(
            columns=names.of(key.columns), parent=names.tables.get(key.parent, key.parent)
        )
        there = all(name in new.columns for name in wanted.columns)
        if wanted in new.foreign_keys or not there or not wanted.parent:
            continue
        like = [k for k in new.foreign_keys if k[:2] == wanted[:2]]
        text = f"foreign key ({', '.join(wanted.columns)}) to {wanted.parent}"
        if like:
            was, is_now = _actions(wanted), _actions(like[0])
            yield f"{text} had {was or 'no action'}, has {is_now or 'none'}"
        else:
            yield f"{text} is gone"


def _actions(key: "tuple[object, ...]") -> str:
    kinds = zip(("ON UPDATE", "ON DELETE"), key[2:], strict=True)
    return " ".join(f"{kind} {action}" for kind, action in kinds if action != "NO ACTION")


def _of_column(old: "Column", new: "Column", names: _Names) -> "Iterator[str]":
    if old.required and not new.required:
        yield f"NOT NULL of {new.name} is gone"
    was, is_now = _default(old), _default(new)
    if was and not ddl.alike(was, is_now, names.every):
        yield f"{new.name} had {was}, has {is_now or 'none'}"


def _default(column: "Column") -> str:
    if column.hidden or column.default is None or column.default.upper() == "NULL":
        return ""
    return f"DEFAULT {column.default}"


def _of_index(old: "Part", new: "Part", table: "Table", names: _Names) -> "Iterator[str]":
    indexed = names.of(_indexed(old))
    was = dict(old.clauses)
    # As a constraint of its table, or over fewer columns, it holds still.
    narrower = new.clauses.get(UNIQUE) and set(_indexed(new)) <= set(indexed)
    if narrower or tuple(sorted(indexed)) in table.uniques:
        was[UNIQUE] = ""
    if not new.clauses.get(UNIQUE):  # which rows that was for says nothing any more
        was[ALL] = was.get(ALL, "").replace(NO_WHERE, "")
    yield from _clauses(was, new.clauses, names)


def _indexed(index: "Part") -> list[str]:
    """Columns of a unique index, and what it computes with."""
    return ddl.words(index.clauses.get(UNIQUE, ""))[2:-1:2]


def _clauses(old: dict[Clause, str], new: dict[Clause, str], names: _Names) -> "Iterator[str]":
    for clause, was in old.items():
        wanted = clause._replace(
            columns=names.of(clause.columns),
            parent=names.tables.get(clause.parent, clause.parent),
            column=" ".join(names.of(clause.column.split())),
        )
        is_now = new.get(wanted)
        # What it is about is gone: of that it is said already.
        if not was or is_now is None or ddl.alike(was, is_now, names.every):
            continue
        subject = _subject(wanted)
        if was == clause.kind and not subject:
            yield f"{was} is gone"
        else:
            yield f"{subject} had {was}, has {is_now or 'none'}".strip()


def _subject(clause: Clause) -> str:
    columns = ", ".join(clause.columns)
    of = {
        "foreign key": f"foreign key ({columns}) to {clause.parent}",
        "NOT NULL": f"NOT NULL of {columns}",
        "UNIQUE": f"UNIQUE ({columns})",
    }.get(clause.of, clause.of)
    return f"{clause.column} in {of}" if clause.column and of else clause.column or of


def _differing(old: str, new: str, renames: dict[str, set[str]]) -> tuple[str, str]:
    """Both texts, as far as they differ and a few words around that."""
    one, two = ddl.words(old), ddl.without_aliases(ddl.words(new), renames)
    begin = ddl.same_words(one, two, renames)
    end = ddl.same_words(one[::-1], two[::-1], renames)
    end = min(end, len(one) - begin, len(two) - begin)
    return _shown(one, begin, end), _shown(two, begin, end)


def _shown(words: list[str], begin: int, end: int) -> str:
    first, last = max(0, begin - AROUND), len(words) - max(0, end - AROUND)
    shown = words[first:last]
    if len(shown) > MOST:
        shown[MOST // 2 : -MOST // 2] = ["…"]
    return " ".join(["…"] * (first > 0) + shown + ["…"] * (last < len(words)))
