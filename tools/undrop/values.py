"""What is handed around: the session, facts of a backup, who has a database open."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from undrop.recipes import Action

Progress = Callable[[str, int, int], None]
"""Called with a phase, how much of it is done, and out of how much."""
TICK = 0.2  # seconds between two calls of it while another process is waited for
VERSION_TABLE = "alembic_version"
"""Where Alembic keeps a database's revision, unless a project says otherwise."""
ANY_VERSION_TABLE = "*"
"""That of whichever tool is known and has one there."""
PATIENCE = 10.0  # seconds that a command waits for another program's lock
PATIENCE_WITH_UNDROP = 60.0  # and for another undrop
HOLD_LOCK = 5.0  # and that others' writes wait for it at most: as long as Python's connections do


def quiet(_phase: str, _done: int, _total: int) -> None:
    """No progress is shown."""


class Session:
    """One command at work: what it shows, how long it waits, and whether it changed anything."""

    changed = False
    """Set from the moment that a live database is changed: what fails later must say so."""

    hold_lock = HOLD_LOCK
    """Seconds that others' writes are made to wait at most; 0 for not at all."""
    version_table = VERSION_TABLE
    """Where the database that it works on has its revision: a name, or ANY_VERSION_TABLE."""
    trust_code = False
    """Whether code of others, in a backup of ours, may run as the user that loads it."""
    trust_file = False
    """Whether a file that no record vouches for may be loaded."""
    published = False
    """Set where a backup was taken that ``after-backup`` is still to be told of."""
    took = False
    """Set where a backup was taken: an older one is to be packed then, as a rule."""
    tells_at_once = True
    """Whether it is told when the lock is free again; else when an agent's session ends."""
    typed: "Action | None" = None
    """The command without ``--hold-lock``, where somebody typed one."""

    def __init__(
        self,
        progress: Progress = quiet,
        patience: float = PATIENCE,
        patience_with_undrop: float = PATIENCE_WITH_UNDROP,
    ) -> None:
        self.progress, self.patience = progress, patience
        self.patience_with_undrop = patience_with_undrop
        self.passed_over: dict[Path, str] = {}
        """What in our own folders was closed to us, and the line that changes that."""
        self.wrote: set[str] = set()
        """Files of the project's that were written while its migration command ran."""
        self.broken: list[str] = []
        """Backups that a proof which was put off has found broken, each with what is wrong."""

        self.unpacked: dict[str, Path] = {}
        """Files with the bytes of packed backups, by their digests, the last one asked for last."""
        self.scratch: TemporaryDirectory[str] | None = None
        """The folder that these are in."""

        self.last_sequences: dict[Path, int] = {}
        """Of the newest backups by their folders, as far as those were looked through since the
        lock was taken."""
        self.all = [self]
        """The command's sessions, one for each database that it works on."""

    @property
    def first(self) -> "Session":
        """The one that has what is had once for the whole command."""
        return self.all[0]

    def close(self) -> None:
        """Remove what was there for the command alone."""
        if self.first.scratch is not None:
            self.first.scratch.cleanup()

    def beside(self) -> "Session":
        """The same command at work on another database."""
        other = Session(self.progress, self.patience, self.patience_with_undrop)
        other.passed_over, other.wrote, other.all = self.passed_over, self.wrote, self.all
        other.broken = self.broken
        other.hold_lock, other.typed = self.hold_lock, self.typed
        other.tells_at_once = self.tells_at_once
        other.trust_code, other.trust_file = self.trust_code, self.trust_file
        self.all.append(other)
        return other


class VersionTable(NamedTuple):
    """Where a tool keeps which of its migrations a database has."""

    name: str
    columns: frozenset[str]
    """It has these at least; a table of that name without them is somebody's own."""
    revision: str
    """In SQL, as text."""
    order: str
    """The newest last."""
    every: bool = False
    """Whether each row is a revision that it is at, not the newest alone."""


def _known(
    name: str, columns: str, revision: str, order: str = "", *, every: bool = False
) -> VersionTable:
    return VersionTable(name, frozenset(columns.split()), revision, order or revision, every)


VERSION_TABLES = (
    _known(VERSION_TABLE, "version_num", "version_num", every=True),
    _known("django_migrations", "id app name applied", "app || ' ' || name", "id", every=True),
    _known("__drizzle_migrations", "id hash created_at", "created_at"),
    _known("_prisma_migrations", "migration_name started_at", "migration_name", "started_at"),
    _known("_yoyo_migration", "migration_id applied_at_utc", "migration_id", "applied_at_utc"),
    _known("knex_migrations", "id name batch migration_time", "name", "id"),
    _known("SequelizeMeta", "name", "name"),
    _known("migratehistory", "id name migrated_at", "name", "id"),
    _known("aerich", "id version app content", "version", "id"),
    _known("_meta", "id version", "version", "id"),  # fastmigrate's
    _known("schema_migrations", "version", "version"),  # dbmate's, golang-migrate's, Rails'
)


