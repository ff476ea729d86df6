"""Where a project's database is, and where scratch ones for it are made."""

import os
import socket
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import digest
from undrop.engines.postgres import address as addresses
from undrop.values import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.scratch import Scratch
    from undrop.record import Record
    from undrop.values import Session


class Site:
    """The server of the live database, and the one for scratch databases."""

    def __init__(self, url: str, root: Path, verify_url: str, session: "Session") -> None:
        self.session = session
        self._address = addresses.parse(url)._replace(patience=session.patience)
        self._url, self._verify_url = url, verify_url
        self.elsewhere = bool(verify_url)
        """Whether scratch databases are made on another server."""
        self._mark = digest.of_text(f"{socket.gethostname()}:{root}").removeprefix("blake3:")[:8]
        self.swept = f"undrop-{self._mark}-"
        """What the names of folders begin with that hold content for a while, before a pid."""
        self.prefix = f"{self.swept}{os.getpid()}-"
        """Of those that this process makes; swept when it was killed."""

    @property
    def address(self) -> "Address":
        """The live database's."""
        return self._address._replace(
            version_table=self.session.version_table, trusts=self.session.trust_code
        )

    @cached_property
    def scratch(self) -> "Scratch":
        """Where scratch databases are made."""
        from undrop.engines.postgres.scratch import Scratch

        there = addresses.parse(self._verify_url) if self._verify_url else self.address
        address = self.address
        server = there._replace(
            patience=address.patience,
            version_table=address.version_table,
            trusts=self.elsewhere or self.session.trust_code,
        )
        return Scratch(server, address, self._mark)

    def copy_target(self, there: "Address") -> "Target":
        """A scratch database, for Alembic."""
        return Target(there.name, self._verify_url)

    def make(self, dump: Path | None = None) -> None:
        """Create the database where there is none under that name. Raises UndropError."""
        from undrop.engines.postgres import scratch, script, session

        if not session.exists(self.address):
            scratch.create(self.address, script.birth(dump) if dump else b"")

    @contextmanager
    def restored(
        self, path: Path, record: "Record | None" = None, *, whole: bool = False
    ) -> "Iterator[Address]":
        """A scratch database with what is in a dump, which must be what its ``record`` says.

        ``whole``: with what not every user may give either, owners and grants above all.
        Raises UntrustedError (``trust``), DamagedError, UndropError.
        """
        from undrop.engines.postgres import load, proof, script, trust

        code = [] if self.session.trust_file else trust.beside(path, self.session.progress)
        with self.scratch.database(birth=script.birth(path)) as there:
            less = () if whole else load.BARE
            found = proof.restored(there, path, self.session.progress, code, less)
            if record and record.content:
                proof.refuse_other(found.data, found.rows, record)
            yield there

    def exists(self) -> bool:
        """Whether there is anything to back up. Raises UndropError."""
        import psycopg

        from undrop.engines.postgres import empty, session

        with session.explained(self.address, "looking at the database"):
            try:
                connection = session.connect(self.address)
            except psycopg.OperationalError as failure:
                return session.explain_absence(self.address, failure)
            with closing(connection):
                session.settle(connection, self.address.patience)
                return not empty.is_empty(session.asker(connection))
