"""Which database, which folder: the one place that reads the URL."""

import os
import re
import tomllib
from contextlib import suppress
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
    from collections.abc import Iterator

    from undrop.engines.protocol import Engine

T = TypeVar("T", str, bool, int)
HOW_TO_SET = Setting('url = "sqlite:///app.db"')
DEFAULT = "default"
"""The name of the database whose URL is at the top."""
INSTEAD = "UNDROP_INSTEAD"
"""Settings for ``--instead``; a password may be in them, which has no place in arguments."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*", re.ASCII)
"""Of another: a plain word, which is no option either."""
KINDS = ("agent", "automatic")
"""What the table of rules for what is kept may have."""
KEYS = ("url", "url-variable", "env-file")
"""What the table of a database may have."""


class Database(NamedTuple):
    """How one of a project's databases is written down."""

    name: str
    url: str
    variable: str
    env_file: str


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
    plain: int = 3
    """How many of a database's newest states are not packed."""
    plain_days: int = 30
    """How long a backup with a reason of somebody's own is not."""
    pack_limit: int = 512_000_000
    """Bytes of a backup that is packed against another one; above, each one by itself."""
    verify_url: str = ""
    """Where scratch databases are made, if not on the live database's server."""
    trust_code: bool = False
    """Whether anybody's code in the database may run as the user of the URL, on a server of
    PostgreSQL's."""
    litestream: Path | None = None
    """Litestream's configuration, where it is neither beside the project nor in /etc."""
    reroute: bool = False
    """Whether a migration that opens the live database itself is handed the work copy."""
    alembic_ini: Path = Path("alembic.ini")
    """Where Alembic's configuration is, if it is in a file of its own."""
    alembic_section: str = "alembic"
    """Which section of it: ``alembic -n``."""
    alembic_command: str = ""
    """The project's own that runs Alembic, where Alembic by itself cannot load ``env.py``."""
    migrate_command: str = ""
    """What migrates, where that is neither Alembic nor Django: a command's line."""
    migrate_url: str = ""
    """How that is told its database, if not by SQLAlchemy's URL (``engines.form``)."""
    migrate_create: str = ""
    """The command that makes an empty database, where it takes no empty file for one."""
    django: Path | None = None
    """Where ``manage.py`` is, where Django migrates."""
    after_backup: str = ""
    """A line for a shell that is run for every backup, once it has its name."""
    keep: dict[str, str] = {}  # noqa: RUF012 - a tuple's default, nobody writes to it
    """Which backups stay, by their kind (``steps.thin``), as ``store.retention`` reads it."""
    name: str = DEFAULT
    """Which of the project's databases it is."""
    databases: tuple[Database, ...] = ()
    """All that are written down, the default first."""

    @property
    def source(self) -> str:
        """How records name this database."""
        return self.engine.source

    @property
    def names(self) -> list[str]:
        """Of all databases, the default first."""
        return [database.name for database in self.databases]

    @property
    def told(self) -> str:
        """What a prompt is told about which one it is: nothing where it is the default."""
        return "" if self.name == DEFAULT else self.name

    @property
    def called(self) -> str:
        """What a line about it begins with, where the project has several."""
        return f"{self.name}: " if len(self.databases) > 1 else ""

    def note(self, name: str) -> Path:
        """Where in ``backups/`` the notes of that ``name`` are that are about this database."""
        own = "" if self.name == DEFAULT else f".{self.name}"
        return self.backups / f"{name}{own}.json"

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
    def folders(self) -> list[Path]:
        """Where its backups are: ``backups/``, and the vault unless that is turned off."""
        return [folder for folder in (self.backups, self.vault_folder) if folder]

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
    start: Path,
    session: Session | None = None,
    instead: dict[str, Any] | None = None,
    name: str = DEFAULT,
) -> Settings:
    """Settings of the project that ``start`` (a folder) is in, for the database of that ``name``.

    ``session`` is the command that works on it; a look at them needs none. ``instead``: what is
    otherwise than it is written there.

    Raises UsageError when there is no project, no URL, or a URL of another engine.
    """
    root, table = _find(start.resolve())
    return of(root, {**table, **(instead or {})}, session, name)


