"""The log of what was done to the database: ``steps.jsonl`` beside the records, and a copy.

A step writes its intent before it changes anything and how it ended afterwards. Somebody's own
command and a direct ``alembic`` run are written down when they begin and when they were seen to
end. What was killed in between stays *open*: what it did shows in the state that came next.

The vault has a copy, not a link: what empties the one leaves the other. What is read is both.
A command asks often: what it has read is not read again, but for what came behind it.
"""

import errno
import json
import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable
from undrop.store import catalog, log_index, owners
from undrop.store.home import here, is_same
from undrop.store.step import Phase, Step, Told, is_sound, texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from undrop.settings import Settings

THIN = "thin"
"""The kind of a line that tells of no step: a backup that the user's rules no longer keep."""
NAME = "steps.jsonl"
COMMAND_LENGTH = 200  # characters of a command's line that are kept
ABSENT = "absent"
"""What tells the state without a database from others."""


class Known(NamedTuple):
    """What else is known of a step when it begins."""

    content_after: str = ""
    """What it means to put in place."""
    command: str = ""
    """The line of somebody's own command."""
    session: str = ""
    """The agent's, whose call it is."""
    mode_before: str = ""
    """The journal mode, where that is to be another one afterwards."""


NOTHING = Known()


class After(NamedTuple):
    """The state after a step."""

    name: str | None
    """What holds it; empty when there is no database, None when nothing holds it."""
    content: str = ""
    """What tells it from others; empty where that is not known."""


UNKNOWN = After(None)


TICK = 20_000_000  # nanoseconds: a file's time moves on in steps of 10 ms at most (time(7), HZ)
_READ: "dict[Path, tuple[list[tuple[int, ...] | None], Told]]" = {}  # by ``backups/``


def begin(settings: "Settings", kind: str, state_before: str, known: Known = NOTHING) -> Step:
    """Write down that a step begins, and force it to the disk. Raises OSError."""
    step = Step("", kind, settings.source, state_before, id=_own_id())
    known = known._replace(command=kept(known.command))
    return _append(settings, step._replace(**known._asdict()))[0]


def _own_id() -> str:
    return os.urandom(8).hex()  # ``secrets`` loads OpenSSL first


def end(
    settings: "Settings",
    step: Step,
    phase: Phase,
    filled: list[str] | None = None,
    after: After = UNKNOWN,
) -> Step:
    """Write down how a step ended, and force it to the disk. Raises OSError."""
    content = after.content or (step.content_after if phase == "done" else "")
    ended = step._replace(phase=phase, filled=filled, state_after=after.name, content_after=content)
    return _append(settings, ended)[0]


def note_thinned(settings: "Settings", names: "Iterable[str]") -> None:
    """Write down that these backups go: no steps, which nothing goes back over. Raises OSError.

    Each line names the backup as the state before; what comes after a crash in between still is.
    """
    step = Step("", THIN, settings.source, "", "done")
    _append(settings, *(step._replace(state_before=n, id=_own_id()) for n in names))


def thinned(settings: "Settings") -> set[str]:
    """Names of what has gone so, or was to go when a run was killed."""
    steps = _told(settings).steps
    return {s.state_before for s in steps if s.kind == THIN and s.source == settings.source}


def kept(command: str) -> str:
    """What is kept of a command's line: its beginning, the passwords of the URLs in it masked."""
    masked = re.sub(r"(://[^\s:/@]*:)\S+@", r"\1***@", command)
    return masked[:COMMAND_LENGTH]


def next_sequence(settings: "Settings") -> int:
    """The place of what is done next: after everything that this project's folder knows of."""
    return _next_after(settings, _told(settings))


def _next_after(settings: "Settings", told: Told) -> int:
    ours = here(settings)
    mine = (step.sequence for step in told.steps if is_same(step.home, ours))
    return 1 + max(max(mine, default=0), catalog.last_sequence(settings))


def steps(settings: "Settings") -> list[Step]:
    """Steps on this database, in their order; what is not a whole line is passed over."""
    known: list[Step] = []
    for step in _of(settings, elsewhere=False):
        last = known[-1:]
        if not step.id and step.ended and last and _is_beginning(last[0], step):
            known.pop()
        known.append(step)
    return known


def strangers(settings: "Settings") -> list[Step]:
    """What the log tells of another folder's database: another machine's, another project's."""
    return _of(settings, elsewhere=True)


def told_in(settings: "Settings", folder: "Path") -> list[Step]:
    """The steps that another folder's log tells of, of whatever database."""
    told = Told()
    told.read((_read(settings, folder),))
    return told.steps


