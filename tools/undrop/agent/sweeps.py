"""Commands that take away what they find: ``git clean``, ``git stash`` and ``find``."""

import os
import re
import subprocess
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from undrop.agent import targets
from undrop.agent.places import Places
from undrop.engines.registry import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.agent.shell import Simple
    from undrop.settings import Settings

NAMES = {"-name", "-iname", "-path", "-ipath", "-wholename"}
HANDED_ON = re.compile(r"-(exec|execdir|ok|okdir) .*?\b(rm|unlink|shred|rmdir|mv|truncate|chmod)\b")
LOOKS = {"list", "show", "pop", "apply", "drop", "branch", "clear"}


def git(settings: "Settings", simple: "Simple") -> str:
    """Why ``git clean`` or ``git stash`` would take the backups away; empty when not."""
    words, folder = simple.words[1:], simple.folder
    while words and words[0].startswith("-"):
        folder = folder / words[1] if words[0] == "-C" and words[1:] else folder
        words = words[2:] if words[0] in {"-C", "-c"} else words[1:]
    places = Places(settings, folder)
    if words[:1] == ["stash"] and not LOOKS & {*words[1:2]}:
        flags = _letters(words)[0]
        if flags & {"a", "all"}:
            return "git stash --all takes what git ignores: backups/ too"
        plain = flags & {"u", "include-untracked"} and _plain(settings)
        return "git stash -u takes backups/, which git does not ignore" if plain else ""
    if words[:1] != ["clean"]:
        return ""
    flags, kept, paths = _letters(words)
    # With -X, what -e names goes too.
    spared = any(settings.backups.name in each for each in kept) and "X" not in flags
    if spared or flags & {"n", "dry-run"}:
        return ""
    if not paths or any(each.startswith(":") for each in paths):
        paths = [] if any(settings.backups.name in each for each in paths) else ["."]
    # Without -d, a pattern that names something in an ignored folder still removes the folder.
    reached = any(map(places.inside, paths)) or ("d" in flags and _above_backups(places, paths))
    if reached and flags & {"x", "X"}:
        return "git clean -x removes what git ignores: backups/ too"
    plain = reached and _plain(settings)
    return "git clean removes backups/, which git does not ignore" if plain else ""


def _above_backups(places: Places, words: list[str]) -> bool:
    backups = Path(os.path.realpath(places.backups[0]))
    return any(map(backups.is_relative_to, (path for each in words for path in places.paths(each))))


def _letters(words: list[str]) -> tuple[set[str], list[str], list[str]]:
    """A git command's flags, its ``-e`` patterns, its paths."""
    flags, kept, paths = set[str](), list[str](), list[str]()
    rest = iter(words[1:])
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if word == "--":
            paths += rest
        elif word.startswith("--"):
            flags.add(name)
            kept += [value if equals else next(rest, "")] if name == "exclude" else []
        elif word.startswith("-"):
            letters, pattern, value = word[1:].partition("e")
            flags |= set(letters)
            kept += [value or next(rest, "")] if pattern else []
        else:
            paths.append(word)
    return flags, kept, paths


def _plain(settings: "Settings") -> bool:
    """Whether git would take a backup for a file like others, which ``.gitignore`` leaves out.

    Asked about is what the next backup will bring: something else in the folder may be tracked.
    """
    kinds = (*SUFFIXES, ".json", ".damaged/file")
    coming = [str(settings.backups / f"{settings.engine.stem}-next{kind}") for kind in kinds]
    with suppress(OSError):
        asked = ["git", "-C", str(settings.root), "check-ignore", "--", *coming]
        done = subprocess.run(asked, capture_output=True, check=False)  # noqa: S603
        return done.returncode in {0, 1} and len(done.stdout.splitlines()) < len(coming)
    return False


def find(places: Places, simple: "Simple") -> bool:
    """Whether ``find`` would delete backups, or hand them to a command that does."""
    if targets.name(simple) == "find":
        text = " ".join(simple.words)
        deletes = "-delete" in simple.words or bool(HANDED_ON.search(text))
        return deletes and _finds(places, simple.words)
    lists = (words for words in simple.fed if Path(words[0]).name == "find")
    without = re.compile(rf"\w*grep .*-\w*v.*{re.escape(places.backups[0].name)}")
    spared = any(without.match(" ".join(words)) for words in simple.fed)
    takes = targets.name(simple) in targets.TAKERS and not spared
    return takes and any(_finds(places, words) for words in lists)


def _finds(places: Places, words: list[str]) -> bool:
    start = next((n for n, word in enumerate(words) if n and re.match("[-(!]", word)), len(words))
    text = " ".join(words[start:])
    without = re.search(r"-prune|(!|-not) -(path|wholename) ", text)
    spared = without is not None and places.backups[0].name in text
    for root in words[1:start] or ["."]:
        if places.inside(root):
            return True
        if not spared and "-empty" not in words and any(_within(places, root, words)):
            return True
    return False


def _within(places: Places, root: str, words: list[str]) -> "Iterator[bool]":
    """Of everything guarded that lies under ``root``, whether the patterns fit."""
    deepest = words[words.index("-maxdepth") + 1 :][:1] if "-maxdepth" in words else []
    most = int(deepest[0]) if deepest and deepest[0].isdecimal() else 1000
    tests = [
        (words[n], words[n + 1])
        for n in range(1, len(words) - 1)
        if words[n] in NAMES and words[n - 1] not in {"!", "-not"}
    ]
    for folder in map(Path, map(os.path.realpath, places.backups)):
        coming = [f"next{suffix}" for suffix in SUFFIXES]  # what the next backup will be called
        names = [*os.listdir(folder), *coming] if folder.is_dir() else coming
        for path in (folder, *(folder / name for name in names)):
            for top in places.paths(root):
                if path.is_relative_to(top) and len(path.relative_to(top).parts) <= most:
                    inner = f"{root.rstrip('/')}/{path.relative_to(top)}"
                    yield not tests or any(_fits(test, path.name, inner) for test in tests)


def _fits(test: tuple[str, str], name: str, path: str) -> bool:
    option, pattern = test
    text = name if option.endswith("name") and option != "-wholename" else path
    if option.startswith("-i"):
        return fnmatchcase(text.lower(), pattern.lower())
    return fnmatchcase(text, pattern)
