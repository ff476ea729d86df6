"""The log of what was done to the database: ``steps.jsonl`` beside the records, and a copy.

A step writes its intent before it changes anything and how it ended afterwards. Somebody's own
command and a direct ``alembic`` run are written down when they begin and when they were seen to
end. What was killed in between stays *open*: what it did shows in the state that came next.

The vault has a copy, not a link: what empties the one leaves the other. What is read is both.
A command asks often: what it has made of these very bytes is remembered for as long as it runs.
"""

import errno
import json
import os
import re
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from undrop import durable
from undrop.store import catalog, owners
from undrop.store.home import Home, here, is_same

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from undrop.settings import Settings

THIN = "thin"
"""The kind of a line that tells of no step: a backup that the user's rules no longer keep."""
Phase = Literal["open", "done", "same", "failed"]
"""``same``: it ended well and the content is what it was. ``failed``: nothing was changed."""
NAME = "steps.jsonl"
KEYS = {"state_before": "before", "state_after": "after"}
"""What a field is called in the file, where that is another word."""
LARGEST = 2**64  # device and inode
COMMAND_LENGTH = 200  # characters of a command's line that are kept
MODES = ("wal", "delete")
"""Journal modes that a file is in (sqlite.org/fileformat2.html, 1.3.3)."""
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
    state_after: str | None = None
    """What holds the state after, likewise; None when nothing does, or nothing changed."""
    content_after: str = ""
    """What tells the state after from others, where that is known; ``absent`` for none."""
    command: str = ""
    """The line of somebody's own command."""
    session: str = ""
    """The agent's session whose call it is."""
    id: str = ""
    """By which the lines of one step are known; empty in those of an undrop before 0.3."""
    sequence: int = 0
    """Its place among all that was done, whatever the clock says; 0 where it has none."""
    home: Home = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    mode_before: str = ""
    """The journal mode before, where the step changes that; empty where it leaves it alone."""
    opened: int = 0
    """The sequence of its beginning; not written down."""

    def to_dict(self) -> dict[str, Any]:
        """Its fields by the keys that its line has."""
        fields = {KEYS.get(name, name): value for name, value in self._asdict().items()}
        del fields["opened"]
        return fields

    @property
    def when(self) -> datetime:
        """The same as ``at``."""
        return datetime.fromisoformat(self.at).astimezone(UTC)

    @property
    def ended(self) -> bool:
        """Whether it was seen to end."""
        return self.phase != "open"


DEFAULTS = {KEYS.get(name, name): value for name, value in Step._field_defaults.items()}
"""What is meant where a line lacks it."""
OF_FILE = itemgetter(*(KEYS.get(name, name) for name in (*Step._fields[:-1], "sequence")))
OTHERS: dict[str, Any] = {
    "filled": (list, type(None)),
    "state_after": (str, type(None)),
    "home": list,
}
KINDS: list[Any] = [
    OTHERS.get(name, int if kind is int else str) for name, kind in Step.__annotations__.items()
]
PHASES = get_args(Phase)
LINES = 2**17  # that are remembered
_KNOWN: "dict[str, Step | None]" = {}
COPIES = 2


def begin(settings: "Settings", kind: str, state_before: str, known: Known = NOTHING) -> Step:
    """Write down that a step begins, and force it to the disk. Raises OSError."""
    step = Step("", kind, settings.source, state_before, id=secrets.token_hex(8))
    known = known._replace(command=kept(known.command))
    return _append(settings, step._replace(**known._asdict()))[0]


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
    _append(settings, *(step._replace(state_before=n, id=secrets.token_hex(8)) for n in names))


def thinned(settings: "Settings") -> set[str]:
    """Names of what has gone so, or was to go when a run was killed."""
    lines = _sound(settings).values()
    return {s.state_before for s in lines if s.kind == THIN and s.source == settings.source}


def kept(command: str) -> str:
    """What is kept of a command's line: its beginning, the passwords of the URLs in it masked."""
    masked = re.sub(r"(://[^\s:/@]*:)\S+@", r"\1***@", command)
    return masked[:COMMAND_LENGTH]


def next_sequence(settings: "Settings", backups: "list[catalog.Backup]") -> int:
    """The place of what is done next: after everything that this project's folder knows of."""
    ours = here(settings)
    mine = (step.sequence for step in _sound(settings).values() if is_same(step.home, ours))
    return 1 + max(max(mine, default=0), max((each.sequence for each in backups), default=0))


def steps(settings: "Settings") -> list[Step]:
    """Steps on this database, in their order; what is not a whole line is passed over."""
    copies = _copies(settings)
    return [*_steps(copies, settings.source, tuple(here(settings)))]


@lru_cache(maxsize=COPIES)
def _steps(copies: tuple[bytes, ...], source: str, ours: tuple[int, ...]) -> list[Step]:
    known: list[Step] = []
    at: dict[str, int] = {}
    for step in _told(copies, source, ours, elsewhere=False):
        if step.id in at:
            began = known[at[step.id]]
            known[at[step.id]] = Step._make((*step[:-1], began.opened))
        elif step.id:
            at[step.id] = len(known)
            known.append(step)
        else:
            last = known[-1:]
            if step.ended and last and not last[0].ended and _is_beginning(last[0], step):
                known.pop()
            known.append(step)
    return sorted(known, key=lambda step: (step.sequence, step.at))


def strangers(settings: "Settings") -> list[Step]:
    """What the log tells of another folder's database: another machine's, another project's."""
    return _told(_copies(settings), settings.source, tuple(here(settings)), elsewhere=True)


