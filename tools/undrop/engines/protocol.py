"""The seam: all that undrop knows of a database. ``sqlite`` and ``postgres`` answer it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Protocol

    from undrop.compare.comparison import Comparison, TableChange
    from undrop.engines.target import Target
    from undrop.record import Record
    from undrop.values import Facts, Holder, Identity, Moved, Progress

if TYPE_CHECKING:  # nobody waits for these to be made

    class State(Protocol):
        """The present state, and what holds it: ``backup.State`` says what each is."""

        @property
        def kind(self) -> str: ...  # noqa: D102
        @property
        def held(self) -> Any: ...  # noqa: ANN401, D102 - the engine's own
        @property
        def path(self) -> Path | None: ...  # noqa: D102
        @property
        def entry(self) -> "Record | None": ...  # noqa: D102

    Log = AbstractContextManager[None]
    """Entered just before the live database is changed."""

    class Held(Protocol):
        """The live database as one snapshot saw it, and whether it still is that."""

        bytes: int
        taken: float
        """``time.time()`` when what is in ``work`` had been written."""

        @property
        def mode(self) -> str:
            """How it keeps its files, or what serves it, for people."""

        def source(self) -> dict[str, Any]:
            """What a record says of the live database itself."""

        def revisions(self) -> list[str]:
            """Alembic's revision(s)."""

        def is_in(self, path: Path, entry: "Record", /, progress: Progress) -> bool:
            """Whether that backup has the same content, as far as it can be told cheaply."""

        def identify(self, work: Path, progress: Progress) -> Identity:
            """What state this is; what has to be written to know it is in ``work`` then.

            ``work`` is an empty file of ours. Writers may go on where the rest does without them.
            Raises DamagedError when the live database is damaged, UndropError for anything else.
            """

        def complete(self, work: Path, content: str, progress: Progress) -> Facts:
            """Make ``work``, as ``identify`` left it, a backup of that ``content``, and check it.

            Raises as ``identify`` does.
            """

        def copy_to(self, work: Path, progress: Progress) -> None:
            """Write a backup into ``work``, an empty file of ours, unchecked."""

        def release(self) -> None:
            """Let writers go on."""

        def close(self) -> None: ...  # noqa: D102

    class Content(Protocol):
        """Something checked that can take the place of the live content."""

        facts: Facts

        def put(self, state: State, log: Log, progress: Progress) -> float:
            """Make it the live content, if that still is ``state``: old or new at every instant.

            Returns how long, in seconds, others were locked out. Raises LiveMovedError and
            UndropError with the live database as it was, ChangedError when that is not so.
            """

    class Work(Content, Protocol):
        """A copy of a state, or an empty database, on which migrations are tried."""

        def migrate(self, revision: str) -> Moved:
            """Run Alembic on it alone."""

        def finish(self, moved: Moved, /, progress: Progress) -> None:
            """Settle and check it; ``facts`` are there afterwards. Raises DamagedError."""

        def compare(self, before: Path, progress: Progress) -> "Comparison":
            """From a backup to this."""

        def orphans(self, before: Path | None, tables: "list[TableChange]") -> list[str]:
            """Rows that point to no other and did not before, in words."""

        def tables(self) -> set[str]:
            """The tables in it."""

        def try_put(self, held: Any, before: Path, progress: Progress) -> float:  # noqa: ANN401
            """How long, in seconds, ``put`` would lock others out, tried where nobody is."""

    class Engine(Protocol):
        """One live database."""

        suffix: str
        """Of its backups."""
        source: str
        """How records and the log of steps name it."""
        stem: str
        """What its backups' names begin with."""
        label: str
        """How messages name it; nothing secret."""
        kind: str
        """A key of ``registry.FAMILIES``."""

        @property
        def in_memory(self) -> bool:
            """Whether there can be nothing to back up."""

        def exists(self) -> bool:
            """Whether there is anything to back up. Raises UsageError, UndropError."""

        def size(self) -> int | None:
            """Bytes of the live database; None when there is none, or it cannot be asked."""

        def holders(self) -> list[Holder]:
            """Other programs that have it open, as far as this user may see."""

        def refuse_place(self, backups: Path) -> None:
            """Raise UsageError when it is nothing that could be backed up into ``backups``."""

        def hold(self) -> Held:
            """Open it and pin a snapshot. Raises DamagedError, UndropError."""

        def damaged(self) -> tuple[list[Path], dict[str, Any]]:
            """Its files, to be kept as they are, and what a record says of them."""

        def fingerprint(self) -> list[Any] | None:
            """What tells this state from others cheaply; None while it is too fresh for that."""

        def is_live(self, path: Path) -> bool:
            """Whether ``path`` is the live database itself."""

        def refuse_unfit(self, path: Path) -> None:
            """Raise UsageError or CheckError for what is no backup of its kind."""

        def check(self, path: Path, entry: "Record | None", progress: Progress) -> Facts:
            """Prove that a backup is whole. Raises DamagedError, CheckError, UndropError."""

        def admit(
            self, path: Path, entry: "Record | None", progress: Progress, *, ours: bool
        ) -> AbstractContextManager[Content]:
            """A backup, checked, where nobody changes it any more; in our folders it stays."""

        def refuse_while_open(self) -> None:
            """Raise UndropError while others have it open so that it cannot be removed."""

        def disconnect(self) -> list[Holder]:
            """End the sessions of others, and say whose they were. Raises UsageError."""

        def remove(self, state: State, log: Log) -> bool:
            """Take the live database away, if it still is ``state``; False when there was none."""

        def work(
            self, before: Path | None, alembic: "Runner", progress: Progress, /
        ) -> AbstractContextManager[Work]:
            """A copy of a backup, or an empty database, and what runs Alembic on it."""

        def compare(self, before: Path, after: Path, progress: Progress) -> "Comparison":
            """What changed between two backups. Raises UndropError."""

        def definitions(self, path: Path, entry: "Record | None", /) -> object:
            """The schema in a backup, to be compared with others; with the revision(s)."""

        def rows(self, path: Path) -> Mapping[str, int]:
            """Rows by table in a backup."""

        def replica(self, root: Path, configured: Path | None) -> Any:  # noqa: ANN401
            """What copies it off this machine (``replica.Replica``); None when nothing does."""

        def sweep(self) -> None:
            """Remove what a killed run left beside the live database."""

    class Runner(Protocol):
        """Runs Alembic in a process of its own."""

        def run(self, target: Target, revision: str) -> Moved:
            """Bring ``target`` to ``revision``."""
