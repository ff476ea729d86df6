"""What there is to adopt: Alembic's configuration, ``env.py``, the database's URL, its variable."""

import configparser
import json
import os
import re
import shlex
import sys
from contextlib import closing, suppress
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

from alembic.config import Config
from alembic.util import CommandError
from dotenv import dotenv_values
from sqlalchemy.engine import make_url

from undrop import folders, settings
from undrop.adopt import django_project, environments, known, packaged, places
from undrop.adopt.known import DOTENV, LIKELY
from undrop.engines import registry
from undrop.errors import UndropError, UsageError
from undrop.folders import git_root
from undrop.migrations import process
from undrop.recipes import Action, Part, Text, settings_place
from undrop.settings import Database

GIVE_URL = Action("init", "--url", "sqlite:///FILE.db", typed=False)
READ_BY = re.compile(r"""(?:environ(?:\.get\(|\[)|getenv\()\s*["'](\w+)["']""")
FIELD = re.compile(r"^\s*(\w*(?:database|db|sqlalchemy)\w*)\s*:\s*\w", re.MULTILINE | re.IGNORECASE)
DJANGOS, DJANGOS_BY = "DATABASE_URL", re.compile(r"\bDATABASE_URL\b|dj_database_url|\benv\.db\(")
"""What dj-database-url and django-environ read where nobody names a variable, and its signs."""
OF_A_PROJECT = ("pyproject.toml", "requirements.txt", "setup.py", "package.json")
"""Files that are in a project's own folder."""
NOT_GUARDED = "NOT guarded"
MARK = "undrop-probe"
MOST = 8  # variables that are tried, a second each
MOST_READ = 2_000  # files that are searched for their names
PASSWORD = "the password is not written down: PGPASSWORD, ~/.pgpass, or the variable"  # noqa: S105


class Project(NamedTuple):
    """A project, as far as it can be told."""

    root: Path
    config: dict[str, str]
    """Arguments for Alembic's ``Config``; empty without Alembic."""
    ini: Path | None
    """The file with its configuration, where that is not the root's pyproject.toml."""
    env: Path | None
    """The project's own ``env.py``; None where it lies in somebody's package."""
    url: str
    """Relative paths are from the root; empty when it was not found."""
    variable: str
    """The environment variable that goes before the URL; empty when there is none."""
    unclear: list[str]
    """What could not be found, and what to do; what is not guarded begins with NOT_GUARDED."""
    urls: list[str]
    """What ``env.py`` said, where it was asked."""
    version_table: str = ""
    """Likewise; empty for Alembic's own."""
    flask: bool = False
    """Whether Alembic is called by Flask-Migrate, in its application's context."""
    section: str = places.SECTION
    """Which section of ``ini`` it is: ``alembic -n``."""
    others: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    """URLs that ``env.py`` goes to and that are not guarded, without passwords."""
    databases: list[Database] = []  # noqa: RUF012
    """Other databases that ``env.py`` goes to, as they are written down."""
    names: dict[str, str] = {}  # noqa: RUF012
    """Sections of Alembic's configuration by the URL in them, as ``env.py`` leaves it."""
    main: str = ""
    """The URL in its main section, likewise."""
    candidates: list[str] = []  # noqa: RUF012
    """URLs to choose from, where it is not clear which database it is."""
    packaged: tuple[Text, ...] = ()
    """How an application's own command is guarded, where it brings its migrations along."""
    public: bool = False
    """Whether the URL may be written down: it is so already, or somebody gave it."""
    adopted: bool = False
    """Whether the settings are there already: nothing else is looked for."""
    env_file: str = ""
    """The file that sets the variable, from the root; empty when none does."""
    own: known.Known | None = None
    """What migrates it, where that is not Alembic, as it is to be written into the settings."""
    command: str = ""
    """Its command, as the settings have it or will."""
    django: Path | None = None
    """Django's ``manage.py``, where that migrates."""
    django_settings: Path | None = None
    """The file with Django's settings, where they can be added to."""

    @property
    def migrates(self) -> bool:
        """Whether there is anything to migrate with."""
        return bool(self.env or self.config or self.django or self.command)

    @property
    def home(self) -> Path:
        """From where Alembic is called, and ``flask db``, or ``manage.py``."""
        if self.django:
            return self.django.parent
        return self.ini.parent if self.ini and not self.flask else self.root

    @property
    def is_packaged(self) -> bool:
        """Whether its migrations are in somebody's package, whose ``env.py`` nobody edits."""
        return self.ini is not None and packaged.is_packaged(self.ini)

    @property
    def written(self) -> str:
        """The URL that goes into the settings; empty where only the variable says it."""
        hidden = self.env_file or (self.variable and not self.public and _is_served(self))
        return "" if hidden else self.url

    @property
    def alembic(self) -> str:
        """Where ``ini`` is, as the settings have it: from the root, where it is below that."""
        if not self.ini or self.ini == self.root / places.INI:
            return ""
        inside = self.ini.is_relative_to(self.root)
        return str(self.ini.relative_to(self.root) if inside else self.ini)


