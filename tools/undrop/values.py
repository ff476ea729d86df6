"""What is handed around: progress, facts of a backup, who has a database open."""

from collections.abc import Callable
from typing import NamedTuple

Progress = Callable[[str, int, int], None]
"""Called with a phase, how much of it is done, and out of how much."""
LOCK_DEADLINE = 10.0  # seconds that a step waits for another program's lock


class Facts(NamedTuple):
    """What a whole backup turned out to be."""

    bytes: int
    digest: str
    """Of the backup's bytes."""
    revisions: list[str]
    filled: list[str]
    """Tables that have rows; not the database's own."""
    check: str = "ok"
    """Begins with ``ok``; what could not be checked comes after it."""
    content: str = ""
    """What tells this state of a database from others where the digest of a backup does not."""
    definitions: str = ""
    """A digest of the schema, where there is one."""
    rows: dict[str, int] = {}  # noqa: RUF012 - a tuple's default, nobody writes to it
    server: str = ""
    extensions: dict[str, str] = {}  # noqa: RUF012
    database_bytes: int = 0
    """Size of the database where that is not the backup's."""
    user_version: int = 0
    application_id: int = 0


class Moved(NamedTuple):
    """What Alembic did to a database."""

    before: list[str]
    """Revision(s) it started from."""
    after: list[str]
    """Revision(s) it was asked for, resolved to their full names."""
    steps: int
    """Migrations that ran."""
    accepts: list[str]
    """What their files say that may be lost by them."""
    outside: list[str]
    """Statements that did not run in the migrations' transaction."""
    seconds: float
    """How long Alembic took, what it had loaded by then not included."""


class Holder(NamedTuple):
    """A program that has the database open."""

    pid: int
    name: str


class Identity(NamedTuple):
    """What tells a state from others, and its schema (asked when it is needed)."""

    content: str
    definitions: Callable[[], object]
