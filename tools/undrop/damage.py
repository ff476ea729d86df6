"""Sets of damaged files: the bytes as they are, kept before a rescue replaces them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import catalog, check, durable, turn

if TYPE_CHECKING:
    from undrop.catalog import Backup
    from undrop.record import Record
    from undrop.settings import Settings


def files(settings: "Settings") -> list[Path]:
    """The live file and the sidecars that hold content, those that there are."""
    wal, _shm, journal = durable.sidecars(settings.live)  # a -shm is an index, not content
    return [file for file in (settings.live, wal, journal) if file.is_file()]


def set_aside(settings: "Settings", entry: "Record", *, fresh: bool) -> "Backup":
    """Copy the live files into a set in ``backups/``, or find the set that holds these bytes.

    ``fresh`` always makes a new one. Call it inside ``turn.take``. Raises OSError.
    """
    live = files(settings)
    if not fresh:
        digests = _digests(live)
        for backup in catalog.entries(settings):
            kept = [backup.path / name for name in digests]
            if backup.record and backup.record.files == digests == _digests(kept):
                return backup
    size = sum(map(durable.size, live))
    durable.require_space(settings.backups, size)
    folder = turn.partial(settings)
    folder.mkdir(0o700)
    try:
        for file in live:
            copy = folder / file.name
            os.close(durable.create(copy, 0o600))
            import shutil

            shutil.copyfile(file, copy)
            copy.chmod(0o400)
            durable.sync_path(copy)
        durable.sync_path(folder)
        copies = _digests([folder / file.name for file in live])
        return catalog.publish(settings, folder, entry._replace(bytes=size, files=copies))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_kept(settings: "Settings", kept: "Backup | None") -> bool:
    """Whether a set of damaged files holds the bytes that are live now."""
    return (
        kept is not None
        and kept.record is not None
        and kept.record.files == _digests(files(settings))
    )


def _digests(paths: list[Path]) -> dict[str, str]:
    return {path.name: check.digest(path, lambda *_: None, 0) for path in paths if path.is_file()}