def project_root(start: Path) -> Path:
    """Which project is meant by who stands in ``start``.

    The one whose settings are there or in a folder above, in the same git repository; but where
    migrations are that it does not guard, a project of its own begins. Without settings, in a
    folder of a project with Alembic, that project. Raises UsageError.
    """
    for folder in (start, *start.parents):
        if (table := settings.table(folder)) is not None:
            place = places.at(start / places.INI) or places.at(start / places.TOML)
            guarded = _named(folder, table) or folder / places.INI
            theirs = place and folder != start and place.file != guarded
            return start if theirs else folder
        if (folder / ".git").exists():
            break
    return start if places.every(start) else _with_alembic_above(start)


def _with_alembic_above(start: Path) -> Path:
    """The nearest folder with Alembic's configuration; ``start`` where another project is nearer.

    Only in a git repository: what lies above one is not its project's.
    """
    for folder in (start, *start.parents):
        if places.at(folder / places.INI) or places.at(folder / places.TOML):
            return folder if git_root(folder) else start
        if any((folder / name).exists() for name in (*OF_A_PROJECT, ".git")):
            break
    return start


def given(url: str, standing: Path, root: Path) -> str:
    """A URL as somebody who stands in ``standing`` has typed it, as it is written down.

    Empty for an empty one. Raises UsageError.
    """
    return _settled(url, standing, root) if url else ""


def look(root: Path, url: str = "", standing: Path | None = None) -> Project:
    """Find out about the project in ``root``; ``url`` is what somebody in ``standing`` has typed.

    Loads ``env.py`` once, to be asked which databases it goes to. Raises UsageError when the
    database is of no kind that is known, and where the settings name another one already.
    """
    table = settings.table(root)
    project = _look_at_tool(root, table or {})
    typed = given(url, standing or root, root)
    chosen = typed if table is None else _respected(root, table, typed)
    literal = _literal(project.config)
    project = _with_own(project, table)
    if not chosen and project.own:
        chosen = project.own.url
    if not chosen and not project.urls and not literal:
        chosen, candidates = lying_there(root)
        project = project._replace(candidates=candidates)
    said = _settled_all(project, is_known=bool(chosen))
    by_source = {_source(settled, root): settled for settled in said.values()}
    in_ini = _settled(literal, project.home, root) if literal else ""
    if not chosen and len(by_source) > 1:
        main = in_ini or said.get(project.main, "")
        chosen = main if main and _source(main, root) in by_source else ""
    if not chosen and len(by_source) > 1:
        several = [*by_source.values()]
        who = "Django has" if project.django else "env.py migrates"
        project.unclear.append(f"{who} several databases: {', '.join(several)}")
        return project._replace(candidates=several)
    chosen = chosen or next(iter(by_source.values()), "")
    chosen = chosen or in_ini
    if not chosen:
        return project
    ours = _source(chosen, root)
    raw = [url, literal, *(asked for asked, settled in said.items() if settled == chosen)]
    env_file = (table or {}).get("env-file", "")
    if not env_file and any(_has_password(each) for each in raw if each):
        project.unclear.append(PASSWORD)
    project = project._replace(
        url=chosen,
        variable=project.own.variable if project.own else (table or {}).get("url-variable", ""),
        env_file=env_file or (project.own.env_file if project.own else ""),
        adopted=table is not None,
        public=project.public
        or bool(typed)
        or table is not None
        or (in_ini != "" and _source(in_ini, root) == ours),
        others=_others(root, table, {s: url for s, url in by_source.items() if s != ours}),
    )
    if table is None and ours in by_source:  # else another one was meant, it may be
        project = _with_names(project, said)
    if table is not None and project.alembic and "alembic" not in table:
        project.unclear.append(f'add  alembic = "{project.alembic}"  to the settings: it is there')
    if table is not None and project.django and "django" not in table:
        manage = project.django.relative_to(root)
        project.unclear.append(f'add  django = "{manage}"  to the settings: it is there')
    if project.own and not project.env_file and _is_served(project) and not project.public:
        project.unclear.append(_by_shell(project))
    has_own = project.config or project.django
    return project if has_own else _with_packaged(project)


