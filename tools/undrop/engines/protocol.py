"""The seam: all that undrop knows of a database. ``sqlite`` and ``postgres`` answer it.

``Family`` is what an engine is registered as (``registry``), ``Engine`` is one database of its.
What only some engines can do is a protocol of its own, and None where one cannot.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # nobody waits for these to be made
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Any, Literal, NoReturn, Protocol

    from sqlalchemy.engine import URL, Connection
    from sqlalchemy.engine import Engine as Connections

    from undrop.compare.comparison import Comparison, Reading, TableChange
    from undrop.compare.merge import Conflict, Merge, Sides, Sources
    from undrop.compare.readable import Readable
    from undrop.engines.sqlite.fence import Fence
    from undrop.recipes import Text
    from undrop.record import Record
    from undrop.values import (
        Beside,
        Definitions,
        Examined,
        Facts,
        Hold,
        Holder,
        Identity,
        Moved,
        Origin,
        Orphans,
        Result,
        Session,
        Shell,
        Target,
    )

    Log = AbstractContextManager[None]
    """Entered just before the live database is changed."""

    class State(Protocol):
        """The present state, and what holds it: ``backup.State`` says what each is."""

        @property
        def kind(self) -> Literal["database", "absent", "damaged"]: ...  # noqa: D102
        @property
        def snapshot(self) -> "Snapshot | None": ...  # noqa: D102
        @property
        def path(self) -> Path | None: ...  # noqa: D102
        @property
        def record(self) -> Record | None: ...  # noqa: D102

    class Snapshot(Protocol):
        """The live database as one snapshot saw it, and whether it still is that."""

        bytes: int
        taken: float
        """``time.time()`` when what is in ``work`` had been written."""

        @property
        def mode(self) -> str:
            """How it keeps its files, or what serves it, for people."""

        @property
        def hold(self) -> Hold | None:
            """How long others' writes waited for what is done with it; None where they did not."""

        def origin(self) -> Origin:
            """What a record says of the live database itself."""

        def revisions(self) -> list[str]:
            """Alembic's revision(s)."""

        def is_in(self, path: Path, record: Record, /) -> bool:
            """Whether that backup has the same content, as far as it can be told cheaply."""

        def identify(self, work: Path, /) -> Identity:
            """What state this is; what has to be written to know it is in ``work`` then.

            ``work`` is an empty file of ours. Writers may go on where the rest does without them.
            Raises DamagedError when the live database is damaged, UndropError for anything else.
            """

        def complete(self, work: Path, content: str, /, *, prove: bool, keep: bool) -> Facts:
            """Make ``work``, as ``identify`` left it, a backup of that ``content``, and check it.

            Without ``prove`` the part of the check that takes long may be left to a later
            ``Backups.check``: ``Facts.check`` is ``values.PENDING`` then. ``keep``: a copy that the
            check has made stays until this is closed, for ``Engine.work``. Raises as ``identify``
            does.
            """

        def copy_to(self, work: Path) -> None:
            """Write a backup into ``work``, an empty file of ours, unchecked."""

        def release(self) -> None:
            """Let writers go on."""

        def moved(self) -> bool | None:
            """Whether others have written since; None where that is not told cheaply.

            Nor is it once a replacement was tried, which may look like others' work.
            """

        def close(self) -> None: ...  # noqa: D102

    class Look(Protocol):
        """The live database as one transaction sees it: nothing is written, nobody locked out."""

        bytes: int

        @property
        def mode(self) -> str:
            """How it keeps its files, or what serves it, for people."""

        def revisions(self) -> list[str]:
            """Alembic's revision(s)."""

        def is_empty(self) -> bool:
            """Whether there is no table in it."""

        def rows(self) -> Mapping[str, int]:
            """Rows by table. Raises UndropError."""

        def state(self, like: Path | None, /) -> Identity:
            """What state this is, as a backup's record would say it.

            Where that depends on who wrote the backup: as the one that is ``like`` was written.
            Raises UndropError, OSError.
            """

        def compare(
            self, backup: Path, /, *, live_first: bool, also: Reading | None = None
        ) -> Comparison:
            """From this to a backup, else from the backup to this. Raises UndropError."""

        def readable(self, *, whole: bool) -> AbstractContextManager[Readable]:
            """It, to be read with SQL; ``whole``: for as long as it takes to read all of it.

            Raises DamagedError, UndropError, for the block as well.
            """

        def examine(self) -> Examined:
            """What is wrong with it, by the longest check there is.

            Raises DamagedError, UndropError, OSError.
            """

        def close(self) -> None: ...  # noqa: D102

    class Replacement(Protocol):
        """Something checked that can take the place of the live content."""

        facts: Facts
        journal_mode: str
        """The journal mode (``Origin``) that live is to have with it; empty to leave it alone."""
        note: Text
        """What of that could not be done, and what to type; empty where all was."""

        def carry_over(self, state: State, /) -> None:
            """Take over what a program beside us keeps in ``state`` and relies on.

            That is nobody's content, and nobody compares it; ``facts`` are those with it. Raises
            OSError, UndropError.
            """

        def replace_live(self, state: State, log: Log) -> float:
            """Make it the live content, if that still is ``state``: old or new at every instant.

            Returns how long, in seconds, others were locked out. Raises LiveMovedError and
            UndropError with the live database as it was, ChangedError when that is not so.
            """

        def hand_over(self, target: Path, /) -> bool:
            """Make ``target``, a file of ours, a backup of this, once it is in place.

            No where that takes a snapshot of the live database. Raises OSError.
            """

    class Work(Replacement, Protocol):
        """A copy of a state, or an empty database, on which migrations are tried."""

        @property
        def file(self) -> "Path | None":
            """What it is in, where that is a file."""

        def migrate(self, beside: tuple[Beside, ...] = ()) -> Moved:
            """Run the migrations on it, and on those ``beside``, which are files as it is."""

        def finish(self, moved: Moved, /) -> None:
            """Settle and check it; ``facts`` are there afterwards. Raises DamagedError."""

        def compare(self, backup: Path) -> Comparison:
            """From a backup to this."""

        def orphans(self, backup: Path | None, tables: list[TableChange], /) -> list[Orphans]:
            """Rows that point to no other and did not before."""

        def tables(self) -> set[str]:
            """The tables in it."""

        def try_replace(self, snapshot: Snapshot, backup: Path, /) -> float:
            """How long, in seconds, ``replace_live`` would lock others out, tried alone."""

    class Merged(Replacement, Protocol):
        """What three states come to, as they were merged."""

        conflicts: list[Conflict]
        """What was left as it is in ``Sources.ours``."""
        counts: dict[str, dict[str, int]]
        """Rows that were ``put``, ``change`` or ``gone``, by table of ours."""
        set_aside: list[str]
        """Triggers that did not run."""

    class Runner(Protocol):
        """Migrates what it is handed, in a process of its own (``migrations.tool.Tool``)."""

        in_place: bool
        """Whether it migrates a server's live database itself, in one transaction."""

        def run(self, target: Target) -> Moved:
            """Migrate ``target``."""

        @property
        def rows(self) -> Callable[[str], Iterator[Any]] | None:
            """Asks the transaction of the last run, where that must not be committed.

            It is open until ``roll_back``.
            """

        def roll_back(self) -> None:
            """End that transaction, if there is one."""

    class Script(Reading, Protocol):
        """The statements that turn one side of a comparison into the other."""

        lines: list[str]
        """None where nothing differs."""
        notes: list[str]
        """What differs, or may, and is not said by them."""

    class Backups(Protocol):
        """What is in backups of one kind; no live database is needed to tell."""

        suffix: str
        """Of their names."""

        def check(self, path: Path, record: Record | None) -> Facts:
            """Prove that a backup is whole. Raises DamagedError, CheckError, UndropError."""

        def compare(self, old: Path, new: Path, also: Reading | None = None) -> Comparison:
            """What changed between two backups; what ``also`` reads of both. Raises UndropError."""

        def script(self) -> Script:
            """To be handed to a comparison, as what it ``also`` reads."""

        def readable(self, path: Path, /) -> AbstractContextManager[Readable]:
            """What is in a backup, to be read with SQL; it is not proved to be whole.

            Raises DamagedError, UndropError, for the block as well.
            """

        def definitions(self, path: Path, record: Record | None, /) -> Definitions:
            """The schema in a backup."""

        def rows(self, path: Path) -> Mapping[str, int]:
            """Rows by table in a backup."""

        def query(self, path: Path, sql: str, /) -> AbstractContextManager[Result]:
            """What one statement that only reads gives of a backup, which stays as it is.

            Raises UsageError for another statement, DamagedError, UndropError.
            """

        def shells(self, path: Path, /) -> AbstractContextManager[Sequence[Shell]]:
            """The programs, the best one first, that ask a backup more while the block runs.

            Raises UndropError.
            """

    class Live(Protocol):
        """A live database, looked at."""

        source: str
        """How records and the log of steps name it."""
        stem: str
        """What its backups' names begin with."""
        label: str
        """How messages name it; nothing secret."""
        kind: str
        """A key of ``registry.ENGINES``."""
        light: bool
        """Whether comparing it with a backup is a light look."""

        @property
        def file(self) -> Path | None:
            """Its file, symbolic links followed; None where it is none."""

        @property
        def in_memory(self) -> bool:
            """Whether there can be nothing to back up."""

        def url(self) -> URL:
            """For SQLAlchemy: the very database that is backed up."""

        def exists(self) -> bool:
            """Whether there is anything to back up. Raises UsageError, UndropError."""

        def size(self) -> int | None:
            """Bytes of the live database; None when there is none, or it cannot be asked."""

        def holders(self) -> list[Holder]:
            """Other programs that have it open, as far as this user may see."""

        def fingerprint(self) -> list[object] | None:
            """What tells this state from others cheaply; None while it is too fresh for that."""

        def is_same(self, one: list[object], other: list[object], /) -> bool:
            """Whether two fingerprints tell that nobody has written between them."""

        def tables(self) -> list[str]:
            """The tables in the live database; none without one. Raises UndropError."""

        def snapshot(self) -> Snapshot:
            """Open it and pin a snapshot. Raises DamagedError, UndropError."""

        def look(self) -> Look:
            """Open it to be looked at. Raises DamagedError, UndropError."""

        def query_live(self, sql: str, /) -> AbstractContextManager[Result]:
            """What one statement that only reads gives of the live database, in one transaction.

            Raises as ``Backups.query`` does.
            """

        def shells_live(self) -> Sequence[Shell]:
            """The programs, the best one first, that ask the live database more."""

        def damaged(self) -> tuple[list[Path], Origin]:
            """Its files, to be kept as they are, and what a record says of them."""

        def is_live(self, path: Path) -> bool:
            """Whether ``path`` is the live database itself."""

    class Engine(Backups, Live, Protocol):
        """One live database, and what can be done to it in one session of ours."""

        session: Session
        """Says how long a lock is waited for; is told what is done, and that live was changed."""

        def refuse_unfit(self, path: Path) -> None:
            """Raise UsageError or CheckError for what is no backup of its kind."""

        def refuse_while_open(self) -> None:
            """Raise UndropError while others have it open so that it cannot be removed."""

        def admit(
            self, path: Path, record: Record | None, *, ours: bool
        ) -> AbstractContextManager[Replacement]:
            """A backup, checked, where nobody changes it any more; in our folders it stays."""

        def remove(self, state: State, log: Log) -> bool:
            """Take the live database away, if it still is ``state``; False when there was none."""

        def work(self, state: State | None, runner: Runner, /) -> AbstractContextManager[Work]:
            """A copy of a state, or an empty database, and what migrates it."""

        def merge(
            self,
            state: State,
            sources: Sources,
            work_out: Callable[[Sides], Merge],
            /,
            *,
            triggers: bool,
        ) -> AbstractContextManager[Merged]:
            """What comes of three states, checked, to take the place of ``state``, the live one.

            ``triggers``: all of them run, also those that do more than keep full text.
            """

        def sweep(self) -> None:
            """Remove what a killed run left beside the live database."""

        @property
        def clients(self) -> "Clients | None":
            """Those of others, where there are any that can be ended."""

        @property
        def writers(self) -> "Writers | None":
            """Those among others, where they can be made to wait before the content is replaced."""

        def replica(self, root: Path, configured: Path | None, /) -> "Replica | None":
            """What copies it off this machine; None when nothing does. Raises UndropError."""

    class Clients(Protocol):
        """What others have open on a server."""

        def disconnect(self) -> list[Holder]:
            """End them, and say whose they were. Raises UndropError."""

    class Writers(Protocol):
        """Others who write to the live database."""

        def hold(self, seconds: float, /) -> Snapshot:
            """Pin a snapshot as ``Engine.snapshot`` does, and let nobody commit after it.

            They read on, and may write again when a replacement begins, when it is closed, or
            when the ``seconds`` are over. Raises as ``Engine.snapshot`` does.
            """

    class Replica(Protocol):
        """A copy of the live database that a program of its own keeps up to date."""

        label: str

        def check(self, work: Path, *, patient: bool, seconds: float) -> str:
            """Make sure that it has every commit; a line that says so. ``work`` is our folder.

            ``patient``: what replicates is given time to catch up. Raises UndropError when it is
            behind, incomplete, gone or cannot be asked, SlowError when ``seconds`` did not do.
            """

        def restore(self, target: Path, timestamp: str | None) -> None:
            """Write what it holds, now or at ``timestamp``, into a new file. Raises UndropError."""

        def before_removal(self) -> str:
            """What is to be done about that program first; empty when nothing."""

        def afterwards(self, work: Path, *, made: bool) -> Text:
            """Whether it has the new content, looked at for a few seconds; what to do if not.

            ``made``: the step made the database anew.
            """

    class MigrationRun(Protocol):
        """A run of Alembic's, as far as an engine wants to know."""

        def is_through(self) -> bool:
            """Whether all migrations have run that were to."""

        def stay(self, ask: Callable[[str], Iterable[Any]], server: list[str]) -> NoReturn:
            """Leave the transaction as it is, and have undrop ask it: it is not to be committed.

            ``server``: what of the whole server it changes.
            """

    class Migrating(Protocol):
        """What an engine has to say in Alembic's own process; made for one run."""

        def target_url(self, url: str, target: Target, /) -> URL:
            """The project's URL, turned to the database that was asked for."""

        def prepare(
            self, connection: Connection | None, target: Target, run: MigrationRun, /
        ) -> str:
            """Before the first migration: which of the target's databases it is.

            Raises ElsewhereError for any other, RuntimeError.
            """

        def divert(self, fence: Fence, target: Target, scratch: str, /) -> Callable[[], None]:
            """While an application is loaded, have what it writes reach no database that is kept.

            ``scratch``: a folder for copies. With the call of what is returned, SQLAlchemy's
            engines get ``target`` where they would go to the live database, if that is a file.
            """

        def report(self) -> list[str]:
            """What of the migrations was not in their one transaction."""

        def commits(self) -> list[Any]:
            """What each commit had done, in words of its own (``Moved.commits``)."""

        def transactional(self, engine: Connections, /) -> None:
            """Make every transaction of SQLAlchemy's a real one, CREATE and DROP included."""

    class Adopting(Protocol):
        """What an engine has to say when a project is adopted; a module."""

        def probes(self, mark: str) -> list[str]:
            """URLs that no project has, one for each driver, with ``mark`` in them."""

        def settled(self, url: str, home: Path, root: Path, /) -> str:
            """The URL as it is written down. Raises UsageError."""

        def copied(self, live: Path | None, folder: str, /) -> tuple[str, str]:
            """File and URL of a throw-away copy of ``live`` in a folder; empty where none is."""

        def seen(self, root: Path, apart: Collection[Path], /) -> dict[Path, str]:
            """Databases that lie in a project as files, but for those ``apart``; their URLs."""

    class Djangos(Protocol):
        """What an engine has to say about an item of Django's DATABASES; a module."""

        def url(self, database: dict[str, Any], /) -> str:
            """SQLAlchemy's URL of it, with the password that it has."""

        def handed(self, database: dict[str, Any], target: Target, /) -> dict[str, Any]:
            """The same with the target as its database, all else as it is."""

        def is_at(self, cursor: Any, target: Target, /) -> bool:  # noqa: ANN401 - Django's
            """Whether that is what is connected to."""

        def keep_others(self) -> None:
            """From now on, have what this process writes go to what is handed to it alone."""

        def refuse_shared(self, connection: Any, /) -> None:  # noqa: ANN401 - Django's
            """Refuse there what would change more than the database."""

    class Family(Protocol):
        """An engine, as it is registered; a module, from which the others are reached."""

        def of_url(
            self, url: str, root: Path, *, inside: bool, verify_url: str, session: Session
        ) -> Engine:
            """The database that a URL names. Raises UsageError."""

        def of_backups(self, verify_url: str, session: Session, /) -> Backups:
            """For backups alone, with no live database."""

        def migrating(self) -> Migrating: ...  # noqa: D102
        def adopting(self) -> Adopting: ...  # noqa: D102
        def of_django(self) -> Djangos: ...  # noqa: D102
