"""Whether what sqlite3 is given only reads."""

import re

READING_SQL = re.compile(
    r"\s*((select|explain)\b.*|pragma\s+(\w+\.)?\w+(?<!optimize)(?<!vacuum)(?<!checkpoint)"
    r"|pragma\s+(\w+\.)?\w+_(check|x?info|list)\s*\([^()]*\))?\s*",
    re.IGNORECASE | re.DOTALL,
)
READING_COMMAND = re.compile(
    r"\s*\.(schema|tables|dump|mode|headers?|indexes|indices|databases|dbinfo|show|width|timeout"
    r"|fullschema|backup|save|clone|once|output|quit|exit)\b.*"
)


def only_reads(query: str) -> bool:
    """Whether the query of a ``file:`` URI says that nothing is written."""
    return bool(re.search(r"\b(mode=ro|immutable=1)\b", query))


def reads(sql: str) -> bool:
    """Whether there is something to run, and all of it only reads."""
    lines = [line for line in sql.splitlines() if not READING_COMMAND.fullmatch(line)]
    return bool(sql.strip()) and all(map(READING_SQL.fullmatch, "\n".join(lines).split(";")))
