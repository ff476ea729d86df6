"""The settings of a Django project, with a work copy where they have the live database."""

from importlib import import_module
from pathlib import Path
from typing import Any

from undrop.engines import registry
from undrop.errors import UsageError
from undrop.migrations.handed import Handed
from undrop.values import Session


def _aliases(databases: dict[str, Any], url: str, root: Path) -> list[str]:
    """Those of Django's databases that are the one of that URL."""
    live = registry.choose(url, root, inside=False, verify_url="", session=Session())
    named = registry.django(live.kind)
    aliases = []
    for name, database in databases.items():
        try:
            own = named.url(database)
            there = registry.choose(own, Path.cwd(), inside=False, verify_url="", session=Session())
        except (KeyError, ValueError, UsageError):  # of another kind
            continue
        if registry.is_same(live, there):
            aliases.append(name)
    return aliases


_handed = Handed.given()
_theirs = import_module(_handed.settings)
globals().update({name: getattr(_theirs, name) for name in dir(_theirs) if name.isupper()})

DATABASES: dict[str, Any] = {**getattr(_theirs, "DATABASES", {})}
aliases = _aliases(DATABASES, _handed.url, Path(_handed.root))
"""The databases that are handed on."""
if _handed.target:
    kind = registry.scheme(_handed.url)
    for alias in aliases:
        DATABASES[alias] = registry.django(kind).handed(DATABASES[alias], _handed.target)
