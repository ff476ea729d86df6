"""The record beside a backup: what it is, in JSON."""

import json
import os
import re
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, get_origin

from undrop import __version__

NAME = re.compile(r".+-(\d{8}-\d{6})-[a-z0-9-]+")
"""What a backup and its record are called, without a suffix; the group is when."""
NAMED = re.compile(r"([^\s/]+-\d{8}-\d{6})-[a-z0-9-]+(\.\w+)*")
"""One in a text; the group is what it has without its reason."""
NO_REVISION = "no revision"
ANYBODY = "*"
"""In ``Record.code``: that is not known."""
KEYS = {"next_step": "before"}
"""What a field is called in the file, where that is another word: older records have it."""


class Record(NamedTuple):
    """What was true of the database and of its snapshot when the backup was taken."""

    created: str
    """UTC, ISO 8601, with microseconds."""
    reason: str
    """In full, as it was given."""
    next_step: str
    """The step it was taken for: ``restore``, ``migrate``…; empty for a plain backup."""
    source: str
    """The database: relative to the project when inside it, else absolute."""
    mode: str = "0600"
    """File mode of the source, octal."""
    uid: int = -1
    gid: int = -1
    bytes: int = 0
    digest: str = ""
    """``blake3:`` and hexadecimal digits; empty for a set of damaged files."""
    user_version: int = 0
    application_id: int = 0
    revisions: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """Alembic's revision(s), or another tool's (``values.VersionTable``)."""
    check: str = ""
    """``ok``, with more behind it or not; what ``verify`` found since; what is wrong with a set of
    damaged files."""
    journal_mode: str = ""
    """Of the source: ``wal`` or ``delete``."""
    content: str = ""
    """What tells the state of the database from others; empty where that is the digest."""
    definitions: str = ""
    """Digest of the schema; empty where the backup itself is looked at."""
    database_bytes: int = 0
    """Size of the database, where that is not the backup's."""
    rows: dict[str, int] = {}  # noqa: RUF012
    """By table, from the same snapshot; empty where an older undrop did not count SQLite's."""
    server: str = ""
    """Version of the server that it came from."""
    extensions: dict[str, str] = {}  # noqa: RUF012
    """Of the server, and their versions."""
    filled: list[str] = []  # noqa: RUF012
    """Tables that have rows."""
    code: list[str] = [ANYBODY]  # noqa: RUF012
    """Roles whose code is in it, which whoever loads it would run; ANYBODY where nobody looked."""
    shrunk: list[str] = []  # noqa: RUF012
    """Tables that had rows in an earlier backup, have none, and nobody said that it was meant."""
    files: dict[str, str] = {}  # noqa: RUF012
    """Digests of a damaged set's files by name; empty for a backup."""
    sequence: int = 0
    """Its place among all that was done in ``home``, whatever the clock says."""
    home: list[int] = []  # noqa: RUF012
    """The project's folder that it was taken in (``store.home``)."""
    invocation: str = ""
    """The call of just that it was taken in, where just tells."""
    last_step: str = ""
    """The step that it was taken after, of whose end nobody but undrop asked for it."""
    packed: dict[str, int | str] = {}  # noqa: RUF012
    """How it is packed, or is a base of others (``store.packing``); empty where it never was."""
    version: str = __version__
    """The undrop that wrote it."""

    @property
    def state(self) -> str:
        """What two backups have in common when they hold the same."""
        return self.content or self.digest

    @property
    def automatic(self) -> bool:
        """Whether a step was its reason, and not somebody who asked for it."""
        return bool(self.next_step or self.last_step)

    def to_dict(self) -> dict[str, Any]:
        """Its fields by the keys that its file has."""
        return {KEYS.get(name, name): value for name, value in self._asdict().items()}

    def to_json(self) -> str:
        """The record's file."""
        return text(self.to_dict())


OF_FILE = itemgetter(*(KEYS.get(name, name) for name in Record._fields))
KINDS: list[Any] = [get_origin(kind) or kind for kind in Record.__annotations__.values()]


def text(fields: dict[str, Any]) -> str:
    """A record's file with these fields, by the keys that it has."""
    return json.dumps(fields, indent=1) + "\n"


def revision_names(revisions: Sequence[str]) -> str:
    """Revisions for people; of ``APP NAME``, which has a blank in it, the newest of each app."""
    return ", ".join(_newest(revisions)) or NO_REVISION


def heads_ahead(heads: Sequence[str], revisions: Sequence[str]) -> str:
    """The code's heads for people; of ``APP NAME`` those alone that a database has not reached."""
    ahead = [each for each in heads if " " not in each or each not in revisions]
    return ", ".join(sorted(ahead or heads)) or NO_REVISION


def revision_way(revisions_before: Sequence[str], revisions_after: Sequence[str]) -> str:
    """From some revisions to others, for people; apps whose newest is the same are left out."""
    way = [_newest(revisions_before), _newest(revisions_after)]
    kept = {each for each in way[0] if " " in each and each in way[1] and way[0] != way[1]}
    ends = (", ".join(each for each in newest if each not in kept) for newest in way)
    return " -> ".join(end or NO_REVISION for end in ends)


def _newest(revisions: Sequence[str]) -> list[str]:
    by_app = {each.partition(" ")[0] if " " in each else each: each for each in revisions}
    return sorted(by_app.values())


def read(path: Path | str) -> Record | None:
    """The record in ``path``; None when there is none, or it is not one (people edit files)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # nor is a pipe waited on
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            data = os.read(fd, status.st_size)
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return None
    return parse(data)


@lru_cache(maxsize=2**15)
def parse(data: bytes) -> Record | None:
    """What a record's file with these bytes says; None when it is no record.

    A command looks at all of them several times, and reading the bytes again tells whether one
    was changed, which no file's time does.
    """
    try:
        record = Record._make(OF_FILE({**Record._field_defaults, **json.loads(data)}))
        datetime.fromisoformat(record.created).astimezone(UTC)
        numbers_fit = (
            0 <= int(record.mode, 8) <= 0o7777
            and -1 <= record.uid < 2**32
            and -1 <= record.gid < 2**32
            and 0 <= record.bytes < 2**63
            and all(0 <= number < 2**64 for number in record.home)
            and 0 <= record.sequence < 2**53
        )
    except (ValueError, OverflowError, RecursionError, KeyError, TypeError):
        return None
    if not numbers_fit or not all(map(isinstance, record, KINDS)):
        return None
    names = (*record.revisions, *record.filled, *record.shrunk, *record.code)
    named = all(map(isinstance, names, repeat(str)))
    return record if named and all(type(n) is int for n in record.rows.values()) else None
