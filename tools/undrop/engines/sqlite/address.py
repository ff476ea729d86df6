"""Which file a URL names: what SQLAlchemy and SQLite would open."""

import os
import re
from pathlib import Path
from urllib.parse import parse_qs, unquote

from undrop.errors import UsageError
from undrop.recipes import Setting

SIMPLE_URL = re.compile(r"sqlite(?:\+pysqlite|\+aiosqlite)?:///([\w./-]+)", re.ASCII)
DRIVERS = {"sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"}
OFF = {"off", "no", "false", "0"}
USUAL_LOCKS = {"vfs": {"off", "unix"}, "nolock": OFF, "immutable": OFF}
"""Options of a URI that are about locks, and which values change nothing."""
HOW_TO_SET = Setting('url = "sqlite:///app.db"')


def database_path(url: str, root: Path) -> Path | None:
    """The file that SQLAlchemy would open for ``url``, relative paths taken from ``root``.

    None when the database would live in memory. Raises UsageError for anything but SQLite.
    """
    # SQLAlchemy's import costs more than a small backup; it is asked whenever a URL has a
    # character that its releases read in different ways.
    if simple := SIMPLE_URL.fullmatch(url):
        return _absolute(simple[1], root)
    name, is_uri = _sqlite_name(url)
    if is_uri and name.startswith("file:"):
        return _uri_path(name, root)
    return None if name in {"", ":memory:"} else _absolute(name, root)


def _sqlite_name(url: str) -> tuple[str, bool]:
    """What SQLAlchemy would give to ``sqlite3.connect``, and whether that is a URI.

    Raises UsageError.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
        if parsed.drivername not in DRIVERS:
            what = f"{parsed.drivername} is not supported: sqlite:// and postgresql:// are"
            raise UsageError(what, HOW_TO_SET)
        [name], options = parsed.get_dialect()().create_connect_args(parsed)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"not a database URL: {error}", HOW_TO_SET) from None
    return (str(name), True) if options.get("uri") else (parsed.database or "", False)


def _absolute(name: str, root: Path) -> Path:
    return Path(os.path.abspath(root / name))  # noqa: PTH100 - keeps symbolic links


def _uri_path(uri: str, root: Path) -> Path | None:
    """The file that SQLite opens for a ``file:`` URI (sqlite.org/uri.html, section 3)."""
    rest, _, query = uri.removeprefix("file:").partition("#")[0].partition("?")
    if rest.startswith("//"):
        authority, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        if authority not in {"", "localhost"}:
            raise UsageError(f"{uri}: SQLite takes no host but localhost", HOW_TO_SET)
    name = unquote(rest, errors="surrogateescape").partition("\0")[0]
    parameters = parse_qs(query)
    in_memory = parameters.get("mode") == ["memory"] or parameters.get("vfs") == ["memdb"]
    if in_memory or name in {"", ":memory:"}:
        return None
    _refuse_own_locks(uri, parameters)
    return _absolute(name, root)


def _refuse_own_locks(uri: str, parameters: dict[str, list[str]]) -> None:
    """Raise UsageError where SQLite is told to lock in another way than we would, or not at all.

    sqlite.org/uri.html, 3.3.
    """
    for name, usual in USUAL_LOCKS.items():
        value = parameters.get(name, ["off"])[0]
        if value.lower() not in usual:
            raise UsageError(
                f"{uri}: with {name}={value} neither undrop nor the application would see when the "
                "other one writes",
                "take that out of the URL, if the application can do without it",
            )
