"""What can go wrong, as exceptions: the core raises them, the command line prints them."""

from undrop import recipes
from undrop.recipes import Action, Part

LOOK: tuple[Part, ...] = (
    Action("list"),
    ", then",
    Action("restore", "NAME", typed=False),
    "with the state that you want",
)


VERBOSE = "UNDROP_VERBOSE"
"""The variable that has processes of ours print tracebacks: ``--verbose`` sets it."""
NOT_CHANGED = "The live database was not changed."
MOVED = (
    "The live database was changed meanwhile, by others (its application, or past the fence around "
    "a migration): {} is what it was before."
)


class UndropError(Exception):
    """The step failed and the live database is as it was.

    ``what`` says what failed, ``next_parts`` what to do next: actions, and words
    around them or alone, which are not to be typed. The class fixes the exit code
    and what is said about the live database; the names of the subclasses are the
    exit codes' meanings.
    """

    exit_code = 1
    live_changed = False
    moved_from = ""
    """The backup that holds the live database as it was, where somebody else has written since."""

    def __init__(self, what: str, *next_parts: Part) -> None:
        super().__init__(what)
        self.what = what
        self.next_parts = next_parts

    @property
    def next_step(self) -> str:
        """What to do next, where it is not known how undrop is called there."""
        return recipes.sentence(self.next_parts)

    def __str__(self) -> str:
        return self.told(self.next_step)

    def told(self, next_step: str) -> str:
        """The three lines of every failure, with what to do next as it is typed."""
        changed = "The live database was changed." if self.live_changed else NOT_CHANGED
        if self.moved_from:
            changed = MOVED.format(self.moved_from)
        return f"{self.what}\n{changed}\nNext: {next_step}"


class UsageError(UndropError):
    """The command or the configuration is wrong."""

    exit_code = 2


class ChangedError(UndropError):
    """The step failed after the live database was changed."""

    exit_code = 3
    live_changed = True


class CheckError(UndropError):
    """A check says no: damage, a lost row, a state that no backup holds."""

    exit_code = 4


class DamagedError(CheckError):
    """A file is not a whole database."""


class UnknownRevisionError(CheckError):
    """The database is at a revision that the migrations here do not know."""

    def __init__(self, revisions: list[str], *next_parts: Part, of: str = "") -> None:
        super().__init__(
            f"{of}the database is at revision {', '.join(revisions)}, which the migrations here do "
            "not know",
            "git switch to the branch that has it",
            *next_parts,
        )
        self.revisions = revisions


class ElsewhereError(RuntimeError):
    """``env.py`` connects to another database than those that it was given."""


class SlowError(UndropError):
    """What was asked did not answer in the time that it was given: nothing is known of it."""


class LiveMovedError(UndropError):
    """The live database is no longer what was backed up; the step can start over."""

    def __init__(self, what: str, *next_parts: Part, writes: int = 1) -> None:
        super().__init__(what, *next_parts)
        self.writes = writes
        """Transactions that came in meanwhile, at least."""


def damaged(what: str) -> DamagedError:
    """The error for a file that is not a whole database."""
    return DamagedError(what, Action("list"))


def wrong_query(what: str) -> UsageError:
    """The error for what is no query, or one that cannot be answered."""
    return UsageError(what, Action("sql", "FILE", "'SELECT …'", typed=False))


def refused_query(what: str) -> UsageError:
    """The error for what would do more than read."""
    return wrong_query(f"{what} is refused: a query is read only")
