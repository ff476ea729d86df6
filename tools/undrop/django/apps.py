"""What Django learns of it at its start, and it of Django's databases."""

from typing import Any

from django.apps import AppConfig
from django.db import connections


class UndropConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """``undrop.django``."""

    name = "undrop.django"
    label = "undrop"
    verbose_name = "undrop"

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - Django's own
        super().__init__(*arguments)
        self.names: dict[str, str] = {}
        """The databases' names at the start: a test runner gives a connection another one."""

    def ready(self) -> None:
        """Remember which databases the settings name; none is connected to."""
        self.names = {
            alias: str(settings["NAME"]) for alias, settings in connections.settings.items()
        }
