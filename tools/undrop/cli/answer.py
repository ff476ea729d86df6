"""What commands are given and what they answer with."""

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop.cli.progress import Bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from undrop.catalog import Backup
    from undrop.settings import Settings


class Answer(NamedTuple):
    """What a command has to say: ``line`` or the table on stdout, ``notes`` on stderr."""

    result: dict[str, Any]
    line: str = ""
    notes: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    code: int = 0


class Run(NamedTuple):
    """What every command gets."""

    settings: "Settings"
    arguments: Namespace
    bar: Bar
    say: "Callable[[str], None]"
    """Prints a line on stderr at once."""

    @property
    def standing(self) -> Path:
        """Where the user stands: just moves to the project's folder and tells us from where."""
        return Path(os.environ.get("UNDROP_INVOKED_FROM") or Path.cwd())


def revision_names(revisions: list[str]) -> str:
    """Revisions for people."""
    return ", ".join(revisions) or "no revision"


def fields(each: "Backup") -> dict[str, Any]:
    """A backup in JSON: its record, and whether it was verified."""
    facts = each.record._asdict() if each.record else {}
    return {**facts, "verified": each.verified, "only_in_vault": each.only_in_vault}
