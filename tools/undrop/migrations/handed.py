"""Which database a process of Django's is handed; a variable tells it, and what it starts."""

import json
import os
from typing import NamedTuple, Self

from undrop.values import Target

HANDED = "UNDROP_DJANGO"
"""The variable."""
SETTINGS = "undrop.migrations.django_settings"
"""The settings module that goes by it."""
MODULE = "DJANGO_SETTINGS_MODULE"


class Handed(NamedTuple):
    """The project's settings, and the database that is to be in them."""

    settings: str
    """Their module."""
    root: str
    """The project's folder."""
    url: str
    """Of the live database."""
    target: Target | None
    """What goes in its place; None where nothing is to be written."""

    @classmethod
    def given(cls) -> Self:
        """What the variable says. Raises KeyError, ValueError."""
        handed = cls(**json.loads(os.environ[HANDED]))
        return handed._replace(target=Target.of_json([*handed.target]) if handed.target else None)

    def hand_on(self) -> None:
        """Have the variable say it, and Django go by it."""
        os.environ[HANDED] = json.dumps(self._asdict())
        os.environ[MODULE] = SETTINGS
