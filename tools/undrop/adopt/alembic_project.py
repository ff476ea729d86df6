"""A project of Alembic's: its configuration, its ``env.py``, and what that says when asked."""

import configparser
import json
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

from alembic.config import Config
from alembic.util import CommandError

from undrop import settings
from undrop.adopt import environments, packaged, places
from undrop.adopt.project import NOT_GUARDED, Project
from undrop.engines import registry
from undrop.migrations import process


def look_at_alembic(root: Path, *, run: bool) -> Project:
    """The same without the database; with ``run``, ``env.py`` is asked which ones it goes to."""
    unclear: list[str] = []
    place = configuration(root, unclear)
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
    told = probe(project, run=run)
    if not told.env and not project.flask:  # the project's own Python may have no Alembic
        where = probe(project, python=sys.executable, run=False)
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
        if told.failure and not told.urls and not packaged.own_command(env.parent):
            unclear.append(f"env.py could not be loaded: {told.failure}")
    return project._replace(
        env=env,
        alembic_command=packaged.own_command(env.parent) if env else "",
        urls=told.urls if env else [],
        version_table=told.version_table,
        names=told.names,
        main=told.main,
    )


def configuration(root: Path, unclear: list[str]) -> places.Place | None:
    """The configuration that is guarded: what the settings name, what is in the root, the one."""
    table = settings.table(root) or {}
    named, section = named_file(root, table), table.get("alembic-section")
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


def named_file(root: Path, table: dict[str, Any]) -> Path | None:
    """Where the settings say that Alembic's configuration is."""
    name = table.get("alembic")
    return root / name if isinstance(name, str) and name else None


def literal(config: dict[str, str]) -> str:
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


def probe(
    project: Project,
    variables: dict[str, str | None] | None = None,
    *,
    python: str = "",
    run: bool = True,
) -> _Told:
    """What ``env.py`` says, with those variables; without ``run``, where it is. Never raises."""
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
