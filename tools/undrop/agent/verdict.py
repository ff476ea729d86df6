"""What an agent's command would do to the guard itself: nothing, only read, or take it away.

Only what is denied has to be understood here; a backup is taken before everything else that does
not plainly only read. Code in other languages is looked at as text.
"""

import faulthandler
import json
import os
import re
import shlex
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from undrop.recipes import Action, Text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from undrop.agent.shell import Simple
    from undrop.settings import Settings

READERS = {
    "ls", "cat", "head", "tail", "wc", "pwd", "cd", "echo", "true", "stat", "du", "df", "which",
    "grep", "egrep", "fgrep", "rg", "diff", "cmp", "id", "whoami", "uname", "basename", "dirname",
    "realpath", "sha256sum", "md5sum",
}  # fmt: skip
GIT_READERS = {"status", "log", "diff", "show", "blame", "rev-parse", "ls-files", "describe"}
OUR_READERS = {
    "list",
    "status",
    "verify",
    "audit",
    "diff",
    "history",
    "log",
    "find",
    "--list",
    "--version",
    "--help",
}
WRITING_OPTION = re.compile(r"--(output|pre|hostname-bin|ext-diff|textconv)\b")
INTERPRETERS = re.compile(r"(python|perl|ruby|node|php|deno|bun)[\d.]*")
DESTRUCTION = re.compile(
    r"rmtree|unlink|\bremove(?!prefix|suffix)|\brmdir|rename|\bmove\b|truncate|\brm(_|\b)|chmod"
    r"|\b(?<!stdout\.)write(?!r)|rmSync|['\"][wax]b?\+?['\"]|(?i:delete\s+from|drop\s+\w+|insert\s+into"
    r"|update\s+\w+\s+set|alter\s+table|\bvacuum\b|executescript)"
)
SUBSTITUTION = re.compile(r"s([^\w\s]).*\1.*\1\w*")
GUARDING = re.compile(r"undrop|hook|url|backups|vault|sqlite|\.db")
SAFER: dict[str, Text] = {
    "backups": (
        "backups are kept for ever:",
        Action("restore", "NAME", typed=False),
        "puts one back, and a person who wants one gone types",
        Action("forget", "NAME", typed=False),
    ),
    "clean": "git clean -fdx -e backups -e '*.db'",
    "find": "the same with  -not -path '*/backups/*'",
    "sqlite": (
        "sqlite3 -readonly FILE …, or",
        Action("diff"),
        "; to put it back:",
        Action("restore", "NAME", typed=False),
    ),
    "settings": "change other lines with an edit; undrop's settings and the hook are a person's",
    "forget": "a person types that; to free space ask them",
}


class Verdict(NamedTuple):
    """What is to be done about a command."""

    kind: Literal["reads", "goes on", "denied"]
    why: str
    safer: str = ""
    """What to do instead, by its name in SAFER."""


