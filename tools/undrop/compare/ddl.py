"""What a CREATE statement says that no pragma tells of."""

import re
from typing import TYPE_CHECKING

from undrop.compare.structure import NO_WHERE, TEXT, Clause, fold
from undrop.sqlitefile import statement, virtual

if TYPE_CHECKING:
    Tokens = list[re.Match[str]]

CONSTRAINTS = {"constraint", "primary", "unique", "check", "foreign"}
"""With what a part begins that is no column (sqlite.org/lang_createtable.html)."""

PLAIN = re.compile(r"\w+|'.*|[^\s\w]", re.DOTALL)
"""A word that is one without quotes, or has its own."""


def words(sql: str) -> list[str]:
    """Names without their quotes and in small letters, texts, and signs; no comments."""
    return [_word(token) for token in statement.tokens(sql)]


def definition(sql: str, name: str) -> str:
    """What a thing is, without how it is called: ``words`` finds the same in it again."""
    tokens = words(sql)
    if fold(name) in tokens:
        tokens.remove(fold(name))
    said = (word for word in tokens if word != "asc")
    return " ".join(word if PLAIN.fullmatch(word) else f'"{word}"' for word in said)


def alike(old: str, new: str, renames: dict[str, set[str]]) -> bool:
    """Whether two texts say the same, but for names that are others now."""
    if old == new:
        return True
    one, two = words(old), without_aliases(words(new), renames)
    return len(one) == len(two) == same_words(one, two, renames)


def same_words(one: list[str], two: list[str], renames: dict[str, set[str]]) -> int:
    """How many words are the same from the beginning, but for names that are others now."""
    pairs = zip(one, two, strict=False)
    differ = (n for n, (a, b) in enumerate(pairs) if a != b and b not in renames.get(a, ()))
    return next(differ, min(len(one), len(two)))


def without_aliases(now: list[str], renames: dict[str, set[str]]) -> list[str]:
    """The words but for those by which PostgreSQL has a view show a column under its old name."""
    listed: list[str] = []
    for word in now:
        if len(listed) > 1 and listed[-1] == "as" and listed[-2] in renames.get(word, ()):
            listed.pop()
        else:
            listed.append(word)
    return listed


class Declared:
    """What a CREATE TABLE declares."""

    def __init__(self, sql: str) -> None:
        self.checks: list[str] = []
        """The CHECK constraints, as words."""
        self.clauses: dict[Clause, str] = {}
        """Empty where there is what a clause is about, and nothing is said of it."""
        self._sql, self._column, self._columns = sql, "", tuple[str, ...]()
        self._about = Clause("")
        if (content := virtual.content(sql)) is not None:
            self.clauses[TEXT] = f"content='{content}'"
        tokens = statement.tokens(sql)
        if [token[0] for token in tokens[3:4]] != ["("]:  # a virtual table
            return
        *parts, options = statement.split(tokens[3:])
        # No name can be this word unless it is quoted.
        counts = any(token[0].upper() == "AUTOINCREMENT" for token in tokens)
        self.clauses[Clause("AUTOINCREMENT")] = "AUTOINCREMENT" * counts
        said = " ".join(token[0].upper() for token in options)
        for option in ("WITHOUT ROWID", "STRICT"):
            self.clauses[Clause(option)] = option * (option in said)
        for part in parts:
            if part[0][0].lower() in CONSTRAINTS:
                self._constraints(part, "")
            else:
                column = _word(part[0])
                self.clauses |= {Clause(kind, column=column): "" for kind in ("COLLATE", "AS")}
                self._constraints(part[1:], column)

    def _constraints(self, part: "Tokens", column: str) -> None:
        """Those of a column, or of the whole table."""
        self._column, self._columns = column, (column,) * bool(column)
        self._about, at = Clause(""), 0
        while at < len(part):
            at = self._begun(part, at) or self._said(part, at) or _end(part, at + 1)

    def _begun(self, part: "Tokens", at: int) -> int:
        """A constraint that begins there; where it goes on, 0 where none does."""
        match [token[0].lower() for token in part[at : at + 2]]:
            case ["primary", "key"]:
                self._about = self._add(Clause("ON CONFLICT", "PRIMARY KEY"))
                end = _end(part, at + 2)
                if self._column:
                    self._add(Clause("DESC", "PRIMARY KEY", column=self._column))
                self._keys(statement.split(part[at + 2 : end])[:-1])
            case ["unique", *_]:
                end = _end(part, at + 1)
                keys = statement.split(part[at + 1 : end])[:-1]
                names = tuple(sorted(_name(key) for key in keys)) or self._columns
                self._about = self._add(Clause("ON CONFLICT", "UNIQUE", names))
                self._keys(keys)
            case ["not", "null"]:
                self._about = self._add(Clause("ON CONFLICT", "NOT NULL", self._columns))
                end = at + 2
            case ["check", "("]:
                self._about = Clause("")  # whose ON CONFLICT counts for nothing
                end = _end(part, at + 1)
                self.checks.append(" ".join(_word(token) for token in part[at + 2 : end - 1]))
            case ["foreign", "key"]:
                end = _end(part, at + 2)
                self._columns = tuple(_word(token) for token in part[at + 3 : end - 1 : 2])
            case ["references", _]:
                parent = _word(part[at + 1])
                end = at + 2
                self._about = Clause("DEFERRABLE", "foreign key", self._columns, parent)
                self._add(self._about)
            case _:
                end = 0
        return end

    def _said(self, part: "Tokens", at: int) -> int:
        """Something more of a constraint or a column; where it ends, 0 where nothing is said."""
        end = at + 2
        match [token[0].lower() for token in part[at : at + 3]]:
            case ["desc", *_]:
                self.clauses[Clause("DESC", self._about.of, column=self._column)] = "DESC"
            case ["on", "conflict", kind] if self._about.kind == "ON CONFLICT":
                self.clauses[self._about] = f"ON CONFLICT {kind.upper()}" * (kind != "abort")
            case ["deferrable", *more] if self._about.kind == "DEFERRABLE":
                late = " INITIALLY DEFERRED" * (more == ["initially", "deferred"])
                self.clauses[self._about] = f"DEFERRABLE{late}"
            case ["collate", _, *_]:
                self.clauses[Clause("COLLATE", column=self._column)] = _collation(part[at + 1])
            case ["as", "(", *_]:
                end = _end(part, at + 1)
                text = statement.text(self._sql, part[at:end])
                self.clauses[Clause("AS", column=self._column)] = f"GENERATED ALWAYS {text}"
            case ["constraint", _, *_] | ["not", "deferrable", *_]:
                pass  # a name, and what each constraint is
            case _:
                end = 0
        return end

    def _add(self, about: Clause) -> Clause:
        self.clauses.setdefault(about, "")
        return about

    def _keys(self, keys: "list[Tokens]") -> None:
        for key in keys:
            self.clauses |= _key(key, self._about.of, self._about.columns)


