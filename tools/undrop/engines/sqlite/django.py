"""A database of SQLite's as Django's settings have it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from undrop.values import Target


def url(database: dict[str, Any]) -> str:
    """SQLAlchemy's URL of an item of DATABASES; Django has SQLite read URIs."""
    from sqlalchemy.engine import URL

    name = str(database["NAME"])
    if name.startswith("file:"):
        return f"sqlite:///{name}{'&' if '?' in name else '?'}uri=true"
    where = None if name in {"", ":memory:"} else name
    return URL.create("sqlite", database=where).render_as_string(hide_password=False)


def handed(database: dict[str, Any], target: "Target") -> dict[str, Any]:
    """The item with another database in it, all else as it is."""
    return {**database, "NAME": target.database}


def is_at(cursor: Any, target: "Target") -> bool:  # noqa: ANN401 - Django's
    """Whether that is what is connected to."""
    cursor.execute("PRAGMA database_list")
    files = [row[2] for row in cursor.fetchall() if row[1] == "main"]
    return any(file and Path(file).samefile(target.database) for file in files)


def keep_others() -> None:
    """Nothing: the fence sees to it that no other file is written to."""


def refuse_shared(_connection: Any) -> None:  # noqa: ANN401 - Django's
    """Nothing: what a file has is its own."""
