"""What Alembic's own process is asked, and what it answers: each a line of JSON."""

import json
from typing import NamedTuple, Self

from undrop.values import Moved, Target


class Request(NamedTuple):
    """Bring one database to a revision."""

    config: dict[str, str]
    """What ``alembic.config.Config`` takes."""
    url: str
    """The project's."""
    variable: str
    """The environment variable by which ``env.py`` may read it; empty when there is none."""
    kind: str
    """The engine's."""
    revision: str
    target: Target

    def to_json(self) -> str:
        """For the pipe."""
        return json.dumps(self)

    @classmethod
    def of_json(cls, line: bytes) -> Self:
        """Back from it."""
        config, url, variable, kind, revision, target = json.loads(line)
        return cls(config, url, variable, kind, revision, Target.of_json(target))


class Reply(NamedTuple):
    """What became of that."""

    moved: Moved | None
    error: str = ""
    """What failed, where there is no ``moved``."""
    has_live_moved: bool = False
    """Whether it failed because somebody had written to the live database."""
    unknown: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """Revisions of the database that the migrations do not know."""

    def to_json(self) -> str:
        """For the pipe."""
        return json.dumps(self)

    @classmethod
    def of_json(cls, line: bytes) -> Self:
        """Back from it. Raises ValueError."""
        moved, *parts = json.loads(line)
        return cls(Moved(*moved) if moved else None, *parts)
