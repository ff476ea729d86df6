"""The revisions in the project's migrations."""

from functools import lru_cache
from typing import TYPE_CHECKING

from undrop.migrations import tool

if TYPE_CHECKING:
    from undrop.migrations.message import Reply
    from undrop.settings import Settings


def heads(settings: "Settings") -> list[str] | None:
    """The newest revision(s) in the project's migrations; None when they cannot be read.

    Loads every migration's file, as ``alembic heads`` does, in a process of its own.
    """
    told = _told(settings)
    return None if told.revisions is None else told.heads


def unknown(settings: "Settings", asked: list[str]) -> list[str]:
    """Those of the revisions that the project's migrations do not know; none where nobody can tell.

    Loads them, if any are asked for.
    """
    told = _told(settings).revisions if asked else None
    known = set(asked) if told is None else {each.revision for each in told}
    return [revision for revision in asked if revision not in known]


def pending(settings: "Settings", current: list[str]) -> list[str]:
    """The migrations between ``current`` and the head(s), the next one first; none if unknown."""
    known = _told(settings).revisions or []
    below = {each.revision: each.below for each in known}
    if not below.keys() >= {*current}:  # a revision that the code does not have
        return []
    done: set[str] = set()
    left = list(current)
    while left:
        revision = left.pop()
        if revision not in done:
            done.add(revision)
            left += below[revision]
    return [f"{each.revision} {each.doc}" for each in known if each.revision not in done]


@lru_cache(maxsize=1)
def _told(settings: "Settings") -> "Reply":
    """What there is, asked once in a command."""
    return tool.look(settings)
