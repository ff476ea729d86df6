"""A command of Django's that takes a backup of the database first that it is about to change."""

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core.management import find_commands
from django.db import DEFAULT_DB_ALIAS, connections, transaction

if TYPE_CHECKING:  # Django's own checks load commands: what they need is loaded when they run
    from undrop.hook import Run

OURS = "undrop"
"""The label of this application."""
LOOKS = ("plan", "check_unapplied")
"""Options of ``migrate`` with which it changes nothing."""
_at_work: set[str] = set()
"""Databases that a command here has backed up: what it calls in its turn is part of it."""


def command(name: str) -> Any:  # noqa: ANN401 - a class of Django's
    """The command of that name that would run without us, behind a backup."""
    theirs: Any = import_module(f"{_owner(name)}.management.commands.{name}").Command

    class Command(theirs):  # type: ignore[misc]  # known when it runs
        def execute(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            """Run it as it would have run; what comes with it goes through unchanged."""
            alias = options.get("database") or DEFAULT_DB_ALIAS
            run = None if alias in _at_work else _backed_up(name, alias, options)
            if run is None:
                return super().execute(*arguments, **options)
            _at_work.add(alias)
            try:
                return super().execute(*arguments, **options)
            finally:
                _at_work.discard(alias)
                _end(run, alias)

    Command.__doc__ = theirs.__doc__
    return Command


def _owner(name: str) -> str:
    """Whose it would be: the first application's that has one, else Django's own.

    As ``django.core.management.get_commands`` chooses.
    """
    for config in apps.get_app_configs():
        folder = str(Path(config.path, "management"))
        if config.label != OURS and name in find_commands(folder):
            return str(config.name)
    return "django.core"


def _backed_up(name: str, alias: str, options: dict[str, Any]) -> "Run | None":
    """The run that began with a backup; None where there was to be none. Never raises."""
    looks = any(options.get(option) for option in LOOKS)
    if looks or alias not in connections or _is_of_a_test(alias):
        return None
    try:
        from undrop.django import guard

        return guard.before(name, connections[alias], _folder)
    except Exception as error:  # noqa: BLE001 - the hook is soft by contract
        sys.stderr.write(f"undrop: NO BACKUP WAS TAKEN: {type(error).__name__}: {error}\n")
        return None


def _end(run: "Run", alias: str) -> None:
    """Have the run end when what it did is there for others to see."""
    if connections[alias].in_atomic_block:
        transaction.on_commit(run.ended, using=alias)
    else:
        run.ended()


def _is_of_a_test(alias: str) -> bool:
    names: dict[str, str] = apps.get_app_config(OURS).names
    # No test runner makes an alias; an application that has one for each tenant does.
    return alias in names and str(connections[alias].settings_dict["NAME"]) != names[alias]


def _folder() -> Path:
    """Where the settings are, from which the project's are found."""
    module = import_module(settings.SETTINGS_MODULE)
    return Path(str(module.__file__)).resolve().parent
