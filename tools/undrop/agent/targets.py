"""Which files a simple command writes, and which it takes away or makes writable, by its words."""

import re
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from undrop.agent.shell import Simple

COPIERS = {"cp", "install", "rsync", "scp", "ln", "mv"}
PERMISSIONS = {"chmod", "chown", "chgrp", "chattr", "setfacl"}
TAKERS = {"rm", "unlink", "shred", "rmdir", "trash", "trash-put", "srm"} | PERMISSIONS
PACKERS = {"gzip", "gunzip", "bzip2", "bunzip2", "xz", "unxz", "zstd"}  # a file becomes another
OUTPUT = {
    "curl": ("-o", "--output"), "wget": ("-O", "-P"), "sort": ("-o", "--output"),
    "unzip": ("-d",), "tar": ("-C", "--directory"),
}  # fmt: skip
INTO = dict.fromkeys(("cp", "install", "ln", "mv"), ("-t", "--target-directory"))
EXTRACTS = re.compile(r"-?[a-zA-Z]*x|--extract")
RECURSIVE = re.compile(r"-[a-zA-Z]*[rR]|--recursive")
IN_PLACE = re.compile(r"-[0-9a-z]*i|--in-pl")


class Taken(NamedTuple):
    """What a command takes away."""

    words: list[str]
    deep: bool
    """Whether with all that is in them."""


def name(simple: "Simple") -> str:
    """The command's name, without its folder."""
    return Path(simple.words[0]).name


def plain(words: list[str]) -> list[str]:
    """Arguments that are no options, and all those after ``--``."""
    end = words.index("--") if "--" in words else len(words)
    return [word for word in words[1:end] if not word.startswith("-")] + words[end + 1 :]


def options(words: list[str]) -> list[str]:
    """Arguments that are options."""
    end = words.index("--") if "--" in words else len(words)
    return [word for word in words[1:end] if word.startswith("-")]


def written(simple: "Simple") -> list[str]:  # noqa: PLR0911 - one for each kind of command
    """Files that it writes, or folders that it writes into."""
    given, words, command = plain(simple.words), simple.words, name(simple)
    if command in COPIERS:
        last = given[-1:] if len(given) > 1 else []
        target = _values(words, INTO.get(command, ())) or last
        inside = [f"{each}/{Path(file).name}" for each in target for file in given if file != each]
        return target + inside
    if command == "tar" and not any(map(EXTRACTS.match, (*words[1:2], *options(words)))):
        return []
    if command in OUTPUT:
        return _values(words, OUTPUT[command])
    if command in {"tee", "truncate", "sponge"}:
        return given
    if command == "dd":
        return [word[3:] for word in given if word.startswith("of=")]
    if edits(simple):
        return given
    return []


def edits(simple: "Simple") -> bool:
    """Whether it is ``sed -i`` or ``perl -i``."""
    return name(simple) in {"sed", "perl"} and any(map(IN_PLACE.match, options(simple.words)))


def taken(simple: "Simple") -> Taken:  # noqa: PLR0911 - one for each kind of command
    """Files and folders that are not there afterwards, or not as they were."""
    given, command = plain(simple.words), name(simple)
    flags = " ".join(options(simple.words))
    if command == "mv":
        target = _values(simple.words, INTO["mv"]) or given[-1:]
        return Taken([word for word in given if word not in target], deep=True)
    if command == "rsync":
        gone = given[-1:] if "--del" in flags else []
        return Taken(gone + (given[:-1] if "--remove-source" in flags else []), deep=True)
    if command == "git" and given[:1] in (["rm"], ["mv"]) and "--cached" not in flags:
        return Taken(given[1:], deep=True)
    if command == "tar" and "--remove-files" in flags:
        return Taken(given, deep=True)
    if command in PACKERS and not re.search(r"(^| )-[a-z]*[ctl]|--(stdout|test|list)", flags):
        return Taken(given, deep=False)
    if command in TAKERS:
        deep = any(map(RECURSIVE.match, options(simple.words)))
        return Taken([*given, *_fed(simple, deep=deep)], deep)
    return Taken([], deep=False)


def _fed(simple: "Simple", *, deep: bool) -> list[str]:
    """What ``xargs`` or a loop may hand on; what ``find`` does has a judge of its own."""
    lists = [words for words in simple.fed if Path(words[0]).name not in {"find", "read"}]
    if deep and len(simple.fed) == 1 and lists and not plain(lists[0]) and lists[0][0] == "ls":
        return ["*"]
    patterns = {"grep", "rg", "egrep", "fgrep"}
    return [
        word
        for words in lists
        for word in plain(words)[1 if Path(words[0]).name in patterns else 0 :]
    ]


def _values(words: list[str], names: tuple[str, ...]) -> list[str]:
    """What an option is given, as ``-o FILE``, ``-oFILE``, ``--output FILE``, ``--output=FILE``."""
    values = []
    for word, following in zip_longest(words[1:], words[2:], fillvalue=""):
        for option in names:
            if word == option:
                values.append(following)
            elif word.startswith(f"{option}=" if option.startswith("--") else option):
                values.append(word.removeprefix(option).removeprefix("="))
    return [option for option in values if option]
