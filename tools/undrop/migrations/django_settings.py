"""The settings of a Django project, with a work copy where they have the live database."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop.engines import registry
from undrop.errors import UsageError
from undrop.migrations.handed import Handed
from undrop.values import Session

if TYPE_CHECKING:
    from undrop.engines.protocol import Engine


def _named(url: str, folder: Path) -> "Engine":
    return registry.choose(url, folder, inside=False, verify_url="", session=Session())


def _aliases(databases: dict[str, Any], live: "Engine") -> list[str]:
    """Those of Django's databases that are the live one."""
    aliases = []
    for name, database in databases.items():
        try:
            there = _named(registry.django(live.kind).url(database), Path.cwd())
        except (KeyError, ValueError, UsageError):  # of another kind
            continue
        if registry.is_same(live, there):
            aliases.append(name)
    return aliases


_handed = Handed.given()
_theirs = import_module(_handed.settings)
globals().update({name: getattr(_theirs, name) for name in dir(_theirs) if name.isupper()})

DATABASES: dict[str, Any] = {**getattr(_theirs, "DATABASES", {})}
_live = _named(_handed.url, Path(_handed.root))
aliases = _aliases(DATABASES, _live)
"""The databases that are handed on."""
if _handed.target:
    _of_engine = registry.django(_live.kind)
    DATABASES |= {name: _of_engine.handed(DATABASES[name], _handed.target) for name in aliases}
