"""What other projects have of this very database, for people and in JSON."""

import os
from typing import TYPE_CHECKING, Any

from undrop.cli import tables

if TYPE_CHECKING:
    from undrop.store.neighbours import Neighbour


def lines(others: "list[Neighbour]") -> list[str]:
    """A line for each of them."""
    texts = []
    for other in others:
        had = f"{other.backups} backup(s) of this very database"
        if other.newest:
            had += f" (newest: {other.newest.path.name}, {tables.age(other.newest.created)})"
        there = os.path.isdir(other.root)  # noqa: PTH112 - one that is closed to us is no failure
        gone = "" if there else ", which is gone"
        texts.append(
            f"another project's folder, {other.root}{gone}, has {had} and {other.steps} step(s) on "
            f"it, which are not among those here: {other.folder}"
        )
    return texts


def fields(others: "list[Neighbour]") -> list[dict[str, Any]]:
    """The same in JSON."""
    return [
        {
            "root": str(other.root),
            "vault": str(other.folder),
            "backups": other.backups,
            "newest": str(other.newest.path) if other.newest else None,
            "steps": other.steps,
        }
        for other in others
    ]
