"""Makes a project look as if it had been used for years; run in its folder, with its real backups.

What it writes is what undrop writes: records and lines of the log by undrop's own classes, each
backup a link to a real one, as unchanged states are, with a state of its own in its record.
"""

import itertools
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

from undrop import settings
from undrop.store import catalog, log
from undrop.store.home import here
from undrop.store.lock import locked
from undrop.store.step import Step
from undrop.values import Session

REASONS = ("before-a-test", "after run", "agent: make test", "nightly, by hand", "alembic")


def main() -> None:
    """So many backups, and so many lines of log, both in ``backups/`` and in the vault."""
    backups, lines = map(int, sys.argv[1:])
    project = settings.load(Path.cwd(), Session())
    with locked(project, lambda _: None):
        real = [(each.path, each.record) for each in catalog.backups(project) if each.record]
        began = datetime.fromisoformat(real[0][1].created) - timedelta(days=backups)
        ours, folders = here(project), [project.backups, project.vault_folder or project.backups]
        sequence = itertools.count(1)
        texts: list[str] = []
        older = range(backups - len(real))
        for number in older:
            path, record = real[number % len(real)]
            when = began + timedelta(days=number)
            reason = REASONS[number % len(REASONS)]
            own = record._replace(
                created=when.isoformat(timespec="microseconds"),
                reason=reason,
                sequence=next(sequence),
                content=f"state {number}",
                home=ours,
            )
            name = f"{catalog.stem(project)}-{when.strftime(catalog.STAMP)}-{catalog.slug(reason)}"
            for folder in folders:
                (folder / f"{name}.db").hardlink_to(path)
                (folder / f"{name}.json").write_text(own.to_json())
            wanted = (number + 1) * (lines // 2) // len(older)
            while len(texts) < 2 * wanted:
                step = Step(
                    (when + timedelta(seconds=len(texts))).isoformat(timespec="microseconds"),
                    "run",
                    project.source,
                    f"{name}.db",
                    command="make test",
                    id=f"{len(texts):016x}",
                    sequence=next(sequence),
                    home=ours,
                )
                texts.append(json.dumps(step.to_dict()))
                step = step._replace(phase="same", sequence=next(sequence))
                texts.append(json.dumps(step.to_dict()))
        # The real ones were taken after all that.
        for path, record in real:
            newer = record._replace(sequence=next(sequence))
            for folder in folders:
                (folder / f"{path.stem}.json").write_text(newer.to_json())
        for folder in folders:
            (folder / log.NAME).write_text("\n".join([*texts, ""]))


main()
