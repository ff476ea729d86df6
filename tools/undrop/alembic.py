"""The lines that a project's ``env.py`` imports."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url

from undrop import settings
from undrop.schema_child import WORK_COPY, work_url

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

RULE = "=" * 78


def backup_before(context: Any) -> None:  # noqa: ANN401 - Alembic's module of proxies
    """Take a verified backup, reason ``alembic``, if the running command changes the database.

    ``context`` is ``alembic.context``. Never raises: when the backup fails it says so where it
    cannot be missed, and the migration goes on. Nothing for commands that only look, and nothing
    for ``just migrate``, which has its backup and gives ``env.py`` a work copy.
    """
    try:
        if WORK_COPY in context.config.attributes or not _changes(context):
            return
        # In a process of its own: this one may have the database open, and opening and closing
        # the file beside SQLite would drop the locks of its connections (howtocorrupt.html, 2.2).
        done = subprocess.run(
            [sys.executable, "-P", "-m", "undrop", "backup", "--before", "alembic", "alembic"],
            cwd=_folder(context),
            stdin=subprocess.DEVNULL,
            check=False,
        )
        failure = f"the backup ended with {done.returncode}" if done.returncode else ""
    except Exception as error:  # noqa: BLE001 - the hook is soft by contract
        failure = f"{type(error).__name__}: {error}"
    if failure:
        print(  # noqa: T201 - there is no cli in env.py
            f"{RULE}\nundrop: NO BACKUP WAS TAKEN BEFORE THIS MIGRATION: {failure}\n"
            f"The migration goes on without one. To be safe, stop it, then: just migrate\n{RULE}",
            file=sys.stderr,
            flush=True,
        )


def database_url(context: Any) -> URL:  # noqa: ANN401
    """The URL for ``env.py``: the very file that ``backup_before`` backs up, as absolute path.

    Under ``just migrate`` it is the work copy's. Raises UsageError when nothing is configured.
    """
    project = settings.load(_folder(context))
    work = context.config.attributes.get(WORK_COPY)
    if work:
        return work_url(project.url, work)
    url = make_url(project.url)
    if project.database is None:
        return url
    if url.query.get("uri"):
        return url.set(database=project.database.as_uri())
    return url.set(database=str(project.database))


def transactional_ddl(engine: "Engine | AsyncEngine") -> None:
    """Make every migration on ``engine`` one transaction, CREATE and DROP included.

    Python's sqlite3 begins a transaction before INSERT, UPDATE and DELETE only and so commits
    half a migration; here the driver's own handling is off and SQLAlchemy's BEGIN is a real one.
    """
    sync_engine: Engine = getattr(engine, "sync_engine", engine)  # type: ignore[arg-type]  # one or the other

    @event.listens_for(sync_engine, "connect")
    def _no_implicit_transactions(dbapi_connection: Any, _record: object) -> None:  # noqa: ANN401
        dbapi_connection.isolation_level = None

    @event.listens_for(sync_engine, "begin")
    def _begin(connection: "Connection") -> None:
        connection.exec_driver_sql("BEGIN")


def _folder(context: Any) -> Path:  # noqa: ANN401
    name = context.config.config_file_name
    return Path(name).resolve().parent if name else Path.cwd()


def _changes(context: Any) -> bool:  # noqa: ANN401
    try:
        context.get_revision_argument()
    except KeyError:  # no destination: current, check, revision --autogenerate; or this one
        options = getattr(getattr(context, "_proxy", None), "context_opts", {})
        return getattr(options.get("fn"), "__name__", "") == "do_ensure_version"
    except Exception:  # noqa: BLE001 - a destination that cannot be resolved is a destination
        return True
    return True
