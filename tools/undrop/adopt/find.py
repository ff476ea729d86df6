"""What there is to adopt: Alembic's configuration, ``env.py``, the database's URL, its variable."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from alembic.config import Config
from sqlalchemy.engine import make_url

from undrop import settings
from undrop.engines import registry
from undrop.errors import UndropError, UsageError
from undrop.migrations import flask_app, runner
from undrop.recipes import Action

GIVE_URL = Action("init", "--url", "sqlite:///FILE.db", typed=False)
PASSED_OVER = {"node_modules", "site-packages", "build", "dist", "backups", "__pycache__"}
READ_BY = re.compile(r"""(?:environ(?:\.get\(|\[)|getenv\()\s*["'](\w+)["']""")
FIELD = re.compile(r"^\s*(\w*(?:database|db|sqlalchemy)\w*)\s*:\s*\w", re.MULTILINE | re.IGNORECASE)
LIKELY = re.compile(r"DATABASE|DB|SQL|DSN|URL|URI", re.IGNORECASE)
MARK = "undrop-probe"
MOST = 8  # variables that are tried, a second each
PATIENCE = 60  # seconds for env.py to load


class Project(NamedTuple):
    """A project, as far as it can be told."""

    root: Path
    config: dict[str, str]
    """Arguments for Alembic's ``Config``; empty without Alembic."""
    ini: Path | None
    env: Path | None
    url: str
    """Relative paths are from the root; empty when it was not found."""
    variable: str
    """The environment variable that goes before the URL; empty when there is none."""
    unclear: list[str]
    """What could not be found, and what to do."""
    urls: list[str]
    """What ``env.py`` said, where it was asked."""
    version_table: str = ""
    """Likewise; empty for Alembic's own."""

    @property
    def home(self) -> Path:
        """From where Alembic is called."""
        return self.ini.parent if self.ini else self.root


def look(root: Path, url: str = "") -> Project:
    """Find out about the project in ``root``; a given ``url`` is not looked for.

    Loads ``env.py`` once, if it must be asked for the URL. Raises UsageError when the database
    is of no kind that is known.
    """
    project = look_at_alembic(root, run=not url)
    if not url and len(set(project.urls)) > 1:
        several = ", ".join(map(_hidden, project.urls))
        project.unclear.append(f"env.py migrates several databases: {several}")
    elif not url:
        url = project.urls[0] if project.urls else _literal(project.config)
    relative = _settled(url, project.home, root) if url else _only_one(root)
    if relative and url and make_url(url).password != make_url(relative).password:
        project.unclear.append(
            "the password is not written down: PGPASSWORD, ~/.pgpass, or the variable"
        )
    return project._replace(url=relative)


def look_at_alembic(root: Path, *, run: bool) -> Project:
    """The same without the database; with ``run``, ``env.py`` is asked which ones it goes to."""
    unclear: list[str] = []
    ini = _ini(root, unclear)
    config = _config(root, ini)
    project = Project(root, config, ini, None, "", "", unclear, [])
    if not config:
        return project
    told = _probe(project, run=run)
    if not told.env:  # the project's own Python may have no Alembic
        where = _probe(project, python=sys.executable, run=False)
        told = told._replace(env=where.env, failure=told.failure or where.failure)
    env = Path(project.home, told.env).resolve() if told.env else None
    if env is None:
        unclear.append(f"env.py: {told.failure}")
    elif not env.is_relative_to(root.resolve()):
        unclear.append(f"env.py is not in the project: {env}")
        env = None
    else:
        env = root / env.relative_to(root.resolve())
        if told.failure and not told.urls:
            unclear.append(f"env.py could not be loaded: {told.failure}")
    return project._replace(
        env=env, urls=told.urls if env else [], version_table=told.version_table
    )


def written(root: Path) -> str:
    """The URL that is written down where nothing has to be run; empty where there is none.

    Relative paths are from the root.
    """
    ini = _ini(root, [])
    url = _literal(_config(root, ini))
    return _settled(url, ini.parent if ini else root, root) if url else ""


def _literal(config: dict[str, str]) -> str:
    """The same as it is written, relative to where Alembic is called."""
    url = Config(**config).get_main_option("sqlalchemy.url") if config else None  # type: ignore[arg-type]  # each by its name
    return url if url and registry.scheme(url) in registry.ENGINES else ""


def _ini(root: Path, unclear: list[str]) -> Path | None:
    if (root / "alembic.ini").is_file():
        return root / "alembic.ini"
    below = [path for path in _files(root, "alembic.ini", 3) if path.is_file()]
    if len(below) > 1:
        unclear.append(f"Alembic: several alembic.ini: {', '.join(map(str, below))}")
    return below[0] if len(below) == 1 else None


def _files(root: Path, pattern: str, depth: int) -> list[Path]:
    """Files below ``root``, not in hidden folders, environments and the like."""
    files = []
    for parent, folders, _ in os.walk(root):
        here = Path(parent)
        environment = (here / "pyvenv.cfg").exists()
        if environment or len(here.relative_to(root).parts) >= depth:
            folders.clear()
        folders[:] = [each for each in folders if each not in PASSED_OVER and each[0] != "."]
        files += [] if environment else sorted(here.glob(pattern))
    return files


def _config(root: Path, ini: Path | None) -> dict[str, str]:
    options = {"file_": str(ini)} if ini else {}
    if "alembic" in settings.tools(root):
        options["toml_file"] = str(root / "pyproject.toml")
    return options


def _python(root: Path) -> str:
    """The project's own Python: undrop may have been started by ``uvx``, outside of it."""
    own = root / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


def python(project: Project) -> str:
    """The project's own Python."""
    return _python(project.home)


class _Told(NamedTuple):
    """What ``probe.py`` answers."""

    env: str = ""
    urls: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    version_table: str = ""
    failure: str = ""
    made: list[str] = []  # noqa: RUF012
    """Files; they go again, those with nothing in them and databases."""


def _probe(
    project: Project, variables: dict[str, str] | None = None, *, python: str = "", run: bool = True
) -> _Told:
    question = {"config": project.config, "run": run, "root": str(project.root)}
    script = Path(__file__).with_name("probe.py")
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            [python or _python(project.home), str(script), json.dumps(question)],
            cwd=flask_app.home(project.config, project.root, project.home),
            env={**os.environ, **(variables or {})},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        told = _Told(**json.loads(done.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        told = _Told(failure=str(error))
    runner.discard(told.made)
    return told


def with_variable(project: Project) -> Project:
    """The same with the variable that moves ``env.py`` to another database, tried out."""
    env, scheme = project.env, registry.scheme(project.url)
    if env is None or not project.url:
        return project
    sources = [env, *_files(project.root, "*.py", 4), *project.root.glob(".env*")]
    names = {name: None for name, value in os.environ.items() if value.startswith(scheme)}
    for source in sources:
        if not source.is_file() or source.stat().st_size > 1_000_000:
            continue
        text = source.read_text("utf-8", "replace")
        candidates = READ_BY.findall(text) + [name.upper() for name in FIELD.findall(text)]
        if source.name.startswith(".env"):
            candidates += re.findall(r"^(?:export )?(\w+)=", text, re.MULTILINE)
        names |= {name: None for name in candidates if LIKELY.search(name)}
    for name in list(names)[:MOST]:
        for given in registry.adopting(project.url).probes(MARK):
            if any(MARK in url for url in _probe(project, {name: given}).urls):
                return project._replace(variable=name)
    return project


def _only_one(root: Path) -> str:
    """The URL of the one database that lies in a project; empty when there are none or several."""
    urls = [*registry.seen(root).values()]
    return urls[0] if len(urls) == 1 else ""


def _settled(url: str, home: Path, root: Path) -> str:
    """The same URL as it is written down."""
    try:
        return registry.adopting(url).settled(url, home, root)
    except UndropError as error:
        raise UsageError(f"{_hidden(url)}: {error.what}", GIVE_URL) from None


def _hidden(url: str) -> str:
    """A URL to show, also one that nothing can read: whatever stands before a host is left out."""
    return re.sub(r"//(?!/).*@", "//***@", url)