def _of(settings: "Settings", *, elsewhere: bool) -> list[Step]:
    """The steps on a database of this name, in their order: another folder's, or this one's."""
    ours = here(settings)
    named = (s for s in _told(settings).steps if s.source == settings.source and s.kind != THIN)
    mine = [s for s in named if elsewhere == bool(s.home and not is_same(s.home, ours))]
    return sorted(mine, key=lambda step: (step.sequence, step.at))


def _is_beginning(step: Step, end: Step) -> bool:
    """Whether it began what ``end`` ended, where lines had no id."""
    begun = not step.id and not step.ended
    return begun and (step.kind, step.state_before) == (end.kind, end.state_before)


def missing(settings: "Settings") -> "dict[Path, int]":
    """How many sound lines the one copy lacks that the other has, by folder; none where none."""
    copies = _copies(settings)
    lacking = {f: len(_lacking(copies, f)) for f in settings.folders if _is_there(f)}
    return {folder: count for folder, count in lacking.items() if count}


def _lacking(copies: "dict[Path, bytes]", folder: "Path") -> list[str]:
    """Sound lines that a folder's copy lacks, and another one has."""
    there = {*texts([copies[folder]])}
    return [text for text in texts(copies.values()) if text not in there and is_sound(text)]


def _append(settings: "Settings", *steps: Step) -> list[Step]:
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    copies, told, ours = _copies(settings), _told(settings), here(settings)
    first = _next_after(settings, told)
    if sum(map(len, told.copies)) > told.kept + log_index.WORTH:
        log_index.write(settings, told)
    numbered = [
        step._replace(at=now, sequence=sequence, home=ours, opened=step.opened or sequence)
        for sequence, step in enumerate(steps, first)
    ]
    lines = "".join(f"{json.dumps(step.to_dict())}\n" for step in numbered).encode()
    failure = None
    try:
        _write(copies, settings.backups, lines)
    except PermissionError as error:
        failure = error  # another user's file; the vault's will do
    vault = settings.vault_folder
    if vault is not None and _is_there(vault) and os.access(vault, os.W_OK):
        try:
            _write(copies, vault, lines)
            failure = None
        except OSError:  # where the first copy holds it, ``audit`` tells what this one lacks
            pass
    if failure:
        raise failure
    return numbered


def _is_there(folder: "Path") -> bool:
    """Whether there is such a folder, and we may look into it."""
    return os.access(folder, os.R_OK | os.X_OK) and folder.is_dir()


def _write(copies: "dict[Path, bytes]", folder: "Path", lines: bytes) -> None:
    """Add lines to a folder's copy; before that, to one that does not go on from others, theirs.

    What no undrop can read stays a line: a newer one may have written it. All are alike then.
    """
    file = folder / NAME
    if owners.is_closed(file):  # what is only in there must stay
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    goes_on = all(map(copies[folder].startswith, copies.values()))
    if not goes_on or not file.exists():  # some were lost here
        _start(folder, "".join(f"{text}\n" for text in texts(copies.values())))
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(file, flags, 0o600)
    try:
        durable.append(fd, lines)
    finally:
        os.close(fd)


def _start(folder: "Path", text: str) -> None:
    with durable.scratch(folder / f".{os.getpid()}.partial") as work:
        work.write_bytes(text.encode())
        durable.sync_path(work)
        work.replace(folder / NAME)
    durable.sync_path(folder)


def _told(settings: "Settings") -> Told:
    """What both copies tell; as much of it as this process has read is not read again."""
    files = [_written(folder / NAME) for folder in settings.folders]
    before, told = _READ.get(settings.backups, ([], Told()))
    if files != before or None in files:
        copies = tuple(dict.fromkeys(_copies(settings).values()))
        if not told.goes_on(copies):
            told = log_index.read(settings, copies)
        told.read(copies)
        _READ[settings.backups] = files, told
    return told


def _written(file: "Path") -> tuple[int, ...] | None:
    """Which file it is, its bytes, and when it was written; empty where none can be read.

    None for one that was written so lately that its time would not tell if it is again.
    """
    now = time.time_ns()
    try:
        status = file.stat()
    except OSError:
        return ()
    written = status.st_mtime_ns
    is_old = now - TICK > written
    return (status.st_dev, status.st_ino, status.st_size, written) if is_old else None


def _copies(settings: "Settings") -> "dict[Path, bytes]":
    """What stands in the copies, by their folder."""
    return {folder: _read(settings, folder) for folder in settings.folders}


def _read(settings: "Settings", folder: "Path") -> bytes:
    """What stands in a folder's copy; nothing where it cannot be read: the other one tells."""
    try:
        return (folder / NAME).read_bytes()
    except OSError as error:
        if isinstance(error, PermissionError):
            owners.pass_over(settings, folder / NAME)
        return b""
