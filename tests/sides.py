"""Two files, one made of the other by a change, and what is said of them."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from undrop.compare import files, losses
from undrop.values import quiet


def run(database: Path, script: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(script)
        connection.commit()


def report(folder: Path, setup: str, change: str) -> losses.Report:
    """What ``change`` does to a database that ``setup`` made."""
    before, after = folder / "before.db", folder / "after.db"
    before.unlink(missing_ok=True)
    run(before, setup)
    shutil.copyfile(before, after)
    run(after, change)
    return losses.report(files.compare(before, after, quiet))
