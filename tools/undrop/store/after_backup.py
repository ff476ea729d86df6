"""How ``after-backup``, the user's own command, is started: by a process that nothing waits for."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from undrop.recipes import DB
from undrop.settings import DEFAULT, INSTEAD, of_url

if TYPE_CHECKING:
    from undrop.settings import Settings

TAKEN = "after-backup.taken"
"""In ``backups/``: a line for each that was taken. Whoever runs the command has it locked."""
FAILED = "after-backup.json"
"""How it failed the last time that it did."""
OUTPUT = "after-backup.out"
"""What it has printed, the last time that it ran."""
FILES = {TAKEN, FAILED, OUTPUT}
DETACHED = '"$@" &'
"""For a shell that ends at once: what it leaves behind is no child of ours."""


def start(settings: "Settings") -> None:
    """Have it run for what it has not taken, where there is such a command. Never raises OSError.

    Nothing of it is waited for, and it has none of our streams: who reads those to their end would
    wait for it.
    """
    if not settings.after_backup:
        return
    name, by_url = settings.name, of_url(settings.url)
    instead = by_url if name == DEFAULT else {"databases": {name: {"url": settings.url}}}
    option = [] if name == DEFAULT else [DB, name]
    ours = [sys.executable, "-P", "-m", "undrop", "after-backup", "--instead", INSTEAD]
    with suppress(OSError):
        subprocess.run(  # noqa: S603 - ourselves
            ["/bin/sh", "-c", DETACHED, "sh", *ours, *option],
            cwd=settings.root,
            env={**os.environ, INSTEAD: json.dumps(instead)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
