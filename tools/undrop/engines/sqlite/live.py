"""The live file under one snapshot: what a backup of it needs to know and to do."""

import os
import stat
import time
from typing import TYPE_CHECKING

from undrop import digest
from undrop.engines.sqlite.snapshot import Snapshot
from undrop.errors import DamagedError, UndropError
from undrop.sqlitefile import check, connect
from undrop.values import Facts, Identity, Origin

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.record import Record


class Live(Snapshot):
    """The live database, held (``protocol.Held``)."""

    taken = 0.0

    @property
    def mode(self) -> str:
        """Its journal mode."""
        return "wal mode" if self.wal else "rollback mode"

    def origin(self) -> Origin:
        """What gives the database back as it was: journal mode, permissions, owner."""
        return origin(self.path)._replace(journal_mode="wal" if self.wal else "delete")

    def revisions(self) -> list[str]:
        """Its revision(s). Raises DamagedError, UndropError."""
        with connect.explained(self.path, "reading the revision", self.session.patience):
            return check.revisions(self.connection, self.session.version_table)

    def is_empty(self) -> bool:
        """Whether nothing is defined in it but for Litestream's own, or it has no byte."""
        with connect.explained(self.path, "reading the schema", self.session.patience):
            names = self.connection.execute("SELECT name FROM sqlite_master").fetchall()
        return {str(row[0]) for row in names} <= check.LITESTREAM

    def is_in(self, path: "Path", _record: "Record") -> bool:
        """Whether the file has the backup's pages; no where the files do not tell."""
        return self.is_copied_in(path, self.session.progress)

    def identify(self, work: "Path") -> Identity:
        """The digest of a copy, read while writers go on."""
        self.copy_to(work)
        self.release()
        self.taken = time.time()
        return Identity(
            digest.of(work, self.session.progress, self.bytes),
            lambda: check.definitions(work, self.session.version_table),
        )

    def complete(self, work: "Path", content: str, *, prove: bool, keep: bool) -> Facts:  # noqa: ARG002 - the protocol's
        """Check the copy, and force it to the disk: that is not put off."""
        try:
            return check.verify(work, self.session, content, written=True)
        except DamagedError as found:
            check.live(self.path, self.session)  # raises when the damage is there already
            raise UndropError(
                f"the disk did not keep the copy that was written to it: {found.what}",
                "see to the disk under backups/, then the same command again",
            ) from found


def origin(path: "Path") -> Origin:
    """A file's permissions and owner."""
    found = os.stat(path)  # noqa: PTH116 - one call
    return Origin(f"{stat.S_IMODE(found.st_mode):04o}", found.st_uid, found.st_gid)