def look_at_tool(root: Path) -> Project:
    """What migrates there, as far as that is told without running any code of the project's."""
    table = settings.table(root) or {}
    named = "" if table.get("migrate-command") else table.get("django")
    if isinstance(named, str) and named:
        return Project(root, {}, None, None, "", "", [], [], django=root / named)
    return look_at_alembic(root, run=False)


def _look_at_tool(root: Path, table: dict[str, Any]) -> Project:
    """What migrates there, asked which databases it goes to. Raises UsageError."""
    if table.get("migrate-command"):
        return look_at_alembic(root, run=True)
    named = str(table.get("django", ""))
    manage, others = django_project.chosen(root, named)
    project = Project(root, {}, None, None, "", "", [], [])
    if not named:
        project = look_at_alembic(root, run=True)
        if manage and project.config:  # or it would have been asked
            project.unclear.append(
                f"{NOT_GUARDED}: {manage.relative_to(root)}: undrop goes by Alembic here; "
                f'django = "{manage.relative_to(root)}" in its settings would have it go by that'
            )
            return project
    project.unclear.extend(
        f"{NOT_GUARDED}: {django_project.elsewhere(root, other)}"
        for other in others
        if settings.table(other.parent) is None
    )
    return _with_django(project, manage) if manage else project


def _with_django(project: Project, manage: Path) -> Project:
    """The same with the databases that ``manage.py`` goes to. Raises UsageError."""
    root = project.root
    project.unclear.extend(environments.broken(root, manage.parent, "django"))
    asked = django_project.asked(root, manage)
    project.unclear.extend(f"{NOT_GUARDED}: {why}" for why in asked.unclear)
    default = asked.urls.get(django_project.DEFAULT, "")
    if not default:
        names = {url: alias for alias, url in asked.urls.items()}
        known = project._replace(urls=[*names], names=names, public=True)
        if not (asked.migrates and names):
            return known
        return known._replace(django=manage, django_settings=asked.settings)
    settled_default = _settled(default, manage.parent, root)
    if not asked.migrates:
        return project._replace(urls=[settled_default], public=True)
    sources = {_source(settled_default, root)}
    databases = []
    for alias, url in asked.urls.items():
        settled = _settled(url, manage.parent, root)
        if _source(settled, root) not in sources and not _is_in_memory(settled, root):
            sources.add(_source(settled, root))
            databases.append(Database(_word(alias), settled, "", ""))
    return project._replace(
        django=manage,
        django_settings=asked.settings,
        urls=[default],
        databases=databases,
        public=True,
    )


def _is_in_memory(url: str, root: Path) -> bool:
    return settings.of(root, {"url": url}).engine.in_memory


def _with_own(project: Project, table: dict[str, Any] | None) -> Project:
    """The same with what migrates it, where that is not Alembic: by the settings, or to be."""
    if command := (table or {}).get("migrate-command", ""):
        return project._replace(command=str(command))
    own = None if project.config or project.django else known.find(project.root)
    if own is None:
        return project
    try:
        url = _settled(own.url, project.root, project.root) if own.url else ""
    except UsageError as error:
        project.unclear.append(f"{NOT_GUARDED}: {error.what}")
        return project
    if not own.command:
        project.unclear.append(
            f"{NOT_GUARDED}: what migrates it: nothing is seen by which its command could be led "
            "to another database; let it read a variable"
        )
        return project
    if table is not None:
        form = f' and  migrate-url = "{own.form}"' if own.form else ""
        project.unclear.append(f'add  migrate-command = "{own.command}"{form}  to the settings')
        return project
    return project._replace(own=own._replace(url=url), command=own.command)


