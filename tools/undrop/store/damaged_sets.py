"""Sets of damaged files: the bytes as they are, kept before a rescue replaces them."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import digest, durable
from undrop.store import catalog

if TYPE_CHECKING:
    from undrop.record import Record
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock


def set_aside(lock: "Lock", record: "Record", *, fresh: bool) -> "Backup":
    """Copy the live files into a set in ``backups/``, or find the set that holds these bytes.

    ``fresh`` always makes a new one. Raises OSError, CheckError.
    """
    settings = lock.settings
    live, origin = settings.engine.damaged()
    if not fresh:
        digests = _digests(live)
        for backup in catalog.backups(settings):
            kept = [backup.path / name for name in digests]
            if backup.record and backup.record.files == digests == _digests(kept):
                return backup
    size = sum(map(durable.size, live))
    durable.require_space(settings.backups, size)
    folder = lock.partial()
    durable.make_private(folder)
    try:
        for file in live:
            copy = folder / file.name
            os.close(durable.create(copy, 0o600))
            shutil.copyfile(file, copy)
            copy.chmod(0o400)
            durable.sync_path(copy)
        durable.sync_path(folder)
        copies = _digests([folder / file.name for file in live])
        record = record._replace(bytes=size, files=copies, **origin._asdict())
        return catalog.publish(lock, folder, record, ".damaged")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_as_kept(folder: Path, record: "Record | None") -> bool:
    """Whether a set's files are those that its record names. Raises OSError."""
    return record is not None and _digests([*folder.iterdir()]) == record.files


def _digests(paths: list[Path]) -> dict[str, str]:
    return {path.name: digest.of(path) for path in paths if path.is_file()}
