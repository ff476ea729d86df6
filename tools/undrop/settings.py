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
from undrop.recipes import OWN_FILE, Setting, settings_place
from undrop.values import ANY_VERSION_TABLE, Session

if TYPE_CHECKING:
    from undrop.engines.protocol import Engine

T = TypeVar("T", str, bool, int)
HOW_TO_SET = Setting('url = "sqlite:///app.db"')


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
    alembic_section: str = "alembic"
    """Which section of it: ``alembic -n``."""
    migrate_command: str = ""
    """What migrates, where that is neither Alembic nor Django: a command's line."""
    migrate_url: str = ""
    """How that is told its database, if not by SQLAlchemy's URL (``engines.form``)."""
    migrate_create: str = ""
    """The command that makes an empty database, where it takes no empty file for one."""
    django: Path | None = None
    """Where ``manage.py`` is, where Django migrates."""

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
        """Where this user's vaults are."""
        return vaults()

    @property
    def migrates(self) -> bool:
        """Whether anything is known that migrates it."""
        return bool(self.migrate_command or self.django or self.alembic_files)

    @property
    def alembic_files(self) -> dict[str, Any]:
        """What ``alembic.config.Config`` takes to read the configuration; empty without one."""
        toml = self.alembic_ini.with_name("pyproject.toml")  # where Alembic looks, too
        is_ini = self.alembic_ini != toml and self.alembic_ini.is_file()
        files = {"file_": self.alembic_ini} if is_ini else {}
        if "alembic" in tools(toml.parent):
            files["toml_file"] = toml  # since Alembic 1.16
        section = {"ini_section": self.alembic_section} if self.alembic_section != "alembic" else {}
        return {name: str(path) for name, path in files.items()} | (section if files else {})


def vaults() -> Path:
    """Where a user's vaults are, on macOS too, where earlier ones made it."""
    return Unix("undrop").user_state_path


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
    return {"url": url, "url-variable": "", "env-file": ""}


def of(root: Path, table: dict[str, Any], session: Session | None = None) -> Settings:
    """Settings of the project in ``root``, ``table`` being what its file has, or will."""
    place = settings_place(root)

    def value(key: str, default: T) -> T:
        given = table.get(key, default)
        if type(given) is not type(default):
            kind = {str: "text", bool: "true or false", int: "a whole number"}[type(default)]
            raise UsageError(f"{key} in {place} must be {kind}, not {given!r}", "correct it")
        return given

    variable, env_file = value("url-variable", ""), value("env-file", "")
    form = value("migrate-url", "")
    url = _url(root, variable, env_file, value("url", ""), form)
    alembic_ini = root / value("alembic", "alembic.ini")
    file = root / env_file
    # From where Alembic is called, and reads it, a path in it is a path from there.
    inside = file.parent == alembic_ini.parent != root
    if env_file and inside and url == registry.url(_in(file, variable) or "", form):
        url = _absolute(url, file.parent)
    backups = root / value("backups", "backups")
    verify_url = value("verify-url", "")
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
        vault=value("vault", True),  # noqa: FBT003 - the default
        vault_copy_limit=value("vault-copy-limit", 100_000_000),
        litestream=root / replica if (replica := value("litestream", "")) else None,
        reroute=value("reroute", False),  # noqa: FBT003 - the default
        alembic_ini=alembic_ini,
        alembic_section=value("alembic-section", "alembic"),
        migrate_command=value("migrate-command", ""),
        migrate_url=form,
        migrate_create=value("migrate-create", ""),
        django=root / manage if (manage := value("django", "")) else None,
    )
    _refuse_folder(project)
    engine = project.engine
    table_name = version_table.remembered(backups, engine.source)
    if project.migrate_command or not (project.alembic_files or project.django):
        table_name = ANY_VERSION_TABLE
    elif project.django:
        table_name = version_table.DJANGOS
    engine.session.version_table = table_name
    return project


def _url(root: Path, variable: str, env_file: str, url: str, form: str) -> str:
    """What the environment says, else the dotenv file, else the settings. Raises UsageError.

    What a variable says may have the ``form`` that the project's own tool takes.
    """
    if env_file and not variable:
        raise UsageError(
            f"env-file in {settings_place(root)} is {env_file}, and nothing says which variable "
            "in it is the URL",
            Setting('url-variable = "DATABASE_URL"'),
        )
    if variable and (given := os.environ.get(variable)):
        return registry.url(given, form)
    if env_file and (given := _in(root / env_file, variable)):
        return registry.url(given, form)
    if url:
        return url
    if not variable:
        raise UsageError("no database is configured", HOW_TO_SET)
    where = f"nor in {root / env_file}, " if env_file else ""
    raise UsageError(
        f"no database is configured: {variable} is not in the environment, {where}and there is "
        "no url in the settings",
        f"set {variable}" + (f" in {env_file}" if env_file else ""),
    )


def _in(file: Path, variable: str) -> str | None:
    """What a dotenv file sets a variable to; a file that is not there sets none."""
    from dotenv import dotenv_values

    try:
        return dotenv_values(file).get(variable)
    except ValueError as error:
        raise UsageError(f"{file} is not UTF-8: {error}", f"correct {file}") from None


def _absolute(url: str, folder: Path) -> str:
    """The same database wherever it is typed; a relative path is from ``folder``."""
    named = registry.choose(url, folder, inside=False, verify_url="", session=Session())
    return named.url().render_as_string(hide_password=False)


def _refuse_folder(project: Settings) -> None:
    """Raise UsageError for a folder of backups that holds what is none: it is closed to others."""
    real, live = Path(os.path.realpath(project.backups)), project.engine.file
    own = Setting('backups = "backups"')
    if Path(os.path.realpath(project.root)).is_relative_to(real):
        raise UsageError(
            f"{real} is no folder for backups: the project is in it", own, ": a folder of its own"
        )
    if live and live.is_relative_to(real):
        raise UsageError(
            f"the live database {live} is inside {real}, where its backups go",
            own,
            ": a folder of its own; or move the database and let the URL name it",
        )


def _find(start: Path) -> tuple[Path, dict[str, Any]]:
    for folder in (start, *start.parents):
        if (settings := table(folder)) is not None:
            return folder, settings
    raise UsageError(
        f"no [tool.undrop] in a pyproject.toml, and no {OWN_FILE}, in {start} or above", HOW_TO_SET
    )


def table(folder: Path) -> dict[str, Any] | None:
    """What undrop.toml, or ``[tool.undrop]``, in a folder says; None where there is neither.

    Raises UsageError, also where both are there.
    """
    own, settings = _toml(folder / OWN_FILE), tools(folder).get("undrop")
    if not isinstance(settings, dict):
        return own
    if own is None:
        return settings
    raise UsageError(
        f"{folder} has settings in {OWN_FILE} and in [tool.undrop] of pyproject.toml",
        "keep one of them",
    )


def tools(folder: Path) -> dict[str, Any]:
    """The tables of ``[tool]`` in a folder's pyproject.toml. Raises UsageError."""
    tables = (_toml(folder / "pyproject.toml") or {}).get("tool")
    return tables if isinstance(tables, dict) else {}


def _toml(file: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except FileNotFoundError:
        return None
    except ValueError as error:  # TOML's and UTF-8's
        raise UsageError(f"{file} is not valid TOML: {error}", f"correct {file}") from None
