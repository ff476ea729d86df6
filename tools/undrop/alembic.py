"""The lines that a project's ``env.py`` imports."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop import settings, version_table
from undrop.engines import registry
from undrop.errors import UndropError
from undrop.migrations import alembic_private
from undrop.migrations.child import PROBE, WORK_COPY
from undrop.migrations.flask_app import LOADING
from undrop.recipes import Action, Prompt
from undrop.values import Session

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy.engine import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from undrop.engines import protocol
    from undrop.values import Target

PROOF = "UNDROP_PROOF"
"""What ``undrop init`` has in place of the project's settings while it tries the guard."""
INSTEAD = "UNDROP_INSTEAD"
"""Settings for ``undrop backup``; a password may be in them, which has no place in arguments."""
RULE = "=" * 78


def backup_before(context: Any) -> None:  # noqa: ANN401 - Alembic's module of proxies
    """Take a verified backup, reason ``alembic``, if the running command changes the database.

    ``context`` is ``alembic.context``. Never raises: when the backup fails it says so where it
    cannot be missed, and the migration goes on. Where ``env.py`` then migrates another database
    than the one that is guarded, that one is backed up, too. Nothing for commands that only look,
    and nothing for ``just migrate``, which has its backup and gives ``env.py`` a work copy.
    """
    try:
        looks = {WORK_COPY, PROBE} & {*context.config.attributes}
        if looks or LOADING in os.environ or not _changes(context):
            return
        # In a process of its own: this one may have the database open, and opening and closing
        # the file beside SQLite would drop the locks of its connections (howtocorrupt.html, 2.2).
        run = _Run(context)
        code = run.backup("--before", "alembic", "alembic")
        failure = f"the backup ended with {code}" if code else ""
        alembic_private.configured(context, run.configured)
        alembic_private.when_it_ends(context, run.ended)
    except Exception as error:  # noqa: BLE001 - the hook is soft by contract
        failure = f"{type(error).__name__}: {error}"
    if failure:
        _say(
            f"NO BACKUP WAS TAKEN BEFORE THIS MIGRATION: {failure}",
            f"The migration goes on without one. To be safe, stop it, then: {_migrate(context)}",
        )


class _Run:
    """One run of Alembic's by itself."""

    def __init__(self, context: Any) -> None:  # noqa: ANN401
        self._folder = _folder(context)
        self._instead: list[dict[str, Any]] = [json.loads(os.environ.get(PROOF, "{}"))]
        """The settings that differ from the project's: for its database, and for others."""

    def backup(self, *arguments: str, of: int = 0) -> int:
        """Run ``undrop backup`` on the database of that number; its exit code."""
        instead = self._instead[of]
        option = ["--instead", INSTEAD] if instead else []
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "undrop", "backup", *option, *arguments],
            cwd=self._folder,
            env={**os.environ, INSTEAD: json.dumps(instead)},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode

    def configured(self, migration: "MigrationContext") -> None:
        """Look whether Alembic goes to the database that is guarded."""
        connection = migration.connection
        if connection is None or migration.as_sql:
            return
        shown = connection.engine.url.render_as_string()
        try:
            url = connection.engine.url.render_as_string(hide_password=False)
            migrated = registry.choose(
                url, Path.cwd(), inside=False, verify_url="", session=Session()
            )
            names = self._guards(migrated)
            if migrated.in_memory or not names:
                return
            url = migrated.url().render_as_string(hide_password=False)
            instead = {**self._instead[0], **settings.of_url(url)}
            self._instead.append(instead)
            code = self.backup("--before", "alembic", "alembic", of=len(self._instead) - 1)
            said = f"the backup of {shown} ended with {code}" if code else ""
        except UndropError as error:
            said, names = f"NO BACKUP OF IT WAS TAKEN: {error.what}", "it is not guarded"
        except Exception as error:  # noqa: BLE001 - the hook is soft by contract
            said, names = f"NO BACKUP OF IT WAS TAKEN: {error}", "it is not guarded"
        _say(
            f"THIS MIGRATION GOES TO ANOTHER DATABASE: {shown}, and {names}",
            said or f"It has a backup now, too; {Action('undo')} and the rest do not know it.",
        )

    def _guards(self, migrated: "protocol.Engine") -> str:
        """What undrop guards instead of the database that is migrated; empty when it is that."""
        try:
            guarded = settings.load(self._folder).engine
        except UndropError as error:  # a fresh clone has no .env
            return f"undrop guards none: {error.what}"
        return "" if registry.is_same(guarded, migrated) else f"undrop guards {guarded.source}"

    def ended(self, environment: Any) -> None:  # noqa: ANN401
        """Have ``undo`` know where the run ended; what comes next is its application's work."""
        # The hook is soft by contract, and the command said what it failed at.
        if PROOF not in os.environ and len(self._instead) == 1:  # else whose table is it
            with suppress(Exception):
                project = settings.load(self._folder)
                table = environment.get_context().version_table
                version_table.remember(project.backups, project.source, table)
        for of in range(len(self._instead)):
            with suppress(Exception):
                self.backup("--after", "alembic", of=of)


def _say(*lines: str) -> None:
    """Where it cannot be missed."""
    framed = "\n".join((RULE, f"undrop: {lines[0]}", *lines[1:], RULE))
    print(framed, file=sys.stderr, flush=True)  # noqa: T201 - there is no cli in env.py


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
    config = context.config
    name = config.config_file_name or getattr(config, "toml_file_name", None)
    return Path(name).resolve().parent if name else Path.cwd()


def _migrate(context: Any) -> str:  # noqa: ANN401
    """The line that migrates behind a backup; never raises."""
    action = Action("migrate")
    try:
        return Prompt(settings.load(_folder(context)).root).line(action)
    except Exception:  # noqa: BLE001 - what made the backup fail may make this fail
        return str(action)


def _changes(context: Any) -> bool:  # noqa: ANN401
    """Whether the running command changes the database: not current, check, revision."""
    going = alembic_private.destination(context) is not None
    return going or alembic_private.ensures_version(context)
