"""Put an element into somebody's JSON without touching another byte of it, and take it out."""

import json
import re
from itertools import pairwise

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def insert(text: str, path: list[str], snippet: str) -> str:
    """``text`` with ``snippet`` as the first element of the container at ``path``.

    Raises ValueError when it is no JSON or there is no such container.
    """
    json.loads(text)
    at, empty = inside(text, path)
    return text[:at] + snippet + ("" if empty else ",") + text[at:]


def remove(text: str, snippet: str) -> str:
    """``text`` as it was before ``snippet`` was inserted."""
    for variant in (snippet + ",", "," + snippet, snippet):
        if variant in text:
            return text.replace(variant, "", 1)
    return text


def inside(text: str, path: list[str]) -> tuple[int, bool]:
    """Where the container at ``path`` begins, and whether it is empty. Raises ValueError."""
    trail: list[str] = []
    key = ""
    tokens = list(TOKEN.finditer(text))
    for token, after in pairwise(tokens):
        word = token[0]
        if word in "{[":
            trail.append(key)
            if trail[1:] == path:
                return token.end(), after[0] in "}]"
            key = ""
        elif word in "}]":
            trail.pop()
        elif word[0] == '"' and after[0] == ":":
            key = json.loads(word)
    raise ValueError(f"there is no {'.'.join(path)}")
