"""The log of what our own steps did to the database, beside the records."""

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.settings import Settings


class Step(NamedTuple):
    """A step that completed and changed the live database."""

    at: str
    """UTC, ISO 8601, with microseconds."""
    kind: str
    source: str
    """The database, as records name it."""
    filled: list[str]
    """Tables that are to have rows from now on."""


def append(settings: "Settings", kind: str, filled: list[str]) -> None:
    """Write a completed step down and force it to the disk. Raises OSError."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    line = json.dumps(Step(now, kind, settings.source, filled)._asdict()) + "\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    new = not _file(settings).exists()
    fd = os.open(_file(settings), flags, 0o600)
    try:
        os.write(fd, line.encode())
        durable.sync(fd)
    finally:
        os.close(fd)
    if new:
        durable.sync_path(settings.backups)


def last(settings: "Settings") -> Step | None:
    """The newest step on this database; what is not a whole line (a killed writer) is none."""
    try:
        lines = _file(settings).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        try:
            step = Step(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if step.source == settings.source:
            return step
    return None


def _file(settings: "Settings") -> "Path":
    return settings.backups / "steps.jsonl"
