"""A step, by the lines of the log that tell of it: one when it began, one when it ended."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, Literal, NamedTuple, get_args

from undrop.store.home import Home

Phase = Literal["open", "done", "same", "failed"]
"""``same``: it ended well and the content is what it was. ``failed``: nothing was changed."""
KEYS = {"state_before": "before", "state_after": "after"}
"""What a field is called in the file, where that is another word."""
LARGEST = 2**64  # device and inode
MODES = ("wal", "delete")
"""Journal modes that a file is in (sqlite.org/fileformat2.html, 1.3.3)."""


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


class Told:
    """What the lines in a log's copies tell: each step once, in whatever order they stand there."""

    def __init__(self, copies: tuple[bytes, ...] = (), steps: Iterable[Step] = ()) -> None:
        """What is known to stand in that much of the copies."""
        known = [*steps]
        self.copies = copies
        """What was read of them."""
        self.kept = sum(map(len, copies))
        """Bytes of them that an index has (``store.log_index``)."""
        self.is_whole = True
        """Whether no more than that was read: no last line is half written."""
        self._steps = {step.id: step for step in known if step.id}
        self._without_id = {repr(step): step for step in known if not step.id}

    @property
    def steps(self) -> list[Step]:
        """Each step, and each line of an undrop before 0.3, in no order."""
        return [*self._without_id.values(), *self._steps.values()]

    def goes_on(self, copies: tuple[bytes, ...]) -> bool:
        """Whether these copies are those that were read, with nothing or more behind."""
        pairs = zip(copies, self.copies, strict=False)
        return len(copies) == len(self.copies) and all(new.startswith(old) for new, old in pairs)

    def read(self, copies: tuple[bytes, ...]) -> None:
        """Read what is new in copies that go on."""
        known = self.copies or (b"",) * len(copies)
        new = dict.fromkeys(each[len(old) :] for each, old in zip(copies, known, strict=True))
        for step in chain.from_iterable(map(_sound, new)):
            if step.id:
                before = self._steps.get(step.id, step)
                newest = before if before.sequence > step.sequence else step
                opened = min(before.opened, step.opened)
                self._steps[step.id] = Step._make((*newest[:-1], opened))
            else:
                self._without_id[repr(step)] = step
        self.copies = tuple(each[: each.rfind(b"\n") + 1] for each in copies)
        self.is_whole = self.copies == copies


def texts(copies: Iterable[bytes]) -> list[str]:
    """The lines in these copies, each once."""
    whole = (each.decode("utf-8", "replace").split("\n") for each in dict.fromkeys(copies))
    lines = map(str.strip, chain.from_iterable(whole))
    return [text for text in dict.fromkeys(lines) if text]


def is_sound(text: str) -> bool:
    """Whether a line tells of a step; fields that a newer undrop wrote are left out."""
    return any(_sound(text.encode()))


def _sound(lines: bytes) -> Iterator[Step]:
    return filter(None, map(_step, _objects(lines.decode("utf-8", "replace"))))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects that are a line each.

    As many at once as are sound: by themselves they take three times as long.
    """
    text = text.strip()
    others = text.count("\n")
    if text.startswith("{") and text.endswith("}") and text.count("}\n{") == others:
        with suppress(ValueError, RecursionError):
            found = json.loads(f"[{text.replace(chr(10), ',')}]")
            if len(found) == others + 1:
                yield from (each for each in found if isinstance(each, dict))
                return
    if others:
        middle = text.find("\n", len(text) // 2)
        middle = middle if middle >= 0 else text.rfind("\n")
        yield from _objects(text[:middle])
        yield from _objects(text[middle:])


def _step(fields: dict[str, Any]) -> Step | None:
    try:
        whole = fields if fields.keys() >= DEFAULTS.keys() else {**DEFAULTS, **fields}
        step = Step._make(OF_FILE(whole))
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
