"""The lines that a project's ``env.py`` imports."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop import settings, version_table
from undrop.engines import registry
from undrop.migrations import alembic_private
from undrop.migrations.child import WORK_COPY
from undrop.recipes import Action, Prompt

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from undrop.values import Target

PROBE = "undrop_probe"  # ``undrop init`` only asks which database it is
RULE = "=" * 78


def backup_before(context: Any) -> None:  # noqa: ANN401 - Alembic's module of proxies
    """Take a verified backup, reason ``alembic``, if the running command changes the database.

    ``context`` is ``alembic.context``. Never raises: when the backup fails it says so where it
    cannot be missed, and the migration goes on. Nothing for commands that only look, and nothing
    for ``just migrate``, which has its backup and gives ``env.py`` a work copy.
    """
    try:
        if {WORK_COPY, PROBE} & {*context.config.attributes} or not _changes(context):
            return
        # In a process of its own: this one may have the database open, and opening and closing
        # the file beside SQLite would drop the locks of its connections (howtocorrupt.html, 2.2).
        folder = _folder(context)
        code = _backup(folder, "--before", "alembic", "alembic")
        failure = f"the backup ended with {code}" if code else ""
        alembic_private.when_it_ends(context, lambda ended: _hold_state_after(folder, ended))
    except Exception as error:  # noqa: BLE001 - the hook is soft by contract
        failure = f"{type(error).__name__}: {error}"
    if failure:
        print(  # noqa: T201 - there is no cli in env.py
            f"{RULE}\nundrop: NO BACKUP WAS TAKEN BEFORE THIS MIGRATION: {failure}\n"
            f"The migration goes on without one. To be safe, stop it, then: "
            f"{_migrate(context)}\n{RULE}",
            file=sys.stderr,
            flush=True,
        )


def _backup(folder: Path, *arguments: str) -> int:
    """Run ``undrop backup``; its exit code."""
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-P", "-m", "undrop", "backup", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode


def _hold_state_after(folder: Path, environment: Any) -> None:  # noqa: ANN401
    """Have ``undo`` know where the run ended; what comes next is its application's work."""
    # The hook is soft by contract, and the command said what it failed at.
    with suppress(Exception):
        project = settings.load(folder)
        table = environment.get_context().version_table
        version_table.remember(project.backups, project.source, table)
    with suppress(Exception):
        _backup(folder, "--after", "alembic")


def database_url(context: Any) -> "URL":  # noqa: ANN401
    """The URL for ``env.py``: the very database that ``backup_before`` backs up.

    Under ``just migrate`` it is the work copy's. Raises UsageError when nothing is configured.
    """
    project = settings.load(_folder(context))
    target: Target | None = context.config.attributes.get(WORK_COPY)
    if target is None:
        return live_url(project)
    return registry.migrating(project.engine.kind).target_url(project.url, target)


def live_url(project: "settings.Settings") -> "URL":
    """The URL of a project's live database, for SQLAlchemy."""
    return project.engine.url()


def transactional_ddl(engine: "Engine | AsyncEngine") -> None:
    """Make every migration on ``engine`` one transaction, CREATE and DROP included.

    SQLite's driver has to be told; PostgreSQL does it by itself.
    """
    sync_engine: Engine = getattr(engine, "sync_engine", engine)  # type: ignore[arg-type]  # one or the other
    if sync_engine.dialect.name in registry.ENGINES:
        registry.migrating(sync_engine.dialect.name).transactional(sync_engine)


def _folder(context: Any) -> Path:  # noqa: ANN401
    name = context.config.config_file_name
    return Path(name).resolve().parent if name else Path.cwd()


def _migrate(context: Any) -> str:  # noqa: ANN401
    """The line that migrates behind a backup; never raises."""
    action = Action("migrate")
    try:
        return Prompt(settings.load(_folder(context)).root).line(action)
    except Exception:  # noqa: BLE001 - what made the backup fail may make this fail
        return str(action)


def _changes(context: Any) -> bool:  # noqa: ANN401
    try:
        context.get_revision_argument()
    except KeyError:  # no destination: current, check, revision --autogenerate; or this one
        return alembic_private.ensures_version(context)
    except Exception:  # noqa: BLE001 - a destination that cannot be resolved is a destination
        return True
    return True