def _by_shell(project: Project) -> str:
    return (
        f"{project.variable} must be set wherever it is to be guarded, as in this shell: no "
        "file of the project's sets it, and a server's URL is not written down for it"
    )


def _others(root: Path, table: dict[str, Any] | None, by_source: dict[str, str]) -> list[str]:
    """The URLs of those that the settings do not name, as they are there."""
    named = [] if table is None else settings.known(settings.of(root, table))
    known = {each.source for each in named}
    return [url for source, url in by_source.items() if source not in known]


def _with_names(project: Project, said: dict[str, str]) -> Project:
    """The same with a name for each of the others that can be written down: those in files.

    That of its section in Alembic's configuration, else its file's.
    """
    sections = {url: project.names[asked] for asked, url in said.items() if asked in project.names}
    databases: list[Database] = []
    left = []
    for url in project.others:
        file = settings.of(project.root, {"url": url}).engine.file
        if file is None:
            left.append(url)
            continue
        taken = {settings.DEFAULT, *(each.name for each in (*project.databases, *databases))}
        wanted = (sections.get(url, ""), file.stem, f"{file.parent.name}-{file.stem}")
        words = map(_word, wanted)
        numbered = (f"database-{number}" for number in count(2))
        name = next(word for word in chain(words, numbered) if word and word not in taken)
        databases.append(Database(name, url, "", ""))
    return project._replace(databases=[*project.databases, *databases], others=left)


def _word(name: str) -> str:
    """A database's name, made of somebody's."""
    return re.sub(r"[^\w-]+", "-", name, flags=re.ASCII).strip("-")


def look_at_alembic(root: Path, *, run: bool) -> Project:
    """The same without the database; with ``run``, ``env.py`` is asked which ones it goes to."""
    unclear: list[str] = []
    place = _place(root, unclear)
    ini = place.file if place and place.file != root / places.TOML else None
    project = Project(root, place.config if place else {}, ini, None, "", "", unclear, [])
    if place is None:
        return project
    project = project._replace(flask=place.flask, section=place.sections[0])
    unclear += [
        f"{NOT_GUARDED}: the database of `alembic -n {name}`, another section of {place.file.name}"
        for name in place.sections[1:]
    ]
    if packaged.is_packaged(place.file):
        return project._replace(packaged=packaged.told(place.file))
    unclear += environments.broken(root, project.home)
    told = _probe(project, run=run)
    if not told.env and not project.flask:  # the project's own Python may have no Alembic
        where = _probe(project, python=sys.executable, run=False)
        told = told._replace(env=where.env, failure=told.failure or where.failure)
    env = Path(project.home, told.env).resolve() if told.env else None
    if place.flask and env is None:
        env = place.file.with_name("env.py").resolve()
    if env is None:
        unclear.append(f"env.py: {told.failure}")
    elif packaged.is_packaged(env) or not env.is_relative_to(root.resolve()):
        unclear.append(f"{NOT_GUARDED} when it is used alone: env.py is not in the project: {env}")
        env = None
    elif not env.is_file():
        unclear.append(f"{NOT_GUARDED} when it is used alone: {env} is not there as source")
        env = None
    else:
        env = root / env.relative_to(root.resolve())
        if told.failure and not told.urls:
            unclear.append(f"env.py could not be loaded: {told.failure}")
    return project._replace(
        env=env,
        urls=told.urls if env else [],
        version_table=told.version_table,
        names=told.names,
        main=told.main,
    )


def written(root: Path) -> str:
    """The URL that is written down where nothing has to be run; empty where there is none.

    Relative paths are from the root.
    """
    place = _place(root, [])
    url = _literal(place.config) if place else ""
    return _settled(url, place.file.parent, root) if place and url else ""


