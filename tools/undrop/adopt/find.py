"""What there is to adopt: Alembic's configuration, ``env.py``, the database's URL, its variable."""

import json
import os
import re
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import make_url

from undrop import settings
from undrop.engines import registry
from undrop.errors import UndropError, UsageError
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


def look(root: Path, url: str = "") -> Project:
    """Find out about the project in ``root``; a given ``url`` is not looked for.

    Raises UsageError when its database is of no kind that is known.
    """
    alembic = look_at_alembic(root)
    ini, config, env, unclear = alembic.ini, alembic.config, alembic.env, alembic.unclear
    home = ini.parent if ini else root
    urls, failure = ([], "") if url or not env else _probe(home, config)
    if failure and not urls:
        unclear.append(f"env.py could not be loaded: {failure}")
    if not url and len(set(urls)) > 1:
        unclear.append(f"env.py migrates several databases: {', '.join(map(_hidden, urls))}")
    elif urls:
        url = urls[0]
    variable = _variable(root, home, config, env, url) if env and url else ""
    relative = _settled(url, home, root) if url else registry.only_one(root)
    if relative and url and make_url(url).password != make_url(relative).password:
        unclear.append("the password is not written down: PGPASSWORD, ~/.pgpass, or the variable")
    return Project(root, config, ini, env, relative, variable, unclear)


def look_at_alembic(root: Path) -> Project:
    """The same without the database: nothing of the project is run."""
    unclear: list[str] = []
    ini = _ini(root, unclear)
    config = _config(root, ini)
    env = _env(root, ini, config, unclear) if config else None
    return Project(root, config, ini, env, "", "", unclear)


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


def _env(root: Path, ini: Path | None, config: dict[str, str], unclear: list[str]) -> Path | None:
    try:
        with chdir(ini.parent if ini else root):
            path = Path(ScriptDirectory.from_config(Config(**config)).env_py_location).resolve()  # type: ignore[arg-type]  # each by its name
    except (CommandError, OSError, ValueError, KeyError) as error:
        unclear.append(f"env.py: {error}")
        return None
    if not path.is_relative_to(root.resolve()):
        unclear.append(f"env.py is not in the project: {path}")
        return None
    return root / path.relative_to(root.resolve())


def _python(root: Path) -> str:
    """The project's own Python: undrop may have been started by ``uvx``, outside of it."""
    own = root / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


def has_undrop(root: Path) -> bool:
    """Whether the project's own Python can import undrop, as ``env.py`` will have to."""
    done = subprocess.run(  # noqa: S603 - the project's own interpreter
        [_python(root), "-c", "import undrop.alembic"], capture_output=True, cwd=root, check=False
    )
    return done.returncode == 0


def _probe(home: Path, config: dict[str, str], **variables: str) -> tuple[list[str], str]:
    """The URLs that ``env.py`` would use, and what failed; a file made on the way goes again."""
    there = set(_files(home, "*", 2))
    script = Path(__file__).with_name("probe.py")
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            [_python(home), str(script), json.dumps(config)],
            cwd=home,
            env={**os.environ, **variables},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        urls, failure = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        urls, failure = [], str(error)
    for path in set(_files(home, "*", 2)) - there:
        if path.is_file() and path.stat().st_size == 0:
            path.unlink()
    return urls, failure


def _variable(root: Path, home: Path, config: dict[str, str], env: Path, url: str) -> str:
    """The variable that moves ``env.py`` to another database when it is set, tried out."""
    sources = [env, *_files(root, "*.py", 4), *root.glob(".env*")]
    scheme = registry.scheme(url)
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
        for given in registry.adopting(url).probes(MARK):
            if any(MARK in url for url in _probe(home, config, **{name: given})[0]):
                return name
    return ""


def _settled(url: str, home: Path, root: Path) -> str:
    """The same URL as it is written down."""
    try:
        return registry.adopting(url).settled(url, home, root)
    except UndropError as error:
        raise UsageError(f"{_hidden(url)}: {error.what}", GIVE_URL) from None


def _hidden(url: str) -> str:
    """A URL to show, also one that nothing can read: whatever stands before a host is left out."""
    return re.sub(r"//(?!/).*@", "//***@", url)
