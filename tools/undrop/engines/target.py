"""The one database that Alembic's own process may go to, as it is told to that."""

from typing import Any, NamedTuple, Self


class InPlace(NamedTuple):
    """What must be so where that is the live database itself."""

    expect: str
    """The content that it must still have; empty for none at all."""
    seconds: float
    """How long a lock is waited for."""
    note: str
    """The file that is told which transaction it is."""
    tried_from: list[str]
    """Revision(s) that the copy was at on which the migrations were tried."""
    tried_steps: int
    """How many of them ran there."""


class Target(NamedTuple):
    """A work copy, or the live database where that is migrated in place."""

    database: str
    """Its file, or its name on the server."""
    server: str = ""
    """URL of the server, where that is not the project's own."""
    live: InPlace | None = None

    @classmethod
    def of_json(cls, parts: list[Any]) -> Self:
        """Back from JSON, which has lists for tuples."""
        database, server, live = parts
        return cls(database, server, InPlace(*live) if live else None)
