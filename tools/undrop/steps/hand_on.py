"""Run ``after-backup``, the user's own command, for every backup that it has not taken yet."""

import os
import signal
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from undrop.settings import INSTEAD
from undrop.store import handed_on, log
from undrop.store.after_backup import OUTPUT
from undrop.store.handed_on import Failure

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.handed_on import Runner

BACKUP = "UNDROP_BACKUP"
"""The variable that tells the command where the backup is."""
RECORD = "UNDROP_RECORD"
"""And where its record is."""
TAIL = 4096  # bytes of what it printed that are looked at


class Done(NamedTuple):
    """What became of the backups that it was run for."""

    taken: "list[Backup]"
    failed: list[Failure]
    busy: bool
    """Whether another process runs it, which sees to the rest."""


def all_left(settings: "Settings") -> Done:
    """Run it for each that it has not taken, once, the oldest first. Raises OSError.

    A backup that got its name while we ended would have nobody else to see to it: whoever took it
    found us at work.
    """
    done = Done([], [], busy=False)
    tried: set[str] = set()
    while _untried(settings, tried):
        with handed_on.alone(settings) as runner:
            if runner is None:
                return done._replace(busy=True)
            for backup in _untried(settings, tried):
                tried.add(backup.path.stem)
                if error := _run(runner, backup):
                    now = datetime.now(UTC).isoformat(timespec="seconds")
                    done.failed.append(Failure(backup.path.stem, now, error))
                    runner.note_failure(done.failed[-1])
                else:
                    runner.note(backup)
                    done.taken.append(backup)
    return done


def _untried(settings: "Settings", tried: set[str]) -> "list[Backup]":
    return [each for each in handed_on.left(settings) if each.path.stem not in tried]


def _run(runner: "Runner", backup: "Backup") -> str:
    """Run it for one; how it failed, empty where it did not. Raises OSError."""
    settings = runner.settings
    told = {BACKUP: str(backup.file), RECORD: str(backup.path.parent / f"{backup.path.stem}.json")}
    kept = {name: value for name, value in os.environ.items() if name != INSTEAD}
    output = runner.output()
    try:
        done = subprocess.run(  # noqa: S603 - the user's own
            ["/bin/sh", "-c", settings.after_backup],
            cwd=settings.root,
            env={**kept, **told},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    finally:
        os.close(output)
    if not done.returncode:
        return ""
    ended = f"exit code {done.returncode}"
    if done.returncode < 0:
        ended = f"killed by {signal.Signals(-done.returncode).name}"
    with (settings.backups / OUTPUT).open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        lines = file.read().decode("utf-8", "replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return log.kept(last) or ended
