"""The process in which a Django project's code runs: ``manage.py migrate`` on one database."""

import os
import runpy
import sys
import warnings
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from undrop.engines import registry
from undrop.migrations import inside
from undrop.migrations.handed import MODULE, SETTINGS, Handed
from undrop.migrations.message import DjangoRequest, Reply, Revision
from undrop.values import Moved
from undrop.version_table import DJANGOS

if TYPE_CHECKING:
    from collections.abc import Callable

    from undrop.engines.sqlite.fence import Fence
    from undrop.values import Target

ALONE = "DJANGO_CONFIGURATION"
"""The variable by which django-configurations names a class that has the settings."""


class _Run:
    """One run of ``migrate``, and what of it was seen."""

    def __init__(self, asked: DjangoRequest, target: "Target", fence: "Fence") -> None:
        self._named, self._target, self._fence = registry.django(asked.kind), target, fence
        self._connection: Any = None
        self._ran = 0
        self._accepts: list[str] = []
        self._before: list[str] = []

    def watch(self) -> None:
        """See each migration that runs, and that it goes to no other database."""
        from django.db.migrations.executor import MigrationExecutor

        make = MigrationExecutor.__init__

        @wraps(make)
        def made(executor: Any, connection: Any, *more: Any, **named: Any) -> None:  # noqa: ANN401
            self._admit(connection)
            make(executor, connection, *more, **named)

        MigrationExecutor.__init__ = made
        for name in ("apply_migration", "unapply_migration"):
            setattr(MigrationExecutor, name, self._seen(getattr(MigrationExecutor, name)))

    def _admit(self, connection: Any) -> None:  # noqa: ANN401 - Django's
        with connection.cursor() as cursor:
            if not self._named.is_at(cursor, self._target):
                raise RuntimeError(
                    f"manage.py connects {connection.alias} to another database than the one that "
                    "it was given"
                )
        if self._connection is None:
            self._connection = connection
            self._before = self._revisions()
            self._named.refuse_shared(connection)

    def _seen(self, run: "Callable[..., Any]") -> "Callable[..., Any]":
        @wraps(run)
        def seen(executor: Any, state: Any, migration: Any, *more: Any, **named: Any) -> Any:  # noqa: ANN401
            module = sys.modules[type(migration).__module__]
            self._ran += 1
            self._accepts += inside.accepts_loss(module)
            self._fence.enter(str(module.__file__))
            try:
                return run(executor, state, migration, *more, **named)
            finally:
                self._fence.enter("")

        return seen

    def _revisions(self) -> list[str]:
        """What has run in the database, in that order."""
        with self._connection.cursor() as cursor:
            if DJANGOS not in self._connection.introspection.table_names(cursor):
                return []
            cursor.execute(f"SELECT app, name FROM {DJANGOS} ORDER BY id")  # noqa: S608 - no data
            return [f"{app} {name}" for app, name in cursor.fetchall()]

    def ended(self) -> Moved:
        """What was done."""
        from django.db import connections

        after = self._revisions() if self._connection else []
        connections.close_all()
        # A squashed migration may be written down without one that runs.
        steps = self._ran or int(after != self._before)
        return Moved(self._before, after, steps, self._accepts, DJANGOS, [], 0.0)

    @property
    def has_begun(self) -> bool:
        """Whether a migration has."""
        return bool(self._ran)


def bring(asked: DjangoRequest, target: "Target", fence: "Fence") -> Moved:
    """Run ``manage.py migrate`` on the target and say what was done. Raises what it raises."""
    from django.core.management import CommandError

    run = _Run(asked, target, fence)

    def execute(utility: Any, their: "Callable[[Any], None]") -> None:  # noqa: ANN401
        from undrop.migrations import django_settings

        _require_ours(asked)
        if not django_settings.aliases:
            raise inside.WrongError("none of its DATABASES is the one that undrop guards")
        run.watch()
        options = ["--no-input", "--traceback", f"--settings={SETTINGS}"]
        options.append(f"--database={django_settings.aliases[0]}")
        utility.argv = [utility.argv[0], "migrate", *asked.words, *options]
        their(utility)

    try:
        _typed(asked, execute)
    except CommandError as error:
        if run.has_begun:  # a migration raised it, or what comes behind them
            raise
        raise inside.WrongError(" ".join(str(error).split())) from error
    return run.ended()


