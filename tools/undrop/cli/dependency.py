"""What just tells of the step that comes: would it start? One that would not needs no backup.

just joins what it hands from a recipe to its dependency with blanks, so that it is a hint: only
where that plainly is a question, a list or an error is no backup taken. Nothing is lost where that
is wrong: the step itself goes on behind a backup only.
"""

import os
from contextlib import redirect_stdout
from itertools import product
from typing import TYPE_CHECKING

from undrop.cli.commands import parser
from undrop.errors import CheckError, UndropError, UsageError
from undrop.recipes import CHOICE, DB

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable

NAMES_FILE = "restore"
"""The step with an argument that may have blanks in it."""
MOST = 6  # words of such a hint that can be told


def starts(step: str, hint: str, begins: "Callable[[Namespace], bool]") -> bool:
    """Whether a step with such arguments would start, by any reading of the ``hint``.

    ``begins`` says that of what can be parsed, or raises what the step itself would.
    """
    arguments, words = parser(step), hint.split(" ")
    readings = {tuple(filter(None, words))}
    if step == NAMES_FILE:
        if len(words) > MOST:
            return True
        readings.update(_joined(words))
    return any(_starts(arguments, [step, *reading], begins) for reading in readings)


def database(asked: "Namespace") -> str:
    """Which database a command is about, if somebody says; of a backup, the step behind it does."""
    if named := asked.database or _hinted(asked):
        return named
    return os.environ.get(CHOICE, "")


def _hinted(asked: "Namespace") -> str:
    """Which one a step is about for which a backup is taken."""
    reason = getattr(asked, "reason", ())  # only a backup has one, and a step before which it is
    words = iter(" ".join(reason).split(" ") if reason and asked.before else ())
    for word in words:
        if word == "--":
            break
        if word == DB:
            return next(words, "")
        if word.startswith(f"{DB}="):
            return word.removeprefix(f"{DB}=")
    return ""


def _joined(words: list[str]) -> "Iterable[tuple[str, ...]]":
    """The words with each blank between two of them kept or not."""
    for blanks in product(" \0", repeat=len(words) - 1):
        pieces = zip(words, (*blanks, ""), strict=True)
        yield tuple("".join(map("".join, pieces)).split("\0"))


def _starts(
    arguments: "ArgumentParser", line: list[str], begins: "Callable[[Namespace], bool]"
) -> bool:
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123
            asked = arguments.parse_args(line)
        looks = getattr(asked, "list", False) or getattr(asked, "dry_run", False)
        return not looks and begins(asked)
    except (UsageError, CheckError, SystemExit):  # the last where it is asked for help
        return False
    except (UndropError, OSError):  # what cannot be told now may be by then
        return True