def of_url(url: str) -> dict[str, Any]:
    """``load``'s ``instead`` for another database of the project's."""
    return {"url": url, "url-variable": "", "env-file": ""}


def of(
    root: Path, table: dict[str, Any], session: Session | None = None, name: str = DEFAULT
) -> Settings:
    """Settings of the project in ``root``, ``table`` being what its file has, or will."""
    place = settings_place(root)

    def value(key: str, default: T) -> T:
        return _value(table, key, default, place)

    databases = _databases(table, place)
    database = _named(databases, name, place)
    alembic_ini = root / value("alembic", "alembic.ini")
    backups = root / value("backups", "backups")
    verify_url = value("verify-url", "")
    form = value("migrate-url", "")
    url = _url(root, database, alembic_ini, form)
    project = Settings(
        root=root,
        url=url,
        variable=database.variable,
        backups=backups,
        engine=_engine(root, url, backups, verify_url, session or Session()),
        verify_url=verify_url,
        trust_code=value("trust-code", False),  # noqa: FBT003 - the default
        vault=value("vault", True),  # noqa: FBT003 - the default
        vault_copy_limit=value("vault-copy-limit", 100_000_000),
        plain=value("plain", 3),
        plain_days=value("plain-days", 30),
        pack_limit=value("pack-limit", 512_000_000),
        litestream=root / replica if (replica := value("litestream", "")) else None,
        reroute=value("reroute", False),  # noqa: FBT003 - the default
        alembic_ini=alembic_ini,
        alembic_section=value("alembic-section", "alembic"),
        alembic_command=value("alembic-command", ""),
        migrate_command=value("migrate-command", ""),
        migrate_url=form,
        migrate_create=value("migrate-create", ""),
        django=root / manage if (manage := value("django", "")) else None,
        after_backup=value("after-backup", ""),
        keep=_keep(table, place),
        name=name,
        databases=databases,
    )
    _settle(project)
    _refuse_twice(project)
    return project


def another(project: Settings, name: str) -> Settings:
    """The same project, for its database of that ``name``; the command goes on, with its session.

    Raises UsageError where there is no URL for it, or one of another engine.
    """
    if name == project.name:
        return project
    database = _named(project.databases, name, settings_place(project.root))
    url = _url(project.root, database, project.alembic_ini, project.migrate_url)
    session = project.engine.session.beside()
    engine = _engine(project.root, url, project.backups, project.verify_url, session)
    other = project._replace(name=name, url=url, variable=database.variable, engine=engine)
    _settle(other)
    return other


def every(project: Settings) -> list[Settings]:
    """The project's databases, the default first. Raises UsageError as ``another`` does."""
    return [another(project, name) for name in project.names]


def known(project: Settings) -> "Iterator[Settings]":
    """Those of the project's databases whose URL is known here, this one among them."""
    for name in project.names:
        with suppress(UsageError):
            yield another(project, name)


def _value(table: dict[str, Any], key: str, default: T, place: str) -> T:
    given = table.get(key, default)
    if type(given) is not type(default):
        kind = {str: "text", bool: "true or false", int: "a whole number"}[type(default)]
        raise UsageError(f"{key} in {place} must be {kind}, not {given!r}", "correct it")
    return given


def _keep(table: dict[str, Any], place: str) -> dict[str, str]:
    """The rule for each kind of backups; none where all are kept. Raises UsageError."""
    given = table.get("keep", "all")
    if given == "all":
        return {}
    if not isinstance(given, dict):
        what = f'keep in {place} must be "all" or a table, not {given!r}'
        raise UsageError(what, Setting('keep = {agent = "7d", automatic = "30 daily, 12 monthly"}'))
    if unknown := sorted({*given} - {*KINDS}):
        what = f"keep of {place} has {', '.join(unknown)}: it may have {', '.join(KINDS)}"
        raise UsageError(what, "correct it")
    return {kind: _value(given, kind, "all", f"keep of {place}") for kind in given}


