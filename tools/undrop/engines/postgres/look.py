"""The live database on its server, looked at."""

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from undrop import durable
from undrop.engines.postgres import compare, session, trust
from undrop.engines.postgres.snapshot import Snapshot
from undrop.values import Definitions, Examined, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from undrop.compare.comparison import Comparison, Reading
    from undrop.compare.readable import Readable
    from undrop.engines.postgres.site import Site

    Compare = Callable[[Path, Path, Reading | None], Comparison]


class Look(Snapshot):
    """The live database as one transaction sees it (``protocol.Look``)."""

    def __init__(self, site: "Site", compare: "Compare") -> None:
        super().__init__(site.address, site.scratch, site.session.progress)
        self._prefix, self._compare, self._restored = site.prefix, compare, site.restored

    def rows(self) -> "Mapping[str, int]":
        """As they were counted with what is in it."""
        return self.content.rows

    def state(self, _like: Path | None) -> Identity:
        """By what is in it."""
        whole = self.content
        return Identity(whole.all, lambda: Definitions(whole.definitions, whole.revisions))

    def compare(
        self, backup: Path, *, live_first: bool, also: "Reading | None" = None
    ) -> "Comparison":
        """By a dump, outside of the project: two databases are compared as they are restored."""
        with TemporaryDirectory(prefix=self._prefix) as folder:
            dump = self._dumped(folder)
            return self._compare(*((dump, backup) if live_first else (backup, dump)), also)

    @contextmanager
    def readable(self, *, whole: bool) -> "Iterator[Readable]":  # noqa: ARG002 - copied in any case
        """Its rows in a SQLite file, as the transaction sees them.

        They are read there, or, where that might run code of others, as a dump is.
        """
        with ExitStack() as stack:
            there, connection = self._address, self._connection
            if not self._address.trusts and trust.others(self._connection, self._roles()):
                folder = stack.enter_context(TemporaryDirectory(prefix=self._prefix))
                dump = self._dumped(folder)
                there = stack.enter_context(self._restored(dump))
                connection = stack.enter_context(session.opened(there, "reading"))
            stack.enter_context(session.explained(there, "reading"))
            yield stack.enter_context(
                compare.readable(connection, there, self._progress, self._prefix)
            )

    def _dumped(self, folder: str) -> Path:
        dump = Path(folder, "live")
        os.close(durable.create(dump, 0o600))
        self.vouch(dump)
        self.release()
        return dump

    def _roles(self) -> list[str]:
        """Whose code may run where a table is read by a query, now or soon."""
        with session.explained(self._address, "asking whose tables it has"):
            owners = self._ask(trust.OWNERS)
        return [*self.code(), *(str(name) for (name,) in owners)]

    def examine(self) -> Examined:
        """Whether every row can be read: the server checks its own files and foreign keys."""
        _ = self.content
        return Examined("every row read", [])
