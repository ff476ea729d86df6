"""What a shell command line would run: its simple commands, with words as far as they are known.

Parsed by tree-sitter's grammar for bash. What only the shell can know (a variable set elsewhere,
the output of a command) is an ``UNKNOWN`` in the word.
"""

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop.agent.places import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node, Parser

SHELLS = {"sh", "bash", "zsh", "dash", "ksh", "fish", "su"}
RUNNERS = {"uv", "poetry", "pipenv", "hatch", "pdm", "just", "undrop"}  # only as ``uv run …``
RUN = (["run"], ["undrop-run"])
PREFIXES = RUNNERS | {
    "sudo", "doas", "env", "nohup", "time", "nice", "ionice", "command", "builtin", "exec",
    "stdbuf", "timeout", "setsid", "xargs", "busybox", "coproc",
}  # fmt: skip
WITH_VALUE = {"-u", "-n", "-I", "-P", "-L", "-s", "-k", "-C", "-c", "-d", "-g", "-p", "--signal"}
MANY = 50  # values of a for loop that are looked at
REDIRECTIONS = {"file_redirect", "heredoc_redirect", "herestring_redirect"}
SUBSTITUTIONS = {"command_substitution", "process_substitution"}
VARIABLE = re.compile(r"\$\{?(\w+)(?::?-(.*))?\}?", re.DOTALL)


class Simple(NamedTuple):
    """One simple command."""

    words: list[str]
    """Its name and arguments; wrappers such as ``sudo`` and ``xargs`` taken off."""
    writes: list[str]
    """Files that its redirections write."""
    stdin: str
    """A here-document or here-string."""
    fed: list[list[str]]
    """The words of every command that is piped into it."""
    folder: Path
    """Where it runs, as far as ``cd`` tells."""


class _Given(NamedTuple):
    """What a command gets from around it."""

    writes: list[str]
    stdin: str
    fed: list[list[str]]
    more: list[str]
    """Arguments that stand behind a redirection."""


NOTHING = _Given([], "", [], [])


def commands(text: str, folder: Path) -> "list[Simple]":
    """Every simple command in ``text``, nested ones too, in the order in which they stand."""
    return list(_Walk(folder, folder, {}).all(text))


def roughly(text: str, folder: Path) -> "Iterator[Simple]":
    """The simple commands in what the grammar does not know, as far as their words stand there."""
    for line in re.split(r"[;&|(){}\n]+", text.replace("\0", "")):
        if words := _unwrapped([word.strip("'\"") for word in line.split()]):
            yield Simple(words, [], "", [], folder)


@cache
def _parser() -> "Parser":
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


