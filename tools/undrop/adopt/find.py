"""What there is to adopt: which project, what migrates it, which databases."""

import re
import shlex
from contextlib import closing
from itertools import chain, count
from pathlib import Path
from typing import Any

from undrop import settings
from undrop.adopt import (
    alembic_project,
    django_project,
    environments,
    known,
    packaged,
    places,
    variables,
)
from undrop.adopt import project as projects
from undrop.adopt.project import GIVE_URL, NOT_GUARDED, Project
from undrop.engines import registry
from undrop.errors import UndropError, UsageError
from undrop.folders import git_root
from undrop.recipes import Action, Part, Text, settings_place
from undrop.settings import Database

OF_A_PROJECT = ("pyproject.toml", "requirements.txt", "setup.py", "package.json")
"""Files that are in a project's own folder."""


def project_root(start: Path) -> Path:
    """Which project is meant by who stands in ``start``.

    The one whose settings are there or in a folder above, in the same git repository; but where
    migrations are that it does not guard, a project of its own begins. Without settings, in a
    folder of a project with Alembic, that project. Raises UsageError.
    """
    for folder in (start, *start.parents):
        if (table := settings.table(folder)) is not None:
            place = places.at(start / places.INI) or places.at(start / places.TOML)
            guarded = alembic_project.named_file(folder, table) or folder / places.INI
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
    return projects.settled(url, standing, root) if url else ""


def look(root: Path, url: str = "", standing: Path | None = None) -> Project:
    """Find out about the project in ``root``; ``url`` is what somebody in ``standing`` has typed.

    Loads ``env.py`` once, to be asked which databases it goes to. Raises UsageError when the
    database is of no kind that is known, and where the settings name another one already.
    """
    table = settings.table(root)
    project = _look_at_tool(root, table or {})
    typed = given(url, standing or root, root)
    chosen = typed if table is None else _respected(root, table, typed)
    literal = alembic_project.literal(project.config)
    project = _with_own(project, table)
    if not chosen and project.own:
        chosen = project.own.url
    if not chosen and not project.urls and not literal:
        chosen, candidates = lying_there(root)
        project = project._replace(candidates=candidates)
    said = _settled_all(project, is_known=bool(chosen))
    by_source = {projects.source(settled, root): settled for settled in said.values()}
    in_ini = projects.settled(literal, project.home, root) if literal else ""
    if not chosen and len(by_source) > 1:
        main = in_ini or said.get(project.main, "")
        chosen = main if main and projects.source(main, root) in by_source else ""
    if not chosen and len(by_source) > 1:
        several = [*by_source.values()]
        who = "Django has" if project.django else "env.py migrates"
        project.unclear.append(f"{who} several databases: {', '.join(several)}")
        return project._replace(candidates=several)
    chosen = chosen or next(iter(by_source.values()), "")
    chosen = chosen or in_ini
    if not chosen:
        return project
    ours = projects.source(chosen, root)
    raw = [url, literal, *(asked for asked, settled in said.items() if settled == chosen)]
    env_file = (table or {}).get("env-file", "")
    if not env_file and any(projects.has_password(each) for each in raw if each):
        project.unclear.append(variables.PASSWORD)
    project = project._replace(
        url=chosen,
        variable=project.own.variable if project.own else (table or {}).get("url-variable", ""),
        env_file=env_file or (project.own.env_file if project.own else ""),
        adopted=table is not None,
        public=project.public
        or bool(typed)
        or table is not None
        or (in_ini != "" and projects.source(in_ini, root) == ours),
        others=_others(root, table, {s: url for s, url in by_source.items() if s != ours}),
    )
    if table is None and ours in by_source:  # else another one was meant, it may be
        project = _with_names(project, said)
    if table is not None and project.alembic and "alembic" not in table:
        project.unclear.append(f'add  alembic = "{project.alembic}"  to the settings: it is there')
    if table is not None and project.django and "django" not in table:
        manage = project.django.relative_to(root)
        project.unclear.append(f'add  django = "{manage}"  to the settings: it is there')
    if project.own and not project.env_file and projects.is_served(project) and not project.public:
        project.unclear.append(variables.by_shell(project))
    has_own = project.config or project.django
    return project if has_own else _with_packaged(project)


def look_at_tool(root: Path) -> Project:
    """What migrates there, as far as that is told without running any code of the project's."""
    table = settings.table(root) or {}
    named = "" if table.get("migrate-command") else table.get("django")
    if isinstance(named, str) and named:
        return Project(root, {}, None, None, "", "", [], [], django=root / named)
    return alembic_project.look_at_alembic(root, run=False)


def _look_at_tool(root: Path, table: dict[str, Any]) -> Project:
    """What migrates there, asked which databases it goes to. Raises UsageError."""
    if table.get("migrate-command"):
        return alembic_project.look_at_alembic(root, run=True)
    named = str(table.get("django", ""))
    manage, others = django_project.chosen(root, named)
    project = Project(root, {}, None, None, "", "", [], [])
    if not named:
        project = alembic_project.look_at_alembic(root, run=True)
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
    settled_default = projects.settled(default, manage.parent, root)
    if not asked.migrates:
        return project._replace(urls=[settled_default], public=True)
    sources = {projects.source(settled_default, root)}
    databases = []
    for alias, url in asked.urls.items():
        settled = projects.settled(url, manage.parent, root)
        if projects.source(settled, root) not in sources and not _is_in_memory(settled, root):
            sources.add(projects.source(settled, root))
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
        url = projects.settled(own.url, project.root, project.root) if own.url else ""
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


def written(root: Path) -> str:
    """The URL that is written down where nothing has to be run; empty where there is none.

    Relative paths are from the root.
    """
    place = alembic_project.configuration(root, [])
    url = alembic_project.literal(place.config) if place else ""
    return projects.settled(url, place.file.parent, root) if place and url else ""


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


def _respected(root: Path, table: dict[str, Any], typed: str) -> str:
    """The URL that the settings have. Raises UsageError where another one is typed."""
    named = settings.of(root, table)
    if typed and projects.source(typed, root) != named.source:
        where = settings_place(root)
        raise UsageError(
            f"--url {typed} is not the database that {where} in {root} names: {named.source}",
            f"correct that in {where}, then",
            Action("init"),
        )
    return projects.settled(named.url, root, root)


def _settled_all(project: Project, *, is_known: bool) -> dict[str, str]:
    """What ``env.py`` said, and each as it is written down.

    Raises UsageError for what is of no kind that is known, unless the database ``is_known``.
    """
    settled = {}
    for url in project.urls:
        try:
            settled[url] = projects.settled(url, project.home, project.root)
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
    return project._replace(
        ini=found.ini,
        config=places.Place(found.ini).config,
        alembic_command=packaged.own_command(found.folder),
    )


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
