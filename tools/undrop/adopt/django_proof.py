"""Whether Django's guard holds: the project's own ``manage.py migrate``, tried once on a copy."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from undrop.adopt import django_project, environments
from undrop.adopt.proof import INSTALL, KEPT_NOWHERE, NO_BACKUP, PATIENCE, Proof, watched
from undrop.engines import registry
from undrop.migrations import process
from undrop.settings import of_url

if TYPE_CHECKING:
    from undrop.adopt.project import Project
    from undrop.recipes import Text
    from undrop.settings import Settings

LATE = (
    "no backup was there when Django began to migrate: let undrop.django be the first of "
    "INSTALLED_APPS"
)


class _Told(NamedTuple):
    """What ``django_prove.py`` answers."""

    seen: list[bool] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    failure: str = ""
    made: list[str] = []  # noqa: RUF012


def prove(settings: "Settings", project: "Project") -> Proof:
    """Run ``manage.py migrate`` on a copy of the project's database, or on an empty one.

    The guard's backup goes to a folder that goes again, and live is not touched: what would write
    to it is refused, and it is watched. A server's database has no copy: what is tried there ends
    where Django would begin. Raises OSError.
    """
    assert project.django  # noqa: S101 - or another proof is asked for
    engine, manage = settings.engine, project.django
    with TemporaryDirectory(prefix="undrop-proof-") as folder:
        instead: dict[str, object] = {"backups": f"{folder}/backups", **KEPT_NOWHERE}
        copy, url = registry.adopting(settings.url).copied(engine.file, folder)
        if copy:
            instead |= {**of_url(url), "databases": {}}
        before = watched(settings)
        question: dict[str, object] = {
            "manage": str(manage),
            "root": str(settings.root),
            "live": str(engine.file or ""),
            "copy": copy,
            "settings": instead,
            "proof": f"*-django{engine.suffix}" if copy or engine.exists() else "steps.jsonl",
        }
        told, said = _tried(settings.root, manage, question, {} if copy else _reading())
        process.discard(path for path in told.made if not path.startswith(folder))
        if watched(settings) != before:
            failure = "the live database was changed meanwhile, by it or by another program"
            return Proof(django_project.MANAGE, [failure], [])
    return Proof(
        django_project.MANAGE,
        _failures(told, said),
        [],
        (f"the migration of a copy failed: {told.failure}",) if told.seen and told.failure else (),
    )


def _reading() -> dict[str, str | None]:
    """Have a server refuse what writes, whatever begins before Django's migrations (libpq)."""
    given = os.environ.get("PGOPTIONS", "")
    return {"PGOPTIONS": f"{given} -c default_transaction_read_only=on".strip()}


def _failures(told: _Told, said: str) -> "list[Text]":
    if not told.seen:
        why = told.failure or "it began no migration"
        return [f"it did not get as far as its database: {why}; correct that, then init again"]
    if all(told.seen):
        return []
    if django_project.MISSING in said:
        return [f"undrop is not in its environment, where the settings look for it: {INSTALL}"]
    if NO_BACKUP in said:
        return [said.partition(NO_BACKUP)[2].splitlines()[0]]
    return [LATE]


def _tried(
    root: Path, manage: Path, question: dict[str, object], variables: dict[str, str | None]
) -> tuple[_Told, str]:
    """What the script answers, and what was printed on stderr."""
    script = str(Path(__file__).with_name("django_prove.py"))
    python = environments.python(root, manage.parent, "django")
    asked = [python, script, json.dumps(question)]
    answered = environments.ask(asked, manage.parent, variables, PATIENCE)
    try:
        return _Told(**json.loads(answered.out)), answered.err
    except (ValueError, TypeError):
        return _Told(failure=answered.failure or "it gave no answer"), answered.err
