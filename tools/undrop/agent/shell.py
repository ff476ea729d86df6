"""What a shell command line would run: its simple commands, with words as far as they are known.

Parsed by tree-sitter's grammar for bash. What only the shell can know (a variable set elsewhere,
the output of a command) is an ``UNKNOWN`` in the word.
"""

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node, Parser

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
SHELLS = {"sh", "bash", "zsh", "dash", "ksh", "fish"}
PREFIXES = {
    "sudo", "doas", "env", "nohup", "time", "nice", "ionice", "command", "builtin", "exec",
    "stdbuf", "timeout", "setsid", "xargs", "busybox", "uv", "poetry", "pipenv", "hatch", "pdm",
}  # fmt: skip
MANY = 50  # values of a for loop that are looked at
RUNNERS = {"uv", "poetry", "pipenv", "hatch", "pdm"}  # guarded only as ``uv run …``
WITH_VALUE = {"-u", "-n", "-I", "-P", "-L", "-s", "-k", "-C", "-c", "-d", "-g", "-p", "--signal"}


class Simple(NamedTuple):
    """One simple command."""

    words: list[str]
    """Its name and arguments; wrappers such as ``sudo`` and ``xargs`` taken off."""
    writes: list[str]
    """Files that its redirections write."""
    stdin: str
    """A here-document or here-string."""
    fed: list[str]
    """Words of what is piped into it."""
    folder: Path
    """Where it runs, as far as ``cd`` tells."""


def commands(text: str, folder: Path) -> "list[Simple]":
    """Every simple command in ``text``, nested ones too, in the order in which they stand."""
    return list(_Walk(folder, {}).all(text))


@cache
def _parser() -> "Parser":
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


class _Walk:
    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.variables = variables

    def all(self, text: str) -> "Iterator[Simple]":
        tree = _parser().parse(text.encode("utf-8", "surrogateescape"))
        yield from self._node(tree.root_node, [], "", [])

    def _node(
        self, node: "Node", writes: list[str], stdin: str, fed: list[str]
    ) -> "Iterator[Simple]":
        kind = node.type
        if kind == "command":
            yield from self._command(node, writes, stdin, fed)
        elif kind == "redirected_statement":
            writes = [*writes]
            for part in node.children:
                if part.type == "file_redirect":
                    writes += self._written(part)
                elif part.type in {"heredoc_redirect", "herestring_redirect"}:
                    stdin += _here(part)
            yield from self._children(node, writes, stdin, fed)
        elif kind == "pipeline":
            words: list[str] = []
            for part in node.named_children:
                for found in self._node(part, writes, stdin, fed + words):
                    words += found.words[1:]
                    yield found
        elif kind in {"subshell", "command_substitution", "process_substitution"}:
            inner = _Walk(self.folder, dict(self.variables))
            yield from inner._children(node, writes, stdin, fed)
        elif kind == "for_statement":
            yield from self._loop(node, writes, stdin, fed)
        elif kind == "variable_assignment":
            self._assign(node)
            yield from self._children(node, [], "", [])
        else:
            yield from self._children(node, writes, stdin, fed)

    def _loop(
        self, node: "Node", writes: list[str], stdin: str, fed: list[str]
    ) -> "Iterator[Simple]":
        name, *values, body = node.named_children
        for value in map(self._word, values[:MANY]):
            self.variables[_text(name)] = value
            yield from self._node(body, writes, stdin, fed)

    def _children(
        self, node: "Node", writes: list[str], stdin: str, fed: list[str]
    ) -> "Iterator[Simple]":
        for part in node.named_children:
            yield from self._node(part, writes, stdin, fed)

    def _command(
        self, node: "Node", writes: list[str], stdin: str, fed: list[str]
    ) -> "Iterator[Simple]":
        words: list[str] = []
        for part in node.children:
            if part.type in {"file_redirect", "herestring_redirect", "heredoc_redirect"}:
                writes = writes + self._written(part)
                stdin += _here(part)
            elif part.type != "variable_assignment":
                words.append(self._word(part))
            yield from self._nested(part)
        words = _unwrapped(words)
        if not words:
            if writes:
                yield Simple([":"], writes, stdin, fed, self.folder)
            return
        yield Simple(words, writes, stdin, fed, self.folder)
        name = Path(words[0]).name
        if name == "cd" and len(words) > 1 and UNKNOWN not in words[-1]:
            self.folder = self.folder / os.path.expanduser(words[-1])  # noqa: PTH111 - never raises
        inner = _Walk(self.folder, dict(self.variables))
        if name == "eval":
            yield from inner.all(" ".join(words[1:]))
        elif name in SHELLS:
            given = next((n for n, word in enumerate(words) if re.fullmatch("-[a-z]*c", word)), 0)
            yield from inner.all(words[given + 1] if 0 < given < len(words) - 1 else stdin)

    def _nested(self, node: "Node") -> "Iterator[Simple]":
        """Commands inside a word: ``"$(…)"``."""
        if node.type in {"command_substitution", "process_substitution"}:
            yield from self._node(node, [], "", [])
        else:
            for part in node.named_children:
                yield from self._nested(part)

    def _written(self, node: "Node") -> list[str]:
        if node.type != "file_redirect":
            return []
        operator = "".join(part.type for part in node.children if not part.is_named)
        target = self._word(node.named_children[-1]) if node.named_children else ""
        return [] if "<" in operator and ">" not in operator else [target]

    def _assign(self, node: "Node") -> None:
        name, _, value = _text(node).partition("=")
        self.variables[name] = self._word(node.named_children[-1]) if value else ""

    def _word(self, node: "Node") -> str:  # noqa: PLR0911 - one for each kind of node
        kind, text = node.type, _text(node)
        if kind in {"command_name", "concatenation"}:
            return "".join(map(self._word, node.named_children))
        if kind == "raw_string":
            return text[1:-1]
        if kind == "string":
            # What stands between the quotes and is no node of its own is spaces and newlines.
            inner, end = "", node.start_byte + 1
            for part in node.named_children:
                inner += _gap(node, end, part.start_byte) + self._word(part)
                end = part.end_byte
            return inner + _gap(node, end, node.end_byte - 1)
        if kind == "string_content":
            return re.sub(r'\\(["\\$`])', r"\1", text)
        if kind in {"simple_expansion", "expansion"}:
            name = text.strip("${}")
            known = {"HOME": str(Path.home()), "PWD": str(self.folder), **self.variables}
            return known.get(name, UNKNOWN)
        if kind in {"command_substitution", "process_substitution", "arithmetic_expansion"}:
            return UNKNOWN
        return re.sub(r"\\(.)", r"\1", text)


def _gap(node: "Node", start: int, end: int) -> str:
    at = node.start_byte
    return (node.text or b"")[start - at : end - at].decode("utf-8", "replace")


def _here(node: "Node") -> str:
    bodies = [_text(part) for part in node.named_children if part.type == "heredoc_body"]
    if node.type == "herestring_redirect":
        bodies = [_text(node.named_children[-1]).strip("'\"")]
    return "".join(bodies)


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _unwrapped(words: list[str]) -> list[str]:
    """Take ``sudo -u me``, ``env A=1``, ``timeout 5``, ``uv run`` off the front."""
    while words and (name := Path(words[0]).name) in PREFIXES:
        rest = words[1:]
        if name in RUNNERS:
            if rest[:1] != ["run"]:
                return words
            rest = rest[1:]
        while rest and (rest[0].startswith("-") or "=" in rest[0]):
            rest = rest[2:] if rest[0] in WITH_VALUE else rest[1:]
        if name == "timeout":
            rest = rest[1:]
        words = rest
    return words