def version_tables(wanted: str) -> tuple[VersionTable, ...]:
    """Those that are meant by a ``Session.version_table``, likeliest first; none for none.

    Of a name that nobody knows it is one of Alembic's that the project called so.
    """
    if wanted == ANY_VERSION_TABLE or not wanted:
        return VERSION_TABLES if wanted else ()
    known = tuple(table for table in VERSION_TABLES if table.name == wanted)
    return known or (VERSION_TABLES[0]._replace(name=wanted),)


class Hold(NamedTuple):
    """How long a try made others' writes wait."""

    seconds: float
    """As long as that lasted."""
    needed: float
    """Until the replacement began."""

    @property
    def lasted(self) -> bool:
        """Whether it was not over before that."""
        return self.needed <= self.seconds


PENDING = "ok, proof pending"
"""``Facts.check`` of a backup that is whole as far as was looked at: its proof comes later."""


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
    code: list[str] = ["*"]  # noqa: RUF012
    """Roles whose code is in it (``Record.code``)."""
    user_version: int = 0
    application_id: int = 0


class Examined(NamedTuple):
    """All of a live database, looked at."""

    by: str
    """What it was looked at by, for people."""
    problems: list[str]
    """What that found."""


class Orphans(NamedTuple):
    """Rows whose foreign key points nowhere."""

    name: str
    """As ``accepts_loss`` takes it: ``foreign key items.supplier_id``."""
    what: str
    """How many of which table, for people."""
    known: bool
    """Whether they were there before, and the key alone is new."""


class Moved(NamedTuple):
    """What Alembic did to a database."""

    revisions_before: list[str]
    """Revision(s) it started from."""
    revisions_after: list[str]
    """Revision(s) that it was at when the last one ended, as Alembic keeps them."""
    steps: int
    """Migrations that ran."""
    accepts: list[str]
    """What their files say that may be lost by them."""
    version_table: str
    """Where Alembic keeps them, as its context says."""
    outside: list[str]
    """Statements that did not run in the migrations' transaction."""
    seconds: float
    """How long Alembic took, what it had loaded by then not included."""
    beside: "list[Moved]" = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """The same of ``Target.beside``, in that order."""
    server: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """What of the whole server changes by it, for people."""
    runs: "list[list[Any]]" = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """Of each of Alembic's contexts, one after the other: its schema for the version table, the
    revision(s) that stood there, and how many migrations ran."""
    commits: "list[Any]" = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """What each commit had done, in the engine's words."""

    @classmethod
    def of_json(cls, parts: list[Any]) -> Self:
        """Back from JSON, which has lists for tuples."""
        moved = cls(*parts)
        return moved._replace(beside=[cls.of_json([*each]) for each in moved.beside])


UNMOVED = Moved([], [], 0, [], VERSION_TABLE, [], 0.0)
"""What became of a database that was not gone to."""


class InPlace(NamedTuple):
    """What must be so where a live database is migrated itself."""

    expect: str
    """The content that it must still have; empty for none at all."""
    seconds: float
    """How long a lock is waited for."""
    note: str
    """The file that is told which transaction it is."""
    tried: "list[list[Any]]"
    """What ran on the copy on which the migrations were tried (``Moved.runs``)."""
    rehearsed: str = ""
    """The file with what they did there, in the engine's words; empty where nobody looked."""


class Beside(NamedTuple):
    """A work copy of another of the project's databases, which one run may go to as well."""

    live: str
    """The file that it is a copy of."""
    database: str
    """Its own."""
    url: str
    """The live one's."""
    variable: str
    """The environment variable by which that may be read; empty when there is none."""


class Target(NamedTuple):
    """The one database that Alembic's own process may go to: a copy, or the live one in place."""

    database: str
    """Its file, or its name on the server."""
    server: str = ""
    """URL of the server, where that is not the project's own."""
    live: InPlace | None = None
    beside: tuple[Beside, ...] = ()
    """Those that it may go to besides."""

    @classmethod
    def of_json(cls, parts: list[Any]) -> Self:
        """Back from JSON, which has lists for tuples."""
        database, server, live, beside = parts
        others = tuple(Beside(*each) for each in beside)
        return cls(database, server, InPlace(*live) if live else None, others)


class Holder(NamedTuple):
    """A program that has the database open."""

    pid: int
    name: str


class Result(NamedTuple):
    """What a query gives."""

    columns: list[str]
    rows: "Iterator[tuple[Any, ...]]"
    """They come as they are read."""
    notes: list[str]
    """What is not as the application would have it, for people."""


class Shell(NamedTuple):
    """A program in which somebody can ask more."""

    command: tuple[str, ...]
    environment: dict[str, str]
    """What is added to ours."""


class Definitions(NamedTuple):
    """What a database is made of, to be compared with another's, and its revision(s)."""

    schema: object
    revisions: list[str]


class Identity(NamedTuple):
    """What tells a state from others, and its schema (asked when it is needed)."""

    content: str
    definitions: Callable[[], Definitions]


class Origin(NamedTuple):
    """What gives a live database back as it was, as its record keeps it."""

    mode: str = "0600"
    """Permissions of its file, octal."""
    uid: int = -1
    gid: int = -1
    journal_mode: str = ""
    """``wal`` or ``delete``; empty where that is not known."""
