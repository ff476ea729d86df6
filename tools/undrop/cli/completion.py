"""What a shell completes: commands, options, backups, databases. argcomplete speaks with it."""

import os
from argparse import _SubParsersAction
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import argcomplete
from argcomplete.completers import FilesCompleter
from argcomplete.shell_integration import shellcode

from undrop import settings
from undrop.cli.answer import Answer, Bare
from undrop.errors import UndropError
from undrop.recipes import CHOICE, DB

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

BACKUPS = {
    "restore": ("file",),
    "verify": ("file",),
    "sql": ("file",),
    "diff": ("before", "after"),
    "recover": ("source",),
    "forget": ("name",),
}
"""Arguments of commands that take a backup."""


def completion(run: Bare) -> Answer:
    """The lines that tell a shell to ask us."""
    shell = run.arguments.shell
    script = shellcode(["undrop"], shell=shell)
    return Answer({"shell": shell, "script": script}, script)


def complete(arguments: "ArgumentParser") -> NoReturn:
    """Tell the shell that asks, and end."""
    [every] = [each for each in arguments._actions if isinstance(each, _SubParsersAction)]
    for name, command in every.choices.items():
        for action in command._actions:
            if action.dest in BACKUPS.get(name, ()):
                action.completer = _backups
            elif action.option_strings == [DB]:
                action.completer = _databases
    argcomplete.autocomplete(arguments, always_complete_options="long")
    raise SystemExit(1)  # it ends by itself where a shell asked


def _databases(**_: Any) -> list[str]:  # noqa: ANN401 - argcomplete's
    with suppress(UndropError, OSError):
        return settings.load(Path.cwd()).names
    return []


def _backups(prefix: str, parsed_args: "Namespace", **_: Any) -> list[str]:  # noqa: ANN401
    """Their names, newest first; a path is completed as any file is."""
    from undrop.store import catalog

    if "/" in prefix or prefix.startswith((".", "~")):
        return list(FilesCompleter()(prefix))
    with suppress(UndropError, OSError):
        name = parsed_args.database or os.environ.get(CHOICE, "") or settings.DEFAULT
        project = settings.load(Path.cwd(), name=name)
        mine = [each for each in catalog.backups(project) if catalog.is_of(project, each)]
        return ["latest", *(each.path.name for each in mine[::-1])]
    return []