def with_variable(project: Project) -> Project:
    """The same with the variable that moves ``env.py`` to another database, tried out.

    And with the file that sets it. What only code knows of a server is written nowhere.
    """
    if not project.url or project.adopted or not (project.env or project.django):
        return project
    variables = _variables(project)
    moved = _with_env_file(project._replace(variable=variables.get(project.url, "")))
    if project.django and not _is_read(moved):
        return project  # dj-database-url takes what we do not, and a path from elsewhere
    named = [each._replace(variable=variables.get(each.url, "")) for each in project.databases]
    project = moved._replace(databases=[_with_file(moved, each) for each in named])
    if project.public or project.env_file or not _is_served(project):
        return project
    if project.variable:
        project.unclear.append(_by_shell(project))
        return project
    project.unclear.append(
        f"{NOT_GUARDED}: only code knows {project.url}, and what it knows is not written down: let "
        "env.py take the URL from a variable, or name it"
    )
    return project._replace(url="", candidates=[project.url])


def missing(project: Project) -> tuple[Text, ...]:
    """What is to be said where the database's file is not there yet."""
    file = settings.of(project.root, {"url": project.url}).engine.file
    if file is None or file.exists():
        return ()
    folder = file.parent
    first: Text = (f"there is no {file} yet",)
    if project.migrates:
        first = (f"there is no {file} yet: the first", Action("migrate"), "makes it")
    if folder.exists():
        return (first,)
    return (first, f"its folder is not there, either: mkdir -p {shlex.quote(str(folder))}")


def nothing(project: Project) -> UsageError:
    """The error where it is not clear which database is to be guarded, with a line for each."""
    what = "; ".join([str(project.root), *project.unclear])
    if not project.candidates:
        return UsageError(f"no database was found in {what}", GIVE_URL)
    names = ", ".join(project.candidates)
    parts: list[Part] = []
    for url in project.candidates:
        parts += ["\nor", Action("init", "--url", url)]
    return UsageError(f"no database is named in {what}; seen: {names}", *parts[1:])


def _place(root: Path, unclear: list[str]) -> places.Place | None:
    """The configuration that is guarded: what the settings name, what is in the root, the one."""
    table = settings.table(root) or {}
    named, section = _named(root, table), table.get("alembic-section")
    every = places.every(root)
    chosen = places.at(named) if named else None
    chosen = chosen or next((place for place in every if place.file.parent == root), None)
    if chosen is None and len(every) == 1:
        [chosen] = every
    for place in every:
        folder = place.file.parent
        is_theirs = folder != root and settings.table(folder) is not None
        if place != chosen and not is_theirs and not _same_scripts(place, chosen, root):
            name, there = place.file.relative_to(root), shlex.quote(str(folder.relative_to(root)))
            unclear.append(f"{NOT_GUARDED}: {name}: cd {there} && undrop init")
    return chosen.with_section(section) if chosen else None


def _same_scripts(place: places.Place, chosen: places.Place | None, root: Path) -> bool:
    """Whether two configurations lead to one ``env.py``, whose call guards both."""
    try:
        return bool(chosen and place.scripts(root) & chosen.scripts(root))
    except (CommandError, configparser.Error, OSError):  # one of them is broken
        return False


def _named(root: Path, table: dict[str, Any]) -> Path | None:
    """Where the settings say that Alembic's configuration is."""
    name = table.get("alembic")
    return root / name if isinstance(name, str) and name else None


def _respected(root: Path, table: dict[str, Any], typed: str) -> str:
    """The URL that the settings have. Raises UsageError where another one is typed."""
    named = settings.of(root, table)
    if typed and _source(typed, root) != named.source:
        where = settings_place(root)
        raise UsageError(
            f"--url {typed} is not the database that {where} in {root} names: {named.source}",
            f"correct that in {where}, then",
            Action("init"),
        )
    return _settled(named.url, root, root)


def _settled_all(project: Project, *, is_known: bool) -> dict[str, str]:
    """What ``env.py`` said, and each as it is written down.

    Raises UsageError for what is of no kind that is known, unless the database ``is_known``.
    """
    settled = {}
    for url in project.urls:
        try:
            settled[url] = _settled(url, project.home, project.root)
        except UsageError as error:
            if not is_known:
                raise
            project.unclear.append(f"{NOT_GUARDED}: {error.what}")
    return settled


