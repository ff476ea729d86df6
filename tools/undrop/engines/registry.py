"""Which engine a URL names."""

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.engines.protocol import Engine

FAMILIES = {"sqlite": "sqlite", "postgresql": "postgres"}
"""By SQLAlchemy's name of the dialect, the package that answers for it."""
SUFFIXES = {".db": "sqlite", ".pgdump": "postgresql"}
"""Of backups, whose they are: a folder may hold those from before the URL changed."""
OTHERS = "sqlite"  # says of any other URL that it is not supported


def choose(url: str, root: "Path", *, inside: bool, verify_url: str = "") -> "Engine":
    """The database that ``url`` names, relative paths taken from ``root``.

    ``inside`` says whether the backups are inside the project. Raises UsageError.
    """
    module = import_module(f"undrop.engines.{FAMILIES.get(family(url), OTHERS)}.engine")
    found: Engine = module.of_url(url, root, inside=inside, verify_url=verify_url)
    return found


def of_backup(engine: "Engine", path: "Path", verify_url: str = "") -> "Engine":
    """The engine that a backup belongs to: ``engine`` itself, unless its name says otherwise.

    Another one knows of no live database, and of a server only by ``verify_url``.
    """
    if path.suffix == engine.suffix or path.suffix not in SUFFIXES:
        return engine
    module = import_module(f"undrop.engines.{FAMILIES[SUFFIXES[path.suffix]]}.engine")
    other: Engine = module.of_backups(verify_url)
    return other


def migrating(kind: str) -> Any:  # noqa: ANN401 - a module
    """What an engine has to say in Alembic's own process: ``sqlite.migrating`` or its like."""
    return import_module(f"undrop.engines.{FAMILIES[kind]}.migrating")


def adopting(url: str) -> Any:  # noqa: ANN401 - a module
    """What an engine has to say when a project is adopted: ``sqlite.adopting`` or its like."""
    return import_module(f"undrop.engines.{FAMILIES.get(family(url), OTHERS)}.adopting")


def only_one(root: "Path") -> str:
    """The URL of the one database that lies in a project; empty when there are none or several."""
    found = filter(None, (adopting(kind).only(root) for kind in FAMILIES))
    return next(found, "")


def family(url: str) -> str:
    """SQLAlchemy's name of the dialect in a URL, as it is written there."""
    return re.split(r"[+:]", url, maxsplit=1)[0]