def index(sql: str) -> dict[Clause, str]:
    """What a CREATE INDEX says of its columns, of other rows that are alike, of rows it leaves out.

    PostgreSQL's are understood as well.
    """
    tokens = statement.tokens(sql)
    start = next((at for at, token in enumerate(tokens) if token[0] == "("), len(tokens))
    *keys, rest = statement.split(tokens[start:])
    is_unique = "unique" in [token[0].lower() for token in tokens[:2]]
    names = ", ".join(map(_name, keys))
    where = next((at for at, token in enumerate(rest) if token[0].lower() == "where"), len(rest))
    clauses = {
        Clause("UNIQUE"): f"UNIQUE ({names})" * is_unique,
        Clause("WHERE"): statement.text(sql, rest[where:]) or NO_WHERE * is_unique,
    }
    for key in keys:
        clauses |= _key(key, "", ())
    return clauses


def _key(key: "Tokens", of: str, columns: tuple[str, ...]) -> dict[Clause, str]:
    """What is said of one column in a key or an index."""
    words = [token[0].lower() for token in key]
    name = _name(key)
    collation = _collation(key[words.index("collate") + 1]) if "collate" in words[:-1] else ""
    return {
        Clause("DESC", of, columns, "", name): "DESC" * ("desc" in words),
        Clause("COLLATE", of, columns, "", name): collation,
    }


def _name(key: "Tokens") -> str:
    """The column in a key or an index, or the words of what is computed."""
    ends = {"collate", "asc", "desc", "autoincrement"}
    last = next((at for at, token in enumerate(key) if token[0].lower() in ends), len(key))
    return " ".join(_word(token) for token in key[:last])


def _collation(token: "re.Match[str]") -> str:
    name = statement.unquoted(token[0])
    return f"COLLATE {name}" if fold(name) != "binary" else ""


def _end(part: "Tokens", start: int) -> int:
    """Where what is in parentheses there ends, or ``start`` where there is nothing."""
    if [token[0] for token in part[start : start + 1]] != ["("]:
        return start
    return len(part) - len(statement.split(part[start:])[-1])


def _word(token: "re.Match[str]") -> str:
    text = token[0]
    return text if text[0] == "'" else fold(text[1:-1] if text[0] in '"`[' else text)
