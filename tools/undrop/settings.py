"""Which database, which folder: the one place that reads the URL."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from undrop.errors import UsageError

T = TypeVar("T", str, bool, int)
SIMPLE_URL = re.compile(r"sqlite(?:\+pysqlite|\+aiosqlite)?:///([\w./-]+)", re.ASCII)
SIMPLE_LINE = re.compile(
    r"""([\w-]+)\s*=\s*(?:"([^"\\\x00-\x1f\x7f]*)"|(true|false)|(\d+(?:_\d+)*))\s*(?:\#.*)?|\s*(?:\#.*)?""",
    re.ASCII | re.VERBOSE,
)
DRIVERS = {"sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"}
HOW_TO_SET = 'set `url = "sqlite:///app.db"` in [tool.undrop] of pyproject.toml'


class Settings(NamedTuple):
    """One project: where it is, which database it has, where its backups go."""

    root: Path
    url: str
    variable: str
    backups: Path
    database: Path | None
    """The file as the URL names it; None for a database that lives in memory."""
    vault: bool = True
    """Whether backups get a second name outside the project."""
    vault_copy_limit: int = 100_000_000
    """Bytes of a backup that is copied there when it cannot be linked."""
    alembic_ini: Path = Path("alembic.ini")
    """Where Alembic's configuration is, if it is in a file of its own."""

    @property
    def live(self) -> Path:
        """The database file itself, symbolic links followed as SQLite does.

        SQLite keeps ``-wal`` and ``-journal`` beside the target of a link, not beside the link.
        """
        if self.database is None:
            raise UsageError(
                f"{self.url} is in memory: there is no file to change", f"{HOW_TO_SET}, or a URL"
            )
        return Path(os.path.realpath(self.database))

    @property
    def source(self) -> str:
        """How records name this database: relative when it is inside the project.

        A project that was moved, or cloned by somebody else, keeps its backups' identity; unless
        they are kept outside of it, where another project's may be, too.
        """
        path = self.database or Path(":memory:")
        inside = path.is_relative_to(self.root) and self.backups.is_relative_to(self.root)
        return str(path.relative_to(self.root) if inside else path)

    @property
    def alembic_files(self) -> dict[str, Any]:
        """What ``alembic.config.Config`` takes to read the configuration; empty without one."""
        toml = self.root / "pyproject.toml"
        found = {"file_": self.alembic_ini} if self.alembic_ini.is_file() else {}
        if toml.is_file() and b"[tool.alembic" in toml.read_bytes():
            found["toml_file"] = toml  # since Alembic 1.16
        return {name: str(path) for name, path in found.items()}


def load(start: Path) -> Settings:
    """Settings of the project that ``start`` (a folder) is in.

    Raises UsageError when there is no project, no URL, or a URL of another engine.
    """
    root, table = _find(start.resolve())
    variable = _value(table, "url-variable", "")
    url = (os.environ.get(variable) if variable else None) or _value(table, "url", "")
    if not url:
        raise UsageError("no database is configured", HOW_TO_SET)
    return Settings(
        root=root,
        url=url,
        variable=variable,
        backups=root / _value(table, "backups", "backups"),
        database=database_path(url, root),
        vault=_value(table, "vault", True),  # noqa: FBT003 - the default
        vault_copy_limit=_value(table, "vault-copy-limit", 100_000_000),
        alembic_ini=root / _value(table, "alembic", "alembic.ini"),
    )


def _find(start: Path) -> tuple[Path, dict[str, Any]]:
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            continue
        table = _simple_table(text) or _table(file, text)
        if isinstance(table, dict):
            return folder, table
    raise UsageError(f"no [tool.undrop] in a pyproject.toml in {start} or above", HOW_TO_SET)


def _table(file: Path, text: bytes) -> object:
    import tomllib

    try:
        return tomllib.loads(text.decode()).get("tool", {}).get("undrop")
    except ValueError as error:  # TOML's and UTF-8's
        raise UsageError(f"{file} is not valid TOML: {error}", f"correct {file}") from None


def _simple_table(text: bytes) -> dict[str, Any] | None:
    """``[tool.undrop]`` where it is as plain as in the README; None for the parser to read.

    Loading the parser costs a tenth of a small backup, and reading a long file more than that.
    """
    lines = b"\n" + text.replace(b"\r\n", b"\n")
    before, header, rest = lines.partition(b"\n[tool.undrop]\n")
    section = rest.partition(b"\n[")[0]
    if not header or b'"""' in before or b"'''" in before or not section.isascii():
        return None  # the line may be inside a text
    table: dict[str, Any] = {}
    for line in section.decode().split("\n"):
        found = SIMPLE_LINE.fullmatch(line)
        if found is None or found[1] in table:
            return None
        key, words, truth, number = found.groups()
        if key:
            table[key] = int(number) if number else truth == "true" if truth else words
    return table


def _value(table: dict[str, Any], key: str, default: T) -> T:
    value = table.get(key, default)
    if type(value) is not type(default):
        kind = {str: "text", bool: "true or false", int: "a whole number"}[type(default)]
        raise UsageError(f"[tool.undrop] {key} must be {kind}, not {value!r}", "correct it")
    return value


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
            raise UsageError(f"{parsed.drivername} is not supported, only SQLite is", HOW_TO_SET)
        [name], options = parsed.get_dialect()().create_connect_args(parsed)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"not a database URL: {error}", HOW_TO_SET) from None
    return (str(name), True) if options.get("uri") else (parsed.database or "", False)


def _absolute(name: str, root: Path) -> Path:
    return Path(os.path.abspath(root / name))  # noqa: PTH100 - keeps symbolic links


def _uri_path(uri: str, root: Path) -> Path | None:
    """The file that SQLite opens for a ``file:`` URI (sqlite.org/uri.html, section 3)."""
    from urllib.parse import parse_qs, unquote

    rest, _, query = uri.removeprefix("file:").partition("#")[0].partition("?")
    if rest.startswith("//"):
        authority, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        if authority not in {"", "localhost"}:
            raise UsageError(f"{uri}: SQLite takes no host but localhost", HOW_TO_SET)
    name = unquote(rest, errors="surrogateescape").partition("\0")[0]
    parameters = parse_qs(query)
    in_memory = parameters.get("mode") == ["memory"] or parameters.get("vfs") == ["memdb"]
    return None if in_memory or name in {"", ":memory:"} else _absolute(name, root)
