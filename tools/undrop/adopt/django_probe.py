"""Which databases a Django project has, and by which settings. Run by the project's own Python.

``django_probe.py JSON`` with a question; prints an answer in JSON. ``manage.py`` is run up to where
it would run a command; what its settings write is refused.
"""

import os
import runpy
import sys
from pathlib import Path
from typing import Any

from django.core.management import ManagementUtility

sys.path.insert(0, str(Path(__file__).parent))
from projectside import main, ours  # type: ignore[import-not-found]  # there may be no undrop

sys.path.pop(0)
Fence = ours("engines/sqlite/fence.py").Fence


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """``file``: the settings module's; ``databases``: DATABASES, as JSON can have them.

    ``is_class``: whether the settings are no module's, but a class's; ``shape``: why INSTALLED_APPS
    cannot be added to there, where ours is not ``installed``; ``failure``: what failed.
    """
    told: dict[str, Any] = {"databases": {}, "failure": "manage.py runs no command", "made": []}
    fence = Fence("", [], question["root"])
    fence.install()

    def execute(_utility: object) -> None:
        told.update(_settings(), failure="")

    sys.argv = [question["manage"], "migrate"]
    ManagementUtility.execute = execute
    try:
        runpy.run_path(question["manage"], run_name="__main__")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is anybody's code
        if not isinstance(error, SystemExit) or error.code:
            told["failure"] = f"{type(error).__name__}: {error}"
    if refused := fence.refused():
        told["failure"] = f"refused: {refused[0]}"
    return {**told, "made": fence.left()}


def _settings() -> dict[str, Any]:
    from django.conf import settings
    from django.db.utils import load_backend

    databases = {}
    for alias, database in settings.DATABASES.items():
        engine = database.get("ENGINE")
        if engine and engine != "django.db.backends.dummy":  # what Django makes of an empty one
            vendor = load_backend(engine).DatabaseWrapper.vendor
            options = database.get("OPTIONS") or {}
            databases[alias] = {
                **{name: _text(database[name]) for name in NAMES if name in database},
                "OPTIONS": {name: _text(value) for name, value in options.items() if _plain(value)},
                "vendor": vendor,
            }
    module = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
    return {
        "file": getattr(module, "__file__", None) or "",
        "databases": databases,
        "is_class": "DJANGO_CONFIGURATION" in os.environ,
        "shape": _shape(module, settings),
        "installed": any(app.startswith("undrop.django") for app in settings.INSTALLED_APPS),
    }


NAMES = ("NAME", "USER", "PASSWORD", "HOST", "PORT")


def _plain(value: object) -> bool:
    return isinstance(value, str | int | Path)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _shape(module: object, settings: Any) -> str:  # noqa: ANN401 - Django's
    """Why the lines of ours at the module's end would not do; empty where they would."""
    installed: Any = getattr(module, "INSTALLED_APPS", None)
    if type(installed) not in {list, tuple}:
        return f"INSTALLED_APPS is no list there, but {type(installed).__name__}"
    if [*installed] != [*settings.INSTALLED_APPS]:
        return "Django's INSTALLED_APPS are not those of its settings' module"
    return ""


if __name__ == "__main__":
    main(answer)
