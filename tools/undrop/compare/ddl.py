"""What a CREATE statement says that no pragma tells of."""

import re
from itertools import pairwise

from undrop.compare.structure import fold

TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^]]*\]|\w+|[^\s\w]""",
    re.DOTALL,
)
SHOWING = {"fts5vocab", "fts4aux"}
"""Modules whose tables only show what another table holds."""


def words(sql: str) -> list[str]:
    """Names without their quotes and in small letters, texts, and signs; no comments."""
    tokens = (token for token in TOKEN.findall(sql) if not token.startswith(("--", "/*")))
    return [
        token if token[0] == "'" else fold(token[1:-1] if token[0] in '"`[' else token)
        for token in tokens
    ]


def definition(sql: str, name: str) -> str:
    """What a thing is, without how it is called."""
    tokens = words(sql)
    if fold(name) in tokens:
        tokens.remove(fold(name))
    return " ".join(word for word in tokens if word != "asc")


def checks(sql: str) -> list[str]:
    """The CHECK constraints in a CREATE TABLE: no pragma tells of them."""
    tokens = words(sql)
    constraints = []
    for start, pair in enumerate(pairwise(tokens)):
        if pair != ("check", "("):
            continue
        depth, end = 0, start + 1
        while end < len(tokens):
            depth += {"(": 1, ")": -1}.get(tokens[end], 0)
            end += 1
            if depth == 0:
                break
        constraints.append(" ".join(tokens[start + 2 : end - 1]))
    return constraints


def is_derived(sql: str) -> bool:
    """Whether a virtual table has nothing of its own that could be read from it.

    A full-text index of another table's text (sqlite.org/fts5.html, 4.4), or a view of one.
    """
    tokens = words(sql)
    if "using" not in tokens:
        return False
    module = tokens[tokens.index("using") + 1]
    of_others = any(pair[0] == "content" and pair[1] == "=" for pair in pairwise(tokens))
    return module in SHOWING or (
        module.startswith("fts") and of_others and tokens[tokens.index("content") + 2] != "''"
    )


def is_users(shadow: str, owners: dict[str, str]) -> bool:
    """Whether what SQLite takes for a virtual table's shadow is a table of the user's.

    It goes by names; these are what their virtual tables have no use for. ``owners`` are the
    statements by folded name.
    """
    owner, _, suffix = fold(shadow).rpartition("_")
    tokens = words(owners.get(owner, ""))
    without_size = any(triple == ("columnsize", "=") for triple in pairwise(tokens))
    return (suffix == "content" and "content" in tokens[4:]) or (
        suffix == "docsize" and without_size and "0" in tokens
    )
