"""What is guarded: the backups, the vault and the guard's own settings, and who names them."""

import glob
import os
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from undrop.recipes import OWN_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.settings import Settings

UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # stands in a word for what only the shell knows
CLAUDE = ("settings.json", "settings.local.json")
MANY = 100  # meanings of a word that are looked at
BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


class Places:
    """The guarded places, as words of a command in ``folder`` name them."""

    def __init__(self, settings: "Settings", folder: Path) -> None:
        self.root = settings.root
        self.folder = folder
        kept = settings.vault_folder
        self.backups = [settings.backups, *([kept] if kept else [])]
        self.guarded = [
            _real(path) for path in (settings.backups, *([kept.parent] if kept else []))
        ]
        self.project = [_real(settings.root / name) for name in ("pyproject.toml", OWN_FILE)]
        home = Path(os.path.expanduser("~"))  # noqa: PTH111 - never raises
        tops = (settings.root, git_root(settings.root) or settings.root, home)
        self.claude = [_real(top / ".claude" / name) for top in tops for name in CLAUDE]

    def paths(self, word: str) -> list[Path]:
        """The files that a word may mean; braces and patterns are filled in."""
        patterns: list[str] = []
        for each in islice(_braces(word), MANY):
            pattern = str(self.folder / os.path.expanduser(each))  # noqa: PTH111 - never raises
            patterns.append(pattern)
            if glob.has_magic(pattern):
                patterns += glob.glob(pattern, include_hidden=True)  # noqa: PTH207 - absolute
                patterns += [str(place) for place in self.guarded if place.match(pattern)]
        return list(map(_real, patterns))

    def inside(self, word: str) -> bool:
        """Whether a word names the backups' folder, the vaults, or something in them."""
        start, slash, rest = word.partition("/")
        if UNKNOWN in start and slash and rest.strip("*/."):
            word = str(self.root / rest)  # that may be the project's folder
        return any(
            path.is_relative_to(place) for path in self.paths(word) for place in self.guarded
        )

    def above(self, word: str) -> bool:
        """Whether a word names a folder that has one of them in it, or the guard's settings."""
        what = [*self.guarded, *self.project, *self.claude]
        return any(each.is_relative_to(path) for path in self.paths(word) for each in what)

    def whole(self, word: str) -> bool:
        """Whether a word names the project's folder, or one that has the project in it."""
        return any(map(_real(self.root).is_relative_to, self.paths(word)))

    def is_setting(self, word: str) -> bool:
        """Whether a word names a file with settings of the guard."""
        return any(path in {*self.project, *self.claude} for path in self.paths(word))


def git_root(folder: Path) -> Path | None:
    """The top of the working tree that a folder is in; a worktree's has a file of that name."""
    folder = _real(folder)
    tops = (each for each in (folder, *folder.parents) if (each / ".git").exists())
    return next(tops, None)


def _braces(word: str) -> "Iterator[str]":
    """``{a,b}.db`` as ``a.db`` and ``b.db``."""
    if found := BRACES.search(word):
        for choice in found[1].split(","):
            yield from _braces(word[: found.start()] + choice + word[found.end() :])
    else:
        yield word


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
