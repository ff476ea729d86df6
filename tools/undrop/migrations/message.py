"""What a tool's own process is asked, and what it answers: each a line of JSON."""

import json
from typing import NamedTuple, Self

from undrop.values import Moved, Target


class Request(NamedTuple):
    """Bring one database to a revision, or say which revisions there are."""

    config: dict[str, str]
    """What ``alembic.config.Config`` takes."""
    root: str
    """The project's folder."""
    live: str
    """The live database's file; empty where it is none."""
    url: str
    """The project's."""
    variable: str
    """The environment variable by which ``env.py`` may read it; empty when there is none."""
    kind: str
    """The engine's."""
    reroute: bool
    """Whether what goes to the live database is handed the target instead."""
    name: str = ""
    """The database's, in the settings."""
    others: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """Files of the project's other databases."""
    command: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """The project's own that runs Alembic, if Alembic does not by itself (``own_command``)."""
    revision: str = ""
    target: Target | None = None
    """None to say which revisions there are."""

    def to_json(self) -> str:
        """For the pipe."""
        return json.dumps(self._asdict())

    @classmethod
    def of_json(cls, line: bytes) -> Self:
        """Back from it."""
        asked = cls(**json.loads(line))
        return asked._replace(target=Target.of_json([*asked.target]) if asked.target else None)


class DjangoRequest(NamedTuple):
    """Have Django migrate one database, or say which migrations there are."""

    manage: str
    """The file of ``manage.py``."""
    root: str
    """The project's folder."""
    live: str
    """The live database's file; empty where it is none."""
    url: str
    """The project's."""
    kind: str
    """The engine's."""
    others: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """Files of the project's other databases."""
    words: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """An application's label and a migration of it, or less."""
    target: Target | None = None
    """None to say which migrations there are."""

    def to_json(self) -> str:
        """For the pipe."""
        return json.dumps(self._asdict())

    @classmethod
    def of_json(cls, line: bytes) -> Self:
        """Back from it."""
        asked = cls(**json.loads(line))
        return asked._replace(target=Target.of_json([*asked.target]) if asked.target else None)


class Revision(NamedTuple):
    """A migration's file."""

    revision: str
    below: list[str]
    """Those that come before it."""
    doc: str
    """Its first line."""
    replaces: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """Those that it stands for, where it is a squashed one of Django's."""


class Reply(NamedTuple):
    """What became of that."""

    moved: Moved | None = None
    error: str = ""
    """What failed, where there is no answer."""
    refused: str = ""
    """``live`` or ``other``: which database project code would have changed (``fence``).

    ``elsewhere``: ``env.py`` connected to one that it was not given.
    """
    made: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """Files that were made on the way."""
    is_open: bool = False
    """Whether the migrations' transaction is, which must not be committed: it can be asked."""
    has_live_moved: bool = False
    """Whether it failed because somebody had written to the live database."""
    wrong: str = ""
    """``revision``, ``heads`` (there are several) or ``configuration``: what Alembic cannot use."""
    unknown: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """Revisions of the database that the migrations do not know."""
    revisions: list[Revision] | None = None
    """All that there are, each after those that come before it."""
    heads: list[str] = []  # noqa: RUF012
    keeps_each: bool = False
    """Whether a database knows each migration that ran in it, as Django's, not the newest alone."""

    def to_json(self) -> str:
        """For the pipe."""
        return json.dumps(self._asdict())

    @classmethod
    def of_json(cls, line: bytes) -> Self:
        """Back from it. Raises ValueError."""
        told = cls(**json.loads(line))
        known = None if told.revisions is None else [Revision(*each) for each in told.revisions]
        return told._replace(
            moved=Moved.of_json([*told.moved]) if told.moved else None, revisions=known
        )
