"""The lines that a project's ``env.py`` imports."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop import hook, settings, version_table
from undrop.engines import registry
from undrop.migrations import alembic_private
from undrop.migrations.child import PROBE, WORK_COPY
from undrop.migrations.flask_app import LOADING
from undrop.recipes import Action

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy.engine import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from undrop.values import Target


def backup_before(context: Any) -> None:  # noqa: ANN401 - Alembic's module of proxies
    """Take a verified backup, reason ``alembic``, if the running command changes the database.

    ``context`` is ``alembic.context``. Never raises: when the backup fails it says so where it
    cannot be missed, and the migration goes on. Where ``env.py`` then migrates others of the
    settings' databases, or one that is not guarded, each of these is backed up, too. Nothing for
    commands that only look, and nothing for ``just migrate``, which has its backup and gives
    ``env.py`` a work copy.
    """
    try:
        looks = {WORK_COPY, PROBE} & {*context.config.attributes}
        if looks or LOADING in os.environ or not _changes(context):
            return
        folder = _folder(context)
        run, tables = hook.Run("alembic", folder), dict[str, str]()
        failure = run.before()
        alembic_private.configured(context, lambda migration: _configured(run, tables, migration))
        alembic_private.when_it_ends(context, lambda ended: _ended(run, tables, folder, ended))
    except Exception as error:  # noqa: BLE001 - the hook is soft by contract
        failure = f"{type(error).__name__}: {error}"
    if failure:
        hook.failed(hook.MIGRATION, failure, Action("migrate"), lambda: _folder(context))


def _configured(run: hook.Run, tables: dict[str, str], migration: "MigrationContext") -> None:
    """Look whether Alembic goes to the database that is guarded, or to another one.

    ``tables``: where it keeps the revisions of those that have a name in the settings, by that.
    """
    connection = migration.connection
    if connection is None or migration.as_sql:
        return
    url = connection.engine.url
    name = run.elsewhere(url.render_as_string(hide_password=False), url.render_as_string())
    if name:
        tables[name] = migration.version_table


def _ended(
    run: hook.Run,
    tables: dict[str, str],
    folder: Path,
    environment: Any,  # noqa: ANN401
) -> None:
    # The hook is soft by contract, and the command said what it failed at.
    if not run.is_tried:
        with suppress(Exception):
            project = settings.load(folder, name=hook.asked())
            if not (tables or run.goes_elsewhere):  # as SQL, to nowhere; else whose table is it
                tables[project.name] = environment.get_context().version_table
            for database in settings.known(project):
                if table := tables.get(database.name):
                    version_table.remember(database.backups, database.source, table)
    run.ended()


def database_url(context: Any) -> "URL":  # noqa: ANN401
    """The URL for ``env.py``: the very database that ``backup_before`` backs up.

    Under ``just migrate`` it is the work copy's. Raises UsageError when nothing is configured.
    """
    project = settings.load(_folder(context), name=hook.asked())
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


def _changes(context: Any) -> bool:  # noqa: ANN401
    """Whether the running command changes the database: not current, check, revision."""
    going = alembic_private.destination(context) is not None
    return going or alembic_private.ensures_version(context)