def told_in(settings: "Settings", folder: "Path") -> list[Step]:
    """The sound lines of another folder's log, as they stand there."""
    return [*_sound_in((_read(settings, folder),)).values()]


def _told(
    copies: tuple[bytes, ...], source: str, ours: tuple[int, ...], *, elsewhere: bool
) -> list[Step]:
    """The lines about a database of this name, in their order: another folder's, or this one's."""
    here = [*ours]
    lines = (s for s in _sound_in(copies).values() if s.source == source and s.kind != THIN)
    told = [s for s in lines if elsewhere == bool(s.home and not is_same(s.home, here))]
    return sorted(told, key=lambda step: (step.sequence, "" if step.sequence else step.at))


def _is_beginning(step: Step, end: Step) -> bool:
    """Whether it began what ``end`` ended, where lines had no id."""
    return (step.kind, step.state_before) == (end.kind, end.state_before)


def missing(settings: "Settings") -> "dict[Path, int]":
    """How many sound lines the one copy lacks that the other has, by folder; none where none."""
    known = _sound(settings).keys()
    lacking = {
        f: len(known - _sound_in((_read(settings, f),)).keys())
        for f in settings.folders
        if _is_there(f)
    }
    return {folder: count for folder, count in lacking.items() if count}


def _append(settings: "Settings", *steps: Step) -> list[Step]:
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    known, ours = _sound(settings), here(settings)
    first = next_sequence(settings, catalog.backups(settings))
    numbered = [
        step._replace(at=now, sequence=sequence, home=ours, opened=step.opened or sequence)
        for sequence, step in enumerate(steps, first)
    ]
    lines = "".join(f"{json.dumps(step.to_dict())}\n" for step in numbered).encode()
    failure = None
    try:
        _write(settings, settings.backups, lines, known)
    except PermissionError as error:
        failure = error  # another user's file; the vault's will do
    vault = settings.vault_folder
    if vault is not None and _is_there(vault):
        try:
            _write(settings, vault, lines, known)
            failure = None
        except OSError:  # where the first copy holds it, ``audit`` tells what this one lacks
            pass
    if failure:
        raise failure
    return numbered


def _is_there(folder: "Path") -> bool:
    """Whether there is such a folder, and we may look into it."""
    return os.access(folder, os.R_OK | os.X_OK) and folder.is_dir()


def _write(settings: "Settings", folder: "Path", lines: bytes, known: dict[str, Step]) -> None:
    """Add lines; ``known`` are those that a folder is given which has none."""
    file = folder / NAME
    if owners.is_closed(file):  # what is only in there must stay
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    there = _sound_in((_read(settings, folder),)).keys()
    if not file.exists() or known.keys() - there:  # some were lost here
        _start(folder, known)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(file, flags, 0o600)
    try:
        durable.append(fd, lines)
    finally:
        os.close(fd)


def _start(folder: "Path", known: "Iterable[str]") -> None:
    text = "".join(f"{line}\n" for line in known)
    with durable.scratch(folder / f".{os.getpid()}.partial") as work:
        work.write_text(text)
        durable.sync_path(work)
        work.replace(folder / NAME)
    durable.sync_path(folder)


def _sound(settings: "Settings") -> dict[str, Step]:
    """The sound lines of both copies, each once, by their text."""
    return _sound_in(_copies(settings))


def _copies(settings: "Settings") -> tuple[bytes, ...]:
    """What stands in the copies, that which is the same once."""
    return tuple(dict.fromkeys(_read(settings, folder) for folder in settings.folders))


def _read(settings: "Settings", folder: "Path") -> bytes:
    """What stands in a folder's copy; nothing where it cannot be read: the other one tells."""
    try:
        return (folder / NAME).read_bytes()
    except OSError as error:
        if isinstance(error, PermissionError):
            owners.pass_over(settings, folder / NAME)
        return b""


@lru_cache(maxsize=COPIES)
def _sound_in(copies: tuple[bytes, ...]) -> dict[str, Step]:
    """The sound lines in these, each once, by their text."""
    texts = dict.fromkeys(
        text for each in copies for text in each.decode("utf-8", "replace").splitlines()
    )
    new = [text for text in texts if text not in _KNOWN]
    if len(_KNOWN) + len(new) > LINES:
        _KNOWN.clear()
        new = [*texts]
    _KNOWN.update(zip(new, _parsed(new), strict=True))
    return {text: step for text in texts if (step := _KNOWN[text])}


def _parsed(texts: list[str]) -> "Iterable[Step | None]":
    """Lines, all at once where each is an object: by themselves they take three times as long."""
    if all(text.startswith("{") and text.endswith("}") for text in texts):
        with suppress(ValueError, RecursionError):
            objects = json.loads(f"[{','.join(texts)}]")
            if len(objects) == len(texts):
                return map(_step, objects)
    return map(_parse, texts)


def _parse(text: str) -> Step | None:
    """A line; fields that a newer undrop wrote are left out."""
    try:
        return _step(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _step(fields: dict[str, Any]) -> Step | None:
    try:
        step = Step._make(OF_FILE({**DEFAULTS, **fields}))
        _ = step.when
        sound = (
            all(map(isinstance, step, KINDS))
            and (step.filled is None or all(map(isinstance, step.filled, repeat(str))))
            and all(type(number) is int and 0 <= number < LARGEST for number in step.home)
            and type(step.sequence) is int
            and 0 <= step.sequence < 2**53  # where counting on still fits
            and step.phase in PHASES
            and step.mode_before in {"", *MODES}
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return step if sound else None