def decide(text: str, folder: "Path", settings: "Settings") -> Verdict:
    """Judge a shell command line that would run in ``folder``.

    What cannot be understood goes on: the backup comes before it all the same.
    """
    if only_reads(text):
        return Verdict("reads", "it is one of the commands that only read")
    # In a process of its own: the parser is C, and odd text has crashed it.
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which have no part in it
        child = os.fork()
    if child == 0:
        faulthandler.disable()  # nobody is to be told of that
        with suppress(BaseException):
            os.write(theirs, json.dumps(_judged(text, folder, settings)).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if said:
        return Verdict(*json.loads(said))
    from undrop.agent import shell

    why = "it could not be understood: a backup holds the state before it"
    return _first(shell.roughly(text, folder), settings) or Verdict("goes on", why)


def _judged(text: str, folder: "Path", settings: "Settings") -> Verdict:
    from undrop.agent import shell

    why = "it may change something: a backup holds the state before it"
    return _first(shell.commands(text, folder), settings) or Verdict("goes on", why)


def _first(commands: "Iterable[Simple]", settings: "Settings") -> Verdict | None:
    """The first denial, if there is one."""
    verdicts = (_Judge(settings, simple).verdict() for simple in commands)
    return next(filter(None, verdicts), None)


def only_reads(text: str) -> bool:
    """Whether it is plainly one command that reads: no list, redirection or substitution."""
    if re.search(r"[;&|<>$`(){}\n\\]", text):
        return False
    try:
        words = shlex.split(text)
    except ValueError:
        return False
    if not words or any(WRITING_OPTION.match(word) for word in words[1:]):
        return False
    name, rest = words[0], words[1:]
    if name == "git":
        rest = rest[1:] if rest[:1] == ["--no-pager"] else rest
        return bool(rest) and rest[0] in GIT_READERS
    if name in {"just", "undrop"}:
        command, *words = [rest[0].removeprefix("undrop-"), *rest[1:]] if rest else [""]
        # Without a query it is a shell, for whatever comes from standard input.
        asks = command == "sql" and any(" " in word for word in words)
        return asks or command in OUR_READERS
    return name in READERS


class _Judge:
    def __init__(self, settings: "Settings", simple: "Simple") -> None:
        from undrop.agent import places, targets

        self.settings = settings
        self.simple = simple
        self.name = targets.name(simple)
        self.words = targets.plain(simple.words)
        self.options = targets.options(simple.words)
        self.places = places.Places(settings, simple.folder)

    def verdict(self) -> Verdict | None:
        """A denial, or nothing."""
        return (
            self._written()
            or self._taken()
            or self._swept()
            or self._sqlite()
            or self._ours()
            or self._code()
        )

    def _no(self, why: str, safer: str) -> Verdict:
        return Verdict("denied", why, safer)

    def _written(self) -> Verdict | None:
        from undrop.agent import targets

        for word in (*self.simple.writes, *targets.written(self.simple)):
            if self.places.inside(word):
                return self._no(f"it writes to {word}, where backups are", "backups")
            if self.places.is_setting(word) and not self._replaces_other_lines():
                return self._no(f"it rewrites {word}", "settings")
        return None

    def _replaces_other_lines(self) -> bool:
        from undrop.agent import targets

        scripts = [word for word in self.words if word and not self.places.is_setting(word)]
        plain = all(SUBSTITUTION.fullmatch(each) and not GUARDING.search(each) for each in scripts)
        return targets.edits(self.simple) and plain

    def _taken(self) -> Verdict | None:
        from undrop.agent import targets

        taken = targets.taken(self.simple)
        if self.simple.fed and self.name in targets.TAKERS and self.places.inside("."):
            return self._no("it takes away what it is told, where backups are", "backups")
        for word in taken.words:
            if self.places.inside(word):
                return self._no(f"it takes away or opens up {word}, where backups are", "backups")
            if self.name == "mv" and self.places.whole(word):
                continue  # a project that is moved as a whole takes its backups with it
            if taken.deep and self.places.above(word):
                return self._no(f"it takes away or opens up {word}, with the guard", "backups")
            if self.places.is_setting(word) and self.name not in targets.PERMISSIONS:
                return self._no(f"it takes {word} away", "settings")
        return None

    def _swept(self) -> Verdict | None:
        from undrop.agent import sweeps

        if self.name == "git" and (why := sweeps.git(self.settings, self.simple)):
            return self._no(why, "clean")
        if sweeps.find(self.places, self.simple):
            return self._no(f"it deletes what find finds in {self.settings.backups}", "find")
        return None

    def _sqlite(self) -> Verdict | None:
        if self.name not in {"sqlite3", "litecli", "sqlite-utils"}:
            return None
        from undrop.agent import sql as statements

        given = self.words[0] if self.words else ""
        sql = "\n".join([*self.words[1:], self.simple.stdin])
        places = "|".join(re.escape(place.name) for place in self.places.backups)
        named = re.findall(rf"(?:file:)?([^\s'\"()?]*(?:{places})[^\s'\"()?]*)([^\s'\"()]*)", sql)
        if any(
            self.places.inside(path) and not statements.only_reads(query) for path, query in named
        ):
            return self._no("its SQL names a file in backups/", "sqlite")
        path, _, query = given.removeprefix("file:").partition("?")
        reads = (
            {"-readonly", "--readonly"} & {*self.options}
            or statements.only_reads(query)
            or statements.reads(sql)
        )
        if given and self.places.inside(path) and not reads:
            return self._no(f"it may write to {given}", "sqlite")
        return None

    def _ours(self) -> Verdict | None:
        words = self.simple.words[1:]
        if self.name in {"just", "undrop"}:
            if {"forget", "undrop-forget"} & {*words} and words[0] not in {
                "test",
                "torture",
                "backup",
                "bench",
            }:
                return self._no("it removes a backup for good", "forget")
            if "init" in words[:1] and "--remove" in words:
                return self._no("it takes the guard out of the project", "settings")
        tools = {"pip", "pip3", "pipx", "uv", "poetry", "pdm", "pipenv"}
        if self.name in tools and "undrop" in words and {"uninstall", "remove"} & {*words}:
            return self._no("it uninstalls the guard", "settings")
        return None

    def _code(self) -> Verdict | None:
        if not INTERPRETERS.fullmatch(self.name):
            return None
        fed = (word for words in self.simple.fed for word in words[1:])
        code = " ".join([*self.simple.words[1:], self.simple.stdin, *fed])
        if not DESTRUCTION.search(code):
            return None
        if any(place.name in code for place in self.places.backups) or "state/undrop" in code:
            return self._no("its code names the backups, and destroys", "backups")
        if re.search(
            r"agent-hook|\[?tool\.undrop|\.claude/settings|(pyproject|undrop)\.toml", code
        ):
            return self._no("its code names the guard's settings, and writes", "settings")
        return None
