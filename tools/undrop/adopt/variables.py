"""The variable that moves a project to another database, and the file that sets it."""

import os
import re
from contextlib import suppress
from itertools import islice
from pathlib import Path

from dotenv import dotenv_values

from undrop import folders, settings
from undrop.adopt import alembic_project, django_project
from undrop.adopt import project as projects
from undrop.adopt.known import DOTENV, LIKELY
from undrop.adopt.project import NOT_GUARDED, Project
from undrop.engines import registry
from undrop.errors import UsageError
from undrop.settings import Database

READ_BY = re.compile(r"""(?:environ(?:\.get\(|\[)|getenv\()\s*["'](\w+)["']""")
FIELD = re.compile(r"^\s*(\w*(?:database|db|sqlalchemy)\w*)\s*:\s*\w", re.MULTILINE | re.IGNORECASE)
DJANGOS, DJANGOS_BY = "DATABASE_URL", re.compile(r"\bDATABASE_URL\b|dj_database_url|\benv\.db\(")
"""What dj-database-url and django-environ read where nobody names a variable, and its signs."""
MARK = "undrop-probe"
MOST = 8  # variables that are tried, a second each
MOST_READ = 2_000  # files that are searched for their names
PASSWORD = "the password is not written down: PGPASSWORD, ~/.pgpass, or the variable"  # noqa: S105


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
    if project.public or project.env_file or not projects.is_served(project):
        return project
    if project.variable:
        project.unclear.append(by_shell(project))
        return project
    project.unclear.append(
        f"{NOT_GUARDED}: only code knows {project.url}, and what it knows is not written down: let "
        "env.py take the URL from a variable, or name it"
    )
    return project._replace(url="", candidates=[project.url])


def by_shell(project: Project) -> str:
    """What is said where only the shell sets the variable."""
    return (
        f"{project.variable} must be set wherever it is to be guarded, as in this shell: no "
        "file of the project's sets it, and a server's URL is not written down for it"
    )


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
            moved = [each for each in every if projects.source(each, project.root) not in stays]
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
            settled = projects.settled(url, project.home, project.root)
            sources.add(projects.source(settled, project.root))
    return sources


def _with_file(project: Project, database: Database) -> Database:
    """The same with the dotenv file that sets its variable to it; then no URL is written down."""
    for file in _dotenvs(project) if database.variable else ():
        value = dotenv_values(file).get(database.variable)
        inside = str(file.relative_to(project.root))
        if value and file.parent == project.root:
            with suppress(UsageError):
                named = projects.settled(value, project.root, project.root)
                own = projects.source(database.url, project.root)
                if projects.source(named, project.root) == own:
                    return database._replace(env_file=inside, url="")
    return database


def _urls(project: Project, variables: dict[str, str | None]) -> list[str]:
    """Where the project's code goes with those variables."""
    if project.django:
        url = django_project.default_url(project.root, project.django, variables)
        return [url] if url else []
    return alembic_project.probe(project, variables).urls


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
        return settings.of(project.root, table).source == projects.source(project.url, project.root)
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
            named = projects.settled(value, file.parent, project.root) if value else ""
            source = projects.source(named, project.root) if named else ""
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
    settled = (projects.settled(url, project.home, project.root) for url in urls)
    return {projects.source(url, project.root) for url in settled}
