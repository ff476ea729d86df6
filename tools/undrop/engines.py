"""Which engine a URL names."""

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

FAMILIES = {"sqlite": "lite", "postgresql": "postgres"}
"""By SQLAlchemy's name of the dialect, the package that answers for it."""
SUFFIXES = (".db", ".pgdump")
"""Of backups, whichever engine's: a folder may hold those from before the URL changed."""

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.engine import Engine


def choose(url: str, root: "Path", *, inside: bool, verify_url: str = "") -> "Engine":
    """The database that ``url`` names, relative paths taken from ``root``.

    ``inside`` says whether the backups are inside the project. Raises UsageError.
    """
    if family(url) == "postgresql":
        from undrop.postgres.engine import Postgres

        return Postgres(url, root, verify_url)
    from undrop.lite.engine import Sqlite

    return Sqlite(url, root, inside=inside)


def of_backup(engine: "Engine", path: "Path") -> "Engine":
    """The engine that a backup belongs to: ``engine`` itself, unless its name says otherwise."""
    if path.suffix == engine.suffix or path.suffix not in SUFFIXES:
        return engine
    other = "sqlite" if path.suffix == ".db" else "postgresql"
    return choose(f"{other}://", path.parent, inside=False)


def migrating(kind: str) -> Any:  # noqa: ANN401 - a module
    """What an engine has to say in Alembic's own process: ``lite.migrating`` or its like."""
    return import_module(f"undrop.{FAMILIES[kind]}.migrating")


def adopting(url: str) -> Any:  # noqa: ANN401 - a module
    """What an engine has to say when a project is adopted: ``lite.adopting`` or its like."""
    return import_module(f"undrop.{FAMILIES.get(family(url), 'lite')}.adopting")


def only_one(root: "Path") -> str:
    """The URL of the one database that lies in a project; empty when there are none or several."""
    found = filter(None, (adopting(kind).only(root) for kind in FAMILIES))
    return next(found, "")


def family(url: str) -> str:
    """SQLAlchemy's name of the dialect in a URL, as it is written there."""
    return re.split(r"[+:]", url, maxsplit=1)[0]