class _Walk:
    def __init__(self, folder: Path, folder_before: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.folder_before = folder_before
        self.variables = variables

    def all(self, text: str) -> "Iterator[Simple]":
        tree = _parser().parse(text.replace("\0", "").encode("utf-8", "replace"))
        yield from self._node(tree.root_node, NOTHING)
        if tree.root_node.has_error:
            yield from roughly(text, self.folder)

    def _inner(self) -> "_Walk":
        return _Walk(self.folder, self.folder_before, dict(self.variables))

    def _node(self, node: "Node", given: _Given) -> "Iterator[Simple]":
        kind = node.type
        if kind == "command":
            yield from self._command(node, given)
        elif kind == "redirected_statement":
            given = self._redirected(node, given)
            if all(part.type in REDIRECTIONS for part in node.named_children):
                yield Simple([":", *given.more], *given[:3], self.folder)
            yield from self._children(node, given)
        elif kind == "pipeline":
            fed: list[list[str]] = []
            for part in node.named_children:
                for found in self._node(part, given._replace(fed=[*given.fed, *fed])):
                    fed.append(found.words)
                    yield found
        elif kind in {"subshell", *SUBSTITUTIONS}:
            yield from self._inner()._children(node, given)
        elif kind == "for_statement":
            yield from self._loop(node, given)
        elif kind == "variable_assignment":
            name, _, value = _text(node).partition("=")
            self.variables[name] = self._word(node.named_children[-1]) if value else ""
            yield from self._children(node, NOTHING)
        else:
            yield from self._children(node, given)

    def _children(self, node: "Node", given: _Given) -> "Iterator[Simple]":
        for part in node.named_children:
            yield from self._node(part, given)

    def _loop(self, node: "Node", given: _Given) -> "Iterator[Simple]":
        name, *values, body = node.named_children
        for each in values:
            yield from self._nested(each)
        for value in list(map(self._word, values[:MANY])) or [UNKNOWN]:
            self.variables[_text(name)] = value
            yield from self._node(body, given)

    def _command(self, node: "Node", given: _Given) -> "Iterator[Simple]":
        given = self._redirected(node, given)
        words: list[str] = []
        for part in node.children:
            if part.type not in {*REDIRECTIONS, "variable_assignment"}:
                words.append(self._word(part))
            yield from self._nested(part)
        words = _unwrapped([*words, *given.more]) or [":"]
        simple = Simple(words, *given[:3], self.folder)
        yield simple
        name = Path(words[0]).name
        if name in {"cd", "pushd"}:
            self._move([word for word in words[1:] if not re.match("-.", word)])
        elif text := _shell_code(name, simple):
            yield from self._inner().all(text)

    def _move(self, words: list[str]) -> None:
        to = words[-1] if words else "~"
        if UNKNOWN not in to:
            there = self.folder_before if to == "-" else self.folder / os.path.expanduser(to)  # noqa: PTH111 - never raises
            self.folder_before, self.folder = self.folder, there

    def _nested(self, node: "Node") -> "Iterator[Simple]":
        """Commands inside a word: ``"$(…)"``."""
        if node.type in SUBSTITUTIONS:
            yield from self._node(node, NOTHING)
        else:
            for part in node.named_children:
                yield from self._nested(part)

    def _redirected(self, node: "Node", given: _Given) -> _Given:
        """With the redirections that are children of ``node``, also those behind a ``<<EOF``."""
        writes, stdin, fed, more = given
        for part in node.children:
            if part.type == "file_redirect":
                operator = "".join(each.type for each in part.children if not each.is_named)
                named = [each for each in part.named_children if each.type != "file_descriptor"]
                target, *rest = [*map(self._word, named)] or [""]
                writes = [*writes, target] if ">" in operator else writes
                more = [*more, *rest]
            elif part.type == "heredoc_redirect":
                bodies = (each for each in part.named_children if each.type == "heredoc_body")
                stdin += "".join(map(_text, bodies))
                writes, stdin, fed, more = self._redirected(part, _Given(writes, stdin, fed, more))
            elif part.type == "herestring_redirect":
                stdin += self._word(part.named_children[-1])
        return _Given(writes, stdin, fed, more)

    def _word(self, node: "Node") -> str:  # noqa: PLR0911 - one for each kind of node
        kind, text = node.type, _text(node)
        if kind in {"command_name", "concatenation"}:
            return "".join(map(self._word, node.named_children))
        if kind in {"raw_string", "ansi_c_string"}:
            return text.lstrip("$")[1:-1]
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
            return self._value(text)
        if kind in {*SUBSTITUTIONS, "arithmetic_expansion"}:
            return str(self.folder) if text.strip("$()` ") == "pwd" else UNKNOWN
        return re.sub(r"\\(.)", r"\1", text)

    def _value(self, text: str) -> str:
        name, default = found.groups() if (found := VARIABLE.fullmatch(text)) else ("", None)
        known = {**os.environ, "PWD": str(self.folder), **self.variables}
        return known.get(name) or (default.rstrip("}") if default else UNKNOWN)


def _gap(node: "Node", start: int, end: int) -> str:
    at = node.start_byte
    return (node.text or b"")[start - at : end - at].decode("utf-8", "replace")


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _shell_code(name: str, simple: Simple) -> str:
    """What of a simple command is a command line itself."""
    words = simple.words
    if name in {"eval", "trap"}:
        return " ".join(words[1:] if name == "eval" else words[1:2])
    if name not in SHELLS:
        return ""
    given = next((n for n, word in enumerate(words) if re.fullmatch("-[a-z]*c", word)), 0)
    if 0 < given < len(words) - 1:
        return words[given + 1]
    return simple.stdin or "\n".join(" ".join(each[1:]) for each in simple.fed)


def _unwrapped(words: list[str]) -> list[str]:
    """Take ``sudo -u me``, ``env A=1``, ``timeout 5``, ``uv run``, ``python -m`` off the front."""
    while words and (name := Path(words[0]).name):
        rest = words[1:]
        if re.fullmatch(r"python[\d.]*", name) and rest[:1] == ["-m"] and rest[1:]:
            return _unwrapped(rest[1:])
        if name not in PREFIXES or (name in RUNNERS and rest[:1] not in RUN):
            return words
        rest = rest[1:] if name in RUNNERS else rest
        while rest and (rest[0].startswith("-") or "=" in rest[0]):
            rest = rest[2:] if rest[0] in WITH_VALUE else rest[1:]
        words = rest[1:] if name == "timeout" else rest
    return words