def lying_there(root: Path) -> tuple[str, list[str]]:
    """The one database that lies in a project, hidden folders apart, or all to choose from."""
    seen = registry.seen(root)
    plain = [
        url
        for path, url in seen.items()
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    return (plain[0], []) if len(plain) == 1 == len(seen) else ("", [*seen.values()])


def _literal(config: dict[str, str]) -> str:
    """The URL that is written in Alembic's configuration, relative to where Alembic is called."""
    url = Config(**config).get_main_option("sqlalchemy.url") if config else None  # type: ignore[arg-type]  # each by its name
    return url if url and registry.scheme(url) in registry.ENGINES else ""


class _Told(NamedTuple):
    """What ``probe.py`` answers."""

    env: str = ""
    urls: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    version_table: str = ""
    failure: str = ""
    made: list[str] = []  # noqa: RUF012
    """Files; they go again, those with nothing in them and databases."""
    names: dict[str, str] = {}  # noqa: RUF012
    main: str = ""


def _probe(
    project: Project,
    variables: dict[str, str | None] | None = None,
    *,
    python: str = "",
    run: bool = True,
) -> _Told:
    question = {
        "config": project.config,
        "run": run,
        "root": str(project.root),
    }
    script = str(Path(__file__).with_name("probe.py"))
    python = python or environments.python(project.root, project.home)
    said = environments.ask([python, script, json.dumps(question)], project.home, variables)
    try:
        told = _Told(**json.loads(said.out))
    except (ValueError, TypeError):  # nothing, or what somebody else printed
        told = _Told(failure=said.failure or f"it answered {said.out.strip()[-80:]!r}")
    process.discard(told.made)
    return told


def _variables(project: Project) -> dict[str, str]:
    """The variables by which ``env.py`` is moved to another database, by the URL of each."""
    # Of Django only the default is asked.
    others = [] if project.django else [each.url for each in project.databases]
    every = [project.url, *others]
    variables: dict[str, str] = {}
    for name in _names(project)[:MOST]:
        for url in registry.adopting(project.url).probes(MARK):
            told = _urls(project, {name: url})
            if not any(MARK in each for each in told):
                continue
            stays = _sources(project, [each for each in told if MARK not in each])
            moved = [each for each in every if _source(each, project.root) not in stays]
            variables = {**dict.fromkeys(moved, name), **variables}
            break
        if len(variables) == len(every):
            break
    return variables


def _sources(project: Project, urls: list[str]) -> set[str]:
    """What tells the databases that ``env.py`` names so; those of no kind that is known apart."""
    sources = set()
    for url in urls:
        with suppress(UsageError):
            sources.add(_source(_settled(url, project.home, project.root), project.root))
    return sources


def _with_file(project: Project, database: Database) -> Database:
    """The same with the dotenv file that sets its variable to it; then no URL is written down."""
    for file in _dotenvs(project) if database.variable else ():
        value = dotenv_values(file).get(database.variable)
        inside = str(file.relative_to(project.root))
        if value and file.parent == project.root:
            with suppress(UsageError):
                named = _settled(value, project.root, project.root)
                if _source(named, project.root) == _source(database.url, project.root):
                    return database._replace(env_file=inside, url="")
    return database


def _urls(project: Project, variables: dict[str, str | None]) -> list[str]:
    """Where the project's code goes with those variables."""
    if project.django:
        url = django_project.default_url(project.root, project.django, variables)
        return [url] if url else []
    return _probe(project, variables).urls


def _is_read(project: Project) -> bool:
    """Whether the variable and its file lead undrop where they lead the project's code."""
    if not project.variable:
        return True
    table = {
        "url": project.url,
        "url-variable": project.variable,
        **({"env-file": project.env_file} if project.env_file else {}),
    }
    try:
        return settings.of(project.root, table).source == _source(project.url, project.root)
    except UsageError:
        return False


def _names(project: Project) -> list[str]:
    """Variables that the project's files speak of and that may hold a URL, likeliest first."""
    scheme = registry.scheme(project.url)
    names = {name: None for name, value in os.environ.items() if value.startswith(scheme)}
    for source in [*filter(None, [project.env]), *_dotenvs(project), *_modules(project.root)]:
        if not source.is_file() or source.stat().st_size > 1_000_000:
            continue
        text = source.read_text("utf-8", "replace")
        candidates = READ_BY.findall(text) + [name.upper() for name in FIELD.findall(text)]
        if source.name.startswith(".env"):
            candidates += re.findall(r"^(?:export )?(\w+)=", text, re.MULTILINE)
        if project.django:
            candidates = [DJANGOS] * bool(DJANGOS_BY.search(text)) + [
                n for n in candidates if "URL" in n
            ]
        names |= {name: None for name in candidates if LIKELY.search(name)}
    return [*names]


def _modules(root: Path) -> list[Path]:
    modules = (
        folder / file.name
        for folder, files in folders.below(root)
        for file in files
        if file.name.endswith(".py")
    )
    return [*islice(modules, MOST_READ)]


def _dotenvs(project: Project) -> list[Path]:
    """Files of the kind ``.env``: in the root, then beside Alembic's configuration."""
    return [
        path
        for folder in {project.root: None, project.home: None}
        for path in sorted(folder.glob(".env*"))
        if DOTENV.match(path.name) and path.is_file()
    ]


def _with_env_file(project: Project) -> Project:
    """The same with the file that sets the variable to the database that ``env.py`` goes to."""
    name = project.variable
    for file in _dotenvs(project) if name else ():
        value = dotenv_values(file).get(name)
        try:
            named = _settled(value, file.parent, project.root) if value else ""
            source = _source(named, project.root) if named else ""
        except UsageError:
            continue
        if source and source in _without_shell(project):
            unclear = [text for text in project.unclear if text != PASSWORD]
            inside = str(file.relative_to(project.root))
            return project._replace(env_file=inside, unclear=unclear)
    return project


def _without_shell(project: Project) -> set[str]:
    """The databases that ``env.py`` goes to where the shell does not set the variable."""
    urls = project.urls
    if project.variable in os.environ:
        urls = _urls(project, {project.variable: None})
    settled = (_settled(url, project.home, project.root) for url in urls)
    return {_source(url, project.root) for url in settled}


def _with_packaged(project: Project) -> Project:
    """The same with the migrations that a package in the environment has for this database."""
    revisions = _revisions(project)
    matching = packaged.find(project.root, revisions) if revisions else []
    if len(matching) > 1:
        names = ", ".join(str(each.folder) for each in matching)
        project.unclear.append(f"{NOT_GUARDED}: several packages have these migrations: {names}")
    if len(matching) != 1:
        return project
    [found] = matching
    project = project._replace(packaged=packaged.told(found.folder), variable=found.variable)
    if found.ini is None:
        project.unclear.append(f"there is no alembic.ini for {found.folder}: `migrate` cannot run")
        return project
    return project._replace(ini=found.ini, config=places.Place(found.ini).config)


def _revisions(project: Project) -> list[str]:
    """Where the database stands, as far as that can be told."""
    try:
        engine = settings.of(project.root, {"url": project.url}).engine
        if not engine.exists():
            return []
        with closing(engine.look()) as live:
            return live.revisions()
    except (UndropError, OSError):
        return []


def _is_served(project: Project) -> bool:
    """Whether the database is on a server, whose URL is nobody's business."""
    engine = settings.of(project.root, {"url": project.url}).engine
    return engine.file is None and not engine.in_memory


def _has_password(url: str) -> bool:
    return make_url(url).password is not None


def _source(url: str, root: Path) -> str:
    """What tells a database from others, driver and password apart. Raises UsageError."""
    return settings.of(root, {"url": url}).source


def _settled(url: str, home: Path, root: Path) -> str:
    """The same URL as it is written down."""
    try:
        return registry.adopting(url).settled(url, home, root)
    except UndropError as error:
        raise UsageError(f"{_hidden(url)}: {error.what}", GIVE_URL) from None


def _hidden(url: str) -> str:
    """A URL to show, also one that nothing can read: whatever stands before a host is left out."""
    return re.sub(r"//(?!/).*@", "//***@", url)
