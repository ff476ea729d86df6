"""The log of what was done to the database, beside the records: ``steps.jsonl``.

A step writes its intent before it changes anything and how it ended afterwards. What was killed
in between, and a direct ``alembic`` run, of which only the beginning is known, stay *open*: whether
they changed anything shows in the state that came next.
"""

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from undrop import durable

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.settings import Settings

Phase = Literal["open", "done", "same", "failed"]
"""``same``: it ended well and the content is what it was. ``failed``: nothing was changed."""

KEYS = {"state_before": "before"}
"""What a field is called in the file, where that is another word: older lines have it."""
NAMES = {key: name for name, key in KEYS.items()}


class Step(NamedTuple):
    """A step, as far as it is known to have come."""

    at: str
    """UTC, ISO 8601, with microseconds."""
    kind: str
    source: str
    """The database, as records name it."""
    state_before: str
    """What holds the state before: a name in ``backups/``; empty when there was no database."""
    phase: Phase = "open"
    filled: list[str] | None = None
    """Tables that are to have rows from now on; None when it says nothing about that."""

    def to_dict(self) -> dict[str, Any]:
        """Its fields by the keys that its line has."""
        return {KEYS.get(name, name): value for name, value in self._asdict().items()}

    @property
    def when(self) -> datetime:
        """The same as ``at``."""
        return datetime.fromisoformat(self.at).astimezone(UTC)


def append(
    settings: "Settings",
    kind: str,
    state_before: str,
    phase: Phase = "open",
    filled: list[str] | None = None,
) -> None:
    """Write down how far a step has come and force it to the disk. Raises OSError."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    step = Step(now, kind, settings.source, state_before, phase, filled)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    new = not _file(settings).exists()
    fd = os.open(_file(settings), flags, 0o600)
    try:
        # After a writer that was killed in the middle of its line, one of our own begins.
        end = os.lseek(fd, 0, os.SEEK_END)
        torn = end and os.pread(fd, 1, end - 1) != b"\n"
        line = b"\n" * bool(torn) + json.dumps(step.to_dict()).encode() + b"\n"
        while line:  # a full disk takes a part, and says so only when it is asked again
            line = line[os.write(fd, line) :]
        durable.sync(fd)
    finally:
        os.close(fd)
    if new:
        durable.sync_path(settings.backups)


def chain(settings: "Settings") -> list[Step]:
    """Steps on this database, oldest first; what is not a whole line is passed over."""
    try:
        lines = _file(settings).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    steps: list[Step] = []
    for line in lines:
        step = _parse(line)
        if step is None or step.source != settings.source:
            continue
        opened = steps and steps[-1].phase == "open" and steps[-1][1:4] == step[1:4]
        if opened and step.phase != "open":
            steps.pop()
        steps.append(step)
    return steps


def last(settings: "Settings") -> Step | None:
    """The newest step that says which tables are to have rows."""
    return next((step for step in reversed(chain(settings)) if step.filled is not None), None)


def _parse(line: str) -> Step | None:
    try:
        fields = json.loads(line)
        step = Step(**{NAMES.get(key, key): value for key, value in fields.items()})
        _ = step.when
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    texts = (step.at, step.kind, step.source, step.state_before)
    names = [] if step.filled is None else step.filled
    sound = all(isinstance(text, str) for text in (*texts, *names)) and step.phase in get_args(
        Phase
    )
    return step if sound else None


def _file(settings: "Settings") -> "Path":
    return settings.backups / "steps.jsonl"
