"""What the lines of the log tell, kept beside it, so that a command reads only what came since.

It can be made anew from the log, and is passed over where it does not fit. Who writes a line
writes it.
"""

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from undrop import __version__, digest, durable
from undrop.store.lock import partial
from undrop.store.step import Step, Told

if TYPE_CHECKING:
    from undrop.settings import Settings

NAME = "steps.index.jsonl"
SPARE = 100  # times its bytes, which must be free: the last room is for backups
WORTH = 2**18  # bytes of lines that are not in it: fewer are read sooner than it is written


def read(settings: "Settings", copies: tuple[bytes, ...]) -> Told:
    """What is known of these copies without reading them; nothing where they are not alike."""
    file = settings.backups / NAME
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        head, _, steps = (file.read_bytes() if file.is_file() else b"").partition(b"\n")
        fields, [copy] = json.loads(head), copies
        log = copy[: fields["bytes"]]
        if fields == _head(log, steps):
            return Told((log,), map(Step._make, json.loads(steps)))
    return Told()


def write(settings: "Settings", told: Told) -> None:
    """Keep what was read, if it is of copies that are alike, with the lock held.

    It is not forced to the disk: half of one does not fit. Where little room is left, that is for
    backups. Never raises OSError.
    """
    if len(told.copies) != 1 or not told.is_whole:
        return
    steps = json.dumps(told.steps).encode()
    head = json.dumps(_head(told.copies[0], steps)).encode()
    with suppress(OSError):
        if durable.free(settings.backups) < SPARE * len(steps):
            return
        with durable.scratch(partial(settings)) as work:
            work.write_bytes(head + b"\n" + steps)
            work.replace(settings.backups / NAME)
            told.kept = len(told.copies[0])


def _head(log: bytes, steps: bytes) -> dict[str, object]:
    """What it begins with: which log it is of, that it is whole, and who could read the lines."""
    parts = {"log": log, "steps": steps}
    digests = {name: digest.of_parts([memoryview(part)]) for name, part in parts.items()}
    return {"undrop": __version__, "bytes": len(log), **digests}
