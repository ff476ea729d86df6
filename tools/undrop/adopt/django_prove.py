"""The project's own ``manage.py migrate``, tried on a throw-away copy. Run by its own Python.

``django_prove.py JSON`` with a question; prints in JSON whether a backup had been taken when Django
began to migrate. It runs as it is typed, behind the fence; on a server it ends there.
"""

import json
import os
import runpy
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from django.core.management import ManagementUtility

sys.path.insert(0, str(Path(__file__).parent))
from projectside import main, ours  # type: ignore[import-not-found]  # there may be no undrop

sys.path.pop(0)
Fence = ours("engines/sqlite/fence.py").Fence


class EnoughError(BaseException):
    """What was to be seen has been."""


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """``seen``: for each beginning, whether there was a backup then; ``failure``: what failed."""
    told: dict[str, Any] = {"seen": [], "failure": "", "made": []}
    fence = Fence(question["live"], [question["copy"]], question["root"])
    fence.install()
    os.environ["UNDROP_PROOF"] = json.dumps(question["settings"])
    their = ManagementUtility.execute

    def execute(utility: Any) -> None:  # noqa: ANN401 - Django's
        alias = _alias(question["live"])
        if question["copy"]:
            _go_to(alias, question["copy"])
        _watch(question, told["seen"])
        options = [f"--database={alias}", "--no-input", "--traceback"]
        utility.argv = [*utility.argv[:2], *options]
        their(utility)

    sys.argv = [question["manage"], "migrate"]
    ManagementUtility.execute = execute
    try:
        runpy.run_path(question["manage"], run_name="__main__")
    except EnoughError:
        pass
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is anybody's code
        if not isinstance(error, SystemExit) or error.code:
            told["failure"] = f"{type(error).__name__}: {error}"
    if refused := fence.refused():
        told["failure"] = f"refused: {refused[0]}"
    return {**told, "made": fence.left()}


def _alias(live: str) -> str:
    """Django's name for the database that is guarded: by its file, else the first that there is.

    "default" may have none (docs.djangoproject.com, "Multiple databases").
    """
    from django.conf import settings

    aliases = [alias for alias, each in settings.DATABASES.items() if each.get("ENGINE")]
    names = {alias: str(settings.DATABASES[alias].get("NAME", "")) for alias in aliases}
    same = [alias for alias in aliases if live and os.path.realpath(names[alias]) == live]
    usual = [alias for alias in aliases if alias == "default"]
    return str([*same, *usual, *aliases][0])


def _go_to(alias: str, copy: str) -> None:
    """Have Django's settings name the copy, also where ``manage.py`` has set Django up already."""
    from django.apps import apps
    from django.conf import settings

    settings.DATABASES[alias]["NAME"] = copy
    if apps.ready and apps.is_installed("undrop.django"):
        apps.get_app_config("undrop").names[alias] = copy


def _watch(question: dict[str, Any], seen: list[bool]) -> None:
    from django.db.migrations.executor import MigrationExecutor

    make: Callable[..., None] = MigrationExecutor.__init__

    @wraps(make)
    def made(executor: Any, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - Django's
        seen.append(any(Path(question["settings"]["backups"]).glob(question["proof"])))
        if not question["copy"]:
            raise EnoughError
        make(executor, *arguments, **named)

    MigrationExecutor.__init__ = made


if __name__ == "__main__":
    main(answer)
