"""What a stored CREATE statement consists of."""

import re

TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^]]*\]|\w+|[^\s\w]""",
    re.DOTALL,
)


def tokens(sql: str) -> list[re.Match[str]]:
    """Names, texts, numbers and signs, as they are written and where; no comments."""
    return [token for token in TOKEN.finditer(sql) if not token[0].startswith(("--", "/*"))]


def unquoted(token: str) -> str:
    """A name without its quotes."""
    quotes = {'"': '"', "'": "'", "`": "`", "[": "]"}
    end = quotes.get(token[:1], "")
    if len(token) < 2 or not end or token[-1] != end:
        return token
    return token[1:-1] if end == "]" else token[1:-1].replace(2 * end, end)


def split(listed: list[re.Match[str]]) -> list[list[re.Match[str]]]:
    """The parts of a list in parentheses, of which the first token is the opening one.

    What comes behind its end is the last part, and there always is one.
    """
    parts: list[list[re.Match[str]]] = [[]]
    depth, rest = 0, len(listed)
    for number, token in enumerate(listed):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            rest = number + 1
            break
        if depth == 1 and token[0] == ",":
            parts.append([])
        elif number:
            parts[-1].append(token)
    return [*filter(None, parts), listed[rest:]]


def text(sql: str, part: list[re.Match[str]]) -> str:
    """A part as it is written, in one line."""
    return " ".join(sql[part[0].start() : part[-1].end()].split()) if part else ""
