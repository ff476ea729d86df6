"""What migrates this project's database."""

from typing import TYPE_CHECKING, Protocol, Self

from undrop.migrations.message import Reply

if TYPE_CHECKING:
    from undrop.recipes import Action
    from undrop.settings import Settings
    from undrop.values import Moved, Target


class Tool(Protocol):
    """One run of it, as somebody asked for: it migrates the databases that it is handed.

    Use it in a ``with``; what it starts ends with that.
    """

    name: str
    """For people: ``Alembic``."""
    in_place: bool
    """Whether it migrates a server's live database itself, in one transaction."""
    reads_accepts_loss: bool
    """Whether a migration's file can say what it may take away."""
    goes_to: list[str] | None
    """Which revisions; None for the newest, and none where only running it tells."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def typed(self, *options: str) -> "Action":
        """The same asked for once more, with such options."""

    def run(self, target: "Target") -> "Moved":
        """Migrate ``target``, with the project's code.

        What migrations print goes to stderr. Raises UndropError when a migration fails or when
        it would have gone to another database.
        """

    def discard(self) -> None:
        """Remove the databases that migrations have made: what was tried is not to stay."""


def of(settings: "Settings", words: list[str]) -> Tool:
    """The one to be asked for what somebody has typed behind ``migrate``; nothing is its newest.

    Raises UsageError where there is none, and for words that mean nothing to it.
    """
    from undrop.migrations import runner

    return runner.Alembic(settings, words or ["head"])


def to_newest(settings: "Settings") -> Tool:
    """The one that makes an empty database one of the newest schema. Raises UsageError."""
    from undrop.migrations import runner

    return runner.Alembic(settings, ["heads"])


def look(settings: "Settings") -> Reply:
    """Which revisions there are, or that they cannot be read: it is advice, and never raises."""
    if not settings.alembic_files:
        return Reply()
    from undrop.migrations import runner

    return runner.look(settings)
