"""What an agent's command would do to the guard itself: nothing, only read, or take it away.

Only what is denied has to be understood here; a backup is taken before everything else that does
not plainly only read. Code in other languages is looked at as text.
"""

import fnmatch
import glob
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from undrop import vault

if TYPE_CHECKING:
    from undrop.agent.shell import Simple
    from undrop.settings import Settings

READERS = {
    "ls", "cat", "head", "tail", "wc", "pwd", "cd", "echo", "true", "stat", "du", "df", "which",
    "grep", "egrep", "fgrep", "rg", "diff", "cmp", "id", "whoami", "uname", "basename", "dirname",
    "realpath", "sha256sum", "md5sum",
}  # fmt: skip
GIT_READERS = {"status", "log", "diff", "show", "blame", "rev-parse", "ls-files", "describe"}
OUR_READERS = {"list", "status", "verify", "diff", "history", "--list", "--version", "--help"}
WRITING_OPTION = re.compile(r"--(output|pre|ext-diff|textconv)\b")
RECURSIVE = {"rm", "unlink", "shred", "rmdir", "chmod", "chown", "chattr", "trash", "srm"}
INTERPRETERS = re.compile(r"(python|perl|ruby|node|php|deno|bun)[\d.]*")
DESTRUCTION = re.compile(
    r"rmtree|unlink|\bremove|\brmdir|rename|\bmove\b|truncate|\brm\b|chmod|write|rmSync"
    r"|['\"][wax]b?\+?['\"]"
)
READING_SQL = re.compile(
    r"\s*(select|explain|pragma\s+\w+(\(\w+\))?|\.(schema|tables|dump|mode|headers?|indexes"
    r"|databases|show|width|quit|exit)\b[^;]*)[^;]*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
SAFER = {
    "backups": "backups are kept for ever; a person removes one with `just forget NAME`",
    "clean": "git clean -fdx -e backups -e '*.db'",
    "sqlite": "sqlite3 -readonly FILE …, or just diff; to put it back: just restore NAME",
    "settings": "change the other lines with an edit; [tool.undrop] and the hook are a person's",
    "forget": "a person types that; to free space ask them",
}


class Verdict(NamedTuple):
    """What is to be done about a command."""

    kind: Literal["reads", "goes on", "denied"]
    why: str
    safer: str = ""


def decide(text: str, folder: Path, settings: "Settings") -> Verdict:
    """Judge a shell command line that would run in ``folder``. Raises whatever a parser may."""
    if only_reads(text):
        return Verdict("reads", "it is one of the commands that only read")
    from undrop.agent import shell

    for simple in shell.commands(text, folder):
        if found := _Judge(settings, simple).verdict():
            return found
    return Verdict("goes on", "it may change something: a backup holds the state before it")


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
        return bool(rest) and rest[0] in GIT_READERS
    if name in {"just", "undrop"}:
        return not rest or (rest[0] in OUR_READERS)
    return name in READERS


class _Judge:
    def __init__(self, settings: "Settings", simple: "Simple") -> None:
        self.settings = settings
        self.simple = simple
        self.name = Path(simple.words[0]).name
        self.words = [word for word in simple.words[1:] if not word.startswith("-")]
        self.options = [word for word in simple.words[1:] if word.startswith("-")]
        kept = vault.folder(settings)
        self.guarded = [settings.backups, *([kept] if kept else [])]
        self.config = [
            settings.root / "pyproject.toml",
            settings.root / ".claude/settings.json",
        ]

    def verdict(self) -> Verdict | None:
        """A denial, or nothing."""
        for word in (*self.simple.writes, *self._overwritten()):
            if self._inside(word):
                return self._no(f"it writes to {word}", "backups")
            if self._is_config(word):
                return self._no(f"it rewrites {word}", "settings")
        for word in self._destroyed():
            if self._inside(word) or self._above(word):
                return self._no(f"it takes {word} away, where backups are", "backups")
            if self._is_config(word):
                return self._no(f"it takes {word} away", "settings")
        return self._git() or self._find() or self._sqlite() or self._ours() or self._code()

    def _no(self, why: str, safer: str) -> Verdict:
        return Verdict("denied", why, SAFER[safer])

    def _overwritten(self) -> list[str]:
        if self.name in {"cp", "install", "rsync", "scp", "ln", "mv"}:
            return self.words[-1:] if len(self.words) > 1 else []
        if self.name in {"tee", "truncate", "sponge"}:
            return self.words
        if self.name == "dd":
            return [word[3:] for word in self.words if word.startswith("of=")]
        if self.name in {"sed", "perl"} and any(
            re.match("-[a-z]*i|--in-pl", o) for o in self.options
        ):
            named = re.search("undrop|agent-hook", " ".join(self.simple.words))
            return [word for word in self.words if named or not self._is_config(word)]
        return []

    def _destroyed(self) -> list[str]:
        if self.name == "mv":
            # A project that is moved as a whole takes its backups with it.
            return [word for word in self.words[:-1] if self._inside(word) or not self._above(word)]
        if self.name == "rsync" and any(option.startswith("--del") for option in self.options):
            return self.words[-1:]
        return [*self.words, *self.simple.fed] if self.name in RECURSIVE else []

    def _paths(self, word: str) -> list[Path]:
        # Path.expanduser raises for a user that there is not.
        pattern = str(self.simple.folder / os.path.expanduser(word))  # noqa: PTH111
        magic = glob.has_magic(pattern)
        found = glob.glob(pattern, include_hidden=True) if magic else []  # noqa: PTH207 - absolute
        return [Path(os.path.realpath(path)) for path in (found or [pattern])]

    def _inside(self, word: str) -> bool:
        """Whether a word names the backups' folder, the vault, or something in them."""
        return any(
            path.is_relative_to(os.path.realpath(each))
            for path in self._paths(word)
            for each in self.guarded
        )

    def _above(self, word: str) -> bool:
        """Whether a word names a folder that has one of them in it."""
        return any(
            Path(os.path.realpath(each)).is_relative_to(path)
            for path in self._paths(word)
            for each in self.guarded
        )

    def _is_config(self, word: str) -> bool:
        return any(path in self._paths(word) for path in map(Path.resolve, self.config))

    def _git(self) -> Verdict | None:
        if self.name != "git" or not self._above("."):
            return None
        short = "".join(option[1:] for option in self.options if re.match("-[a-zA-Z]", option))
        if "clean" in self.words[:1] and set("xX") & set(short) and "n" not in short:
            kept = re.findall(r"(?:-e|--exclude)[ =]?\S*backups", " ".join(self.simple.words))
            if not kept and "--dry-run" not in self.options:
                return self._no("git clean -x removes what git ignores: backups/ too", "clean")
        if self.words[:1] == ["stash"] and ("a" in short or "--all" in self.options):
            return self._no("git stash --all takes backups/ away", "backups")
        return None

    def _find(self) -> Verdict | None:
        words = self.simple.words
        harmful = "-delete" in words or (
            {"-exec", "-execdir", "-ok", "-okdir"} & set(words) and RECURSIVE & {*words, "mv"}
        )
        if self.name not in {"find", "fd", "fdfind"} or not harmful:
            return None
        options = (n for n, word in enumerate(words) if n and re.match("[-(!]", word))
        roots = words[1 : next(options, None)] or ["."]
        spared = re.search(r"(-prune|(!|-not) -path|--exclude|-E) ?\S*", " ".join(words))
        if spared and "backups" in " ".join(words):
            return None
        patterns = [
            words[n + 1] for n, word in enumerate(words[:-1]) if word in {"-name", "-iname"}
        ]
        for root in roots:
            if self._inside(root) or (self._above(root) and self._matches(patterns)):
                return self._no(f"it deletes what is in {self.settings.backups}", "backups")
        return None

    def _matches(self, patterns: list[str]) -> bool:
        """Whether one of the patterns, if there are any, fits something that is guarded."""
        names = {
            name
            for each in self.guarded
            if each.is_dir()
            for name in (each.name, *os.listdir(each))
        }
        fits = (fnmatch.fnmatch(name, pattern) for name in names for pattern in patterns)
        return not patterns or any(fits)

    def _sqlite(self) -> Verdict | None:
        if self.name not in {"sqlite3", "litecli", "sqlite-utils"} or not self.words:
            return None
        given, sql = self.words[0], " ".join([*self.words[1:], self.simple.stdin])
        uri = given.removeprefix("file:").partition("?")[0]
        named = re.findall(r"[^\s'\"()]*backups[^\s'\"()]*", sql)
        if any(map(self._inside, named)):
            return self._no("its SQL names a file in backups/", "sqlite")
        reads = "-readonly" in self.options or (sql.strip() and READING_SQL.fullmatch(sql))
        if self._inside(uri) and not reads:
            return self._no(f"it may write to {given}", "sqlite")
        return None

    def _ours(self) -> Verdict | None:
        words = self.simple.words[1:]
        if self.name in {"just", "undrop"}:
            if "forget" in words:
                return self._no("it removes a backup for good", "forget")
            if words[:1] == ["init"] and "--remove" in words:
                return self._no("it takes the guard out of the project", "settings")
        if (
            self.name in {"pip", "pip3", "uv"}
            and "undrop" in words
            and {"uninstall", "remove"} & {*words}
        ):
            return self._no("it uninstalls the guard", "settings")
        return None

    def _code(self) -> Verdict | None:
        if not INTERPRETERS.fullmatch(self.name):
            return None
        code = " ".join([*self.simple.words[1:], self.simple.stdin])
        named = [each.name for each in self.guarded] + ["agent-hook", "[tool.undrop]"]
        if any(name in code for name in named) and DESTRUCTION.search(code):
            return self._no("its code names the backups or the guard, and destroys", "backups")
        return None
