"""The backup before a command of Django's."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from undrop import hook
from undrop.engines import registry
from undrop.errors import UndropError
from undrop.migrations.handed import HANDED
from undrop.recipes import Action

KIND = "django"


def before(
    name: str,
    connection: Any,  # noqa: ANN401 - Django's
    folder: Callable[[], Path],
) -> hook.Run | None:
    """Back up what a connection goes to, before the command of that ``name``; never raises.

    ``folder`` gives one in the project. None under ``just migrate``, which has its backup, and
    hands Django a work copy.
    """
    if HANDED in os.environ:
        return None
    run, what = None, hook.MIGRATION if name == "migrate" else name.upper()
    try:
        run = hook.Run(KIND, folder(), what)
        if connection.vendor in registry.ENGINES:
            failure = run.before_on(
                registry.django(connection.vendor).url(connection.settings_dict)
            )
        else:
            failure = f"{connection.vendor} is not supported"
    except UndropError as error:
        failure = error.what
    except Exception as error:  # noqa: BLE001 - the hook is soft by contract
        failure = f"{type(error).__name__}: {error}"
    if failure:
        action = Action("migrate" if name == "migrate" else "backup")
        hook.failed(what, failure, action, folder)
    return run
