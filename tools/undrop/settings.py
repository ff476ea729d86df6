"""Which database, which folder: the one place that reads the URL."""

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from blake3 import blake3
from platformdirs.unix import Unix

from undrop import version_table
from undrop.engines import registry
from undrop.errors import UsageError
from undrop.values import Session

if TYPE_CHECKING:
    from undrop.engines.protocol import Engine

T = TypeVar("T", str, bool, int)
HOW_TO_SET = 'set `url = "sqlite:///app.db"` in [tool.undrop] of pyproject.toml'


class Settings(NamedTuple):
    """One project: where it is, which database it has, where its backups go."""

    root: Path
    url: str
    variable: str
    backups: Path
    engine: "Engine"
    """What answers for the database."""
    vault: bool = True
    """Whether backups get a second name outside the project."""
    vault_copy_limit: int = 100_000_000
    """Bytes of a backup that is copied there when it cannot be linked."""
    verify_url: str = ""
    """Where scratch databases are made, if not on the live database's server."""
    litestream: Path | None = None
    """Litestream's configuration, where it is neither beside the project nor in /etc."""
    reroute: bool = False
    """Whether a migration that opens the live database itself is handed the work copy."""
    alembic_ini: Path = Path("alembic.ini")
    """Where Alembic's configuration is, if it is in a file of its own."""

    @property
    def source(self) -> str:
        """How records name this database."""
        return self.engine.source

    @property
    def vault_folder(self) -> Path | None:
        """Where this project's vault is, whether it exists or not; None when it is turned off.

        ``$XDG_STATE_HOME/undrop/PROJECT``; PROJECT is the folder's name and a hash of its path.
        """
        if not self.vault:
            return None
        mark = blake3(os.fsencode(self.root)).hexdigest(length=6)
        return self.vaults / f"{self.root.name}-{mark}"

    @property
    def vaults(self) -> Path:
        """Where this user's vaults are, on macOS too, where earlier ones made it."""
        return Unix("undrop").user_state_path

    @property
    def alembic_files(self) -> dict[str, Any]:
        """What ``alembic.config.Config`` takes to read the configuration; empty without one."""
        files = {"file_": self.alembic_ini} if self.alembic_ini.is_file() else {}
        if "alembic" in tools(self.root):
            files["toml_file"] = self.root / "pyproject.toml"  # since Alembic 1.16
        return {name: str(path) for name, path in files.items()}


def load(
    start: Path, session: Session | None = None, instead: dict[str, Any] | None = None
) -> Settings:
    """Settings of the project that ``start`` (a folder) is in.

    ``session`` is the command that works on it; a look at them needs none. ``instead``: what is
    otherwise than it is written there.

    Raises UsageError when there is no project, no URL, or a URL of another engine.
    """
    root, table = _find(start.resolve())
    return of(root, {**table, **(instead or {})}, session)


def of_url(url: str) -> dict[str, Any]:
    """``load``'s ``instead`` for another database of the project's."""
    return {"url": url, "url-variable": ""}


def of(root: Path, table: dict[str, Any], session: Session | None = None) -> Settings:
    """Settings of the project in ``root``, ``table`` being what ``[tool.undrop]`` has, or will."""
    variable = _value(table, "url-variable", "")
    url = (os.environ.get(variable) if variable else None) or _value(table, "url", "")
    if not url:
        raise UsageError("no database is configured", HOW_TO_SET)
    backups = root / _value(table, "backups", "backups")
    verify_url = _value(table, "verify-url", "")
    project = Settings(
        root=root,
        url=url,
        variable=variable,
        backups=backups,
        engine=registry.choose(
            url,
            root,
            inside=backups.is_relative_to(root),
            verify_url=verify_url,
            session=session or Session(),
        ),
        verify_url=verify_url,
        vault=_value(table, "vault", True),  # noqa: FBT003 - the default
        vault_copy_limit=_value(table, "vault-copy-limit", 100_000_000),
        litestream=root / replica if (replica := _value(table, "litestream", "")) else None,
        reroute=_value(table, "reroute", False),  # noqa: FBT003 - the default
        alembic_ini=root / _value(table, "alembic", "alembic.ini"),
    )
    _refuse_folder(project)
    engine = project.engine
    engine.session.version_table = version_table.remembered(backups, engine.source)
    return project


def _refuse_folder(project: Settings) -> None:
    """Raise UsageError for a folder of backups that holds what is none: it is closed to others."""
    real, live = Path(os.path.realpath(project.backups)), project.engine.file
    own = 'set `backups = "backups"` in [tool.undrop]: a folder of its own'
    if Path(os.path.realpath(project.root)).is_relative_to(real):
        raise UsageError(f"{real} is no folder for backups: the project is in it", own)
    if live and live.is_relative_to(real):
        raise UsageError(
            f"the live database {live} is inside {real}, where its backups go",
            f"{own}, or move the database and let the URL name it",
        )


def _find(start: Path) -> tuple[Path, dict[str, Any]]:
    for folder in (start, *start.parents):
        table = tools(folder).get("undrop")
        if isinstance(table, dict):
            return folder, table
    raise UsageError(f"no [tool.undrop] in a pyproject.toml in {start} or above", HOW_TO_SET)


def tools(folder: Path) -> dict[str, Any]:
    """The tables of ``[tool]`` in a folder's pyproject.toml. Raises UsageError."""
    file = folder / "pyproject.toml"
    try:
        tables = tomllib.loads(file.read_bytes().decode()).get("tool")
    except FileNotFoundError:
        return {}
    except ValueError as error:  # TOML's and UTF-8's
        raise UsageError(f"{file} is not valid TOML: {error}", f"correct {file}") from None
    return tables if isinstance(tables, dict) else {}


def _value(table: dict[str, Any], key: str, default: T) -> T:
    value = table.get(key, default)
    if type(value) is not type(default):
        kind = {str: "text", bool: "true or false", int: "a whole number"}[type(default)]
        raise UsageError(f"[tool.undrop] {key} must be {kind}, not {value!r}", "correct it")
    return value