def known(asked: DjangoRequest) -> Reply:
    """The project's migrations: loads every file of them, and connects to nothing."""
    sys.dont_write_bytecode = True  # it is only looked at
    replies: list[Reply] = []

    def execute(_utility: Any, _their: object) -> None:  # noqa: ANN401
        import django
        from django.db.migrations.loader import MigrationLoader

        _require_ours(asked)
        django.setup()
        loader = MigrationLoader(None, ignore_no_migrations=True)
        leaves = sorted(loader.graph.leaf_nodes())
        # Each after those that it needs; what a squashed one stands for, before that.
        keys = dict.fromkeys(key for leaf in leaves for key in loader.graph.forwards_plan(leaf))
        revisions: dict[str, Revision] = {}
        for key in keys:
            _add(key, loader.disk_migrations, revisions)
        heads = [" ".join(leaf) for leaf in leaves]
        replies.append(Reply(revisions=[*revisions.values()], heads=heads, keeps_each=True))

    _typed(asked, execute)
    return replies[0]


def _add(
    key: tuple[str, str], on_disk: dict[tuple[str, str], Any], revisions: dict[str, Revision]
) -> None:
    replaced = list(getattr(on_disk.get(key), "replaces", []))
    for other in replaced:
        _add((other[0], other[1]), on_disk, revisions)
    name = " ".join(key)
    revisions[name] = Revision(name, [], "", [" ".join(other) for other in replaced])


def _typed(asked: DjangoRequest, execute: "Callable[[Any, Callable[[Any], None]], None]") -> None:
    """Run ``manage.py migrate``, with another doing in place of Django's own.

    Django's is handed to it, and asked for by whatever ``manage.py`` calls.
    """
    from django.core.management import ManagementUtility

    sys.argv = [asked.manage, "migrate", *asked.words]
    sys.path.insert(0, str(Path(asked.manage).parent))
    Handed(_named_by(asked), asked.root, asked.url, asked.target).hand_on()
    registry.django(asked.kind).keep_others()
    their = ManagementUtility.execute
    ManagementUtility.execute = lambda utility: execute(utility, their)
    runpy.run_path(asked.manage, run_name="__main__")


def _require_ours(asked: DjangoRequest) -> None:
    """Raise where Django goes by the project's settings already."""
    from django.conf import settings

    if settings.configured and settings.SETTINGS_MODULE != SETTINGS:
        raise inside.WrongError(
            f"{asked.manage} has Django load {settings.SETTINGS_MODULE} before it runs a command: "
            "let it set the variable by os.environ.setdefault"
        )


def _named_by(asked: DjangoRequest) -> str:
    """The settings module that ``manage.py`` goes by. Raises inside.WrongError.

    Told by a process of its own, since it may load them.
    """
    from django.core.management import ManagementUtility

    asking, telling = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns where there are threads: ours waits for a pipe and holds no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:

        def tell(_utility: object) -> NoReturn:
            alone = ALONE in os.environ
            os.write(telling, f"{os.environ.get(MODULE, '')}\n{alone or ''}".encode())
            os._exit(0)

        ManagementUtility.execute = tell
        try:
            runpy.run_path(asked.manage, run_name="__main__")
        except BaseException as error:  # noqa: BLE001 - it is anybody's code
            os.write(telling, f"\n\n{type(error).__name__}: {error}".encode()[:4000])
        finally:
            os._exit(1)
    os.close(telling)
    with os.fdopen(asking, "rb") as told:
        module, alone, failure = f"{told.read().decode()}\n\n".split("\n", 2)
    os.waitpid(child, 0)
    if alone:
        raise inside.WrongError(f"the settings are a class of django-configurations ({module})")
    if not module:
        why = failure.strip() or "it names no settings, or runs no command"
        raise inside.WrongError(f"{asked.manage}: {why}")
    return module


def _answer(asked: DjangoRequest, fence: "Fence", _line: inside.Line) -> Reply:
    try:
        import django  # noqa: F401
    except ImportError as error:
        raise inside.WrongError(f"it is not where undrop is ({sys.executable}): {error}") from error
    if asked.target is None:
        return known(asked)
    return Reply(bring(asked, asked.target, fence))


def main() -> NoReturn:
    """Answer on stdout in JSON what the pipe asks."""
    inside.main(DjangoRequest.of_json, _answer)


if __name__ == "__main__":
    main()
