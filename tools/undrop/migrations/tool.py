"""What migrates this project's database."""

from typing import TYPE_CHECKING, Any, Protocol, Self

from undrop.errors import UsageError
from undrop.migrations.message import Reply
from undrop.recipes import Action, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
    fenced: bool
    """Whether it runs behind the fence, and says which migrations ran and where they led.

    Else that is told by looking: at the copy, and at the live database, which it may have gone to.
    """
    together: bool
    """Whether one run of it may migrate several databases (``Target.beside``)."""
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

    @property
    def rows(self) -> "Callable[[str], Iterator[Any]] | None":
        """Asks the transaction of the last run, which must not be committed and is open still.

        None where it was committed.
        """

    def roll_back(self) -> None:
        """End that transaction, if there is one."""

    def discard(self) -> None:
        """Remove the databases that migrations have made: what was tried is not to stay."""


def of(settings: "Settings", words: list[str], command: "Sequence[str]" = ()) -> Tool:
    """The one to be asked for what somebody has typed behind ``migrate``; nothing is its newest.

    ``command`` is one that was typed itself. Raises UsageError where there is none, and for words
    that mean nothing to it.
    """
    if command:
        from undrop.migrations.command import Command

        return Command(settings, command, typed=True)
    if settings.migrate_command:
        from undrop.migrations import command as own

        return own.of_settings(settings, words)
    if settings.django:
        from undrop.migrations import django

        return django.Django(settings, words)
    _require_any(settings)
    from undrop.migrations import runner

    return runner.Alembic(settings, words or ["head"])


def refuse(settings: "Settings", words: list[str], command: "Sequence[str]" = ()) -> None:
    """Raise the UsageError that ``of`` would, with nothing started."""
    if command or settings.migrate_command:
        of(settings, words, command)  # which starts nothing yet
        return
    if settings.django:
        from undrop.migrations import django

        django.refuse(words)
        return
    _require_any(settings)
    from undrop.migrations import runner

    runner.refuse(settings, words)


def to_newest(settings: "Settings") -> Tool:
    """The one that makes an empty database one of the newest schema. Raises UsageError."""
    is_alembics = not (settings.migrate_command or settings.django)
    return of(settings, ["heads"] if is_alembics else [])


def look(settings: "Settings") -> Reply:
    """Which revisions there are, or that they cannot be read: it is advice, and never raises."""
    if settings.migrate_command:
        return Reply()
    if settings.django:
        from undrop.migrations import django

        return django.look(settings)
    if not settings.alembic_files:
        return Reply()
    from undrop.migrations import runner

    return runner.look(settings)


def _require_any(settings: "Settings") -> None:
    """Raise UsageError where nothing migrates."""
    if not settings.migrates:
        raise UsageError(
            f"nothing is known here that migrates: there is no {settings.alembic_ini}, and no "
            "migrate-command",
            Setting('migrate-command = "COMMAND"'),
            ", or type it:",
            Action("migrate", "--", "COMMAND…", typed=False),
        )