def _databases(table: dict[str, Any], place: str) -> tuple[Database, ...]:
    """All that are written down, the one at the top first. Raises UsageError."""
    tables = table.get("databases", {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise UsageError(f"databases in {place} must be tables, one for each", "correct it")
    databases = []
    for name, own in {DEFAULT: table, **tables}.items():
        if own is not table and (name == DEFAULT or not NAME.fullmatch(name)):
            taken = "is the one at the top" if name == DEFAULT else "is no plain word"
            raise UsageError(f"databases.{name} in {place}: {name!r} {taken}", "rename it")
        within = place if own is table else f"databases.{name} of {place}"
        if own is not table and (unknown := sorted({*own} - {*KEYS})):
            what = f"{within} has {', '.join(unknown)}: it may have {', '.join(KEYS)}"
            raise UsageError(what, "correct it")
        url, variable, env_file = (_value(own, key, "", within) for key in KEYS)
        databases.append(Database(name, url, variable, env_file))
    return tuple(databases)


def _named(databases: tuple[Database, ...], name: str, place: str) -> Database:
    by_name = {database.name: database for database in databases}
    if name in by_name:
        return by_name[name]
    from difflib import get_close_matches

    near = get_close_matches(name, by_name, 1, 0.0)
    names = ", ".join([*near, *(other for other in by_name if other not in near)])
    raise UsageError(f"there is no database {name!r} in {place}: {names}", "type one of these")


def _engine(root: Path, url: str, backups: Path, verify_url: str, session: Session) -> "Engine":
    inside = backups.is_relative_to(root)
    return registry.choose(url, root, inside=inside, verify_url=verify_url, session=session)


def _settle(project: Settings) -> None:
    """What is to be known of a database before anything is done. Raises UsageError."""
    _refuse_folder(project)
    engine = project.engine
    if project.django and not project.migrate_command:
        table_name = version_table.DJANGOS
    elif project.migrate_command or not project.alembic_files:
        table_name = ANY_VERSION_TABLE
    else:
        table_name = version_table.remembered(project.backups, engine.source)
    engine.session.version_table = table_name
    engine.session.trust_code = project.trust_code


def _refuse_twice(project: Settings) -> None:
    """Raise UsageError where two names mean one database."""
    if len(project.databases) == 1:
        return
    seen: dict[str, Engine] = {}
    for other in known(project):
        for name, engine in seen.items():
            if registry.is_same(engine, other.engine):
                raise UsageError(
                    f"{name} and {other.name} in {settings_place(project.root)} are one database: "
                    f"{engine.source}",
                    "take one of them out",
                )
        seen[other.name] = other.engine


def _url(root: Path, database: Database, alembic_ini: Path, form: str) -> str:
    """Where a database is, as its file is read from ``root``. Raises UsageError."""
    env_file, variable = database.env_file, database.variable
    url = _said(root, database, form)
    file = root / env_file
    # From where Alembic is called, and reads it, a path in it is a path from there.
    inside = file.parent == alembic_ini.parent != root
    if env_file and inside and url == registry.url(_in(file, variable) or "", form):
        url = _absolute(url, file.parent)
    return url


def _said(root: Path, database: Database, form: str) -> str:
    """What the environment says, else the dotenv file, else the settings. Raises UsageError.

    What a variable says may have the ``form`` that the project's own tool takes.
    """
    name, url, variable, env_file = database
    which = "" if name == DEFAULT else f" {name}"
    if env_file and not variable:
        raise UsageError(
            f"env-file{which and f' of{which}'} in {settings_place(root)} is {env_file}, and "
            "nothing says which variable in it is the URL",
            Setting('url-variable = "DATABASE_URL"'),
        )
    if variable and (given := os.environ.get(variable)):
        return registry.url(given, form)
    if env_file and (given := _in(root / env_file, variable)):
        return registry.url(given, form)
    if url:
        return url
    if not variable:
        own = Setting(f'databases.{name}.url = "sqlite:///{name}.db"')
        raise UsageError(f"no database{which} is configured", own if which else HOW_TO_SET)
    where = f"nor in {root / env_file}, " if env_file else ""
    raise UsageError(
        f"no database{which} is configured: {variable} is not in the environment, {where}and there "
        "is no url in the settings",
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
