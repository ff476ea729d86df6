"""Migration tools that are known, and how each is told its database.

What is not here is written into the settings by hand: ``migrate-command``, ``migrate-url``.
"""

import json
import os
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from dotenv import dotenv_values

from undrop import settings
from undrop.engines import registry

NAMES = r"""process\.env(?:\.|\[["'])(\w+)|\benv\(["'](\w+)["']\)"""
"""A variable in a file of JavaScript's, or in Prisma's schema, …"""
NAMES += r"""|use_env_variable["']?\s*:\s*["'](\w+)"""  # …in Sequelize's
NAMES += r"""|(?:environ(?:\.get\(|\[)|getenv\()\s*["'](\w+)["']"""  # …in Python's
READ_BY = re.compile(NAMES)
LIKELY = re.compile(r"DATABASE|DB|SQL|DSN|URL|URI", re.IGNORECASE)
PART = re.compile(
    r"HOST|USER|PASS|PORT|CLIENT|DIALECT|DRIVER|TYPE|SCHEMA|SSL|POOL|TOKEN|(?<!FILE)(?<!FILE_)NAME",
    re.IGNORECASE,
)
"""Of what a configuration of separate variables has: none of them is the database."""
SUFFIXES = (".db", ".sqlite", ".sqlite3")
DOTENV = re.compile(r"\.env(?!\.(?:example|sample|template|dist)\b)")
"""Files that set variables; those that only show how one would look set none."""
SCHEME = re.compile(r"([a-zA-Z][\w+.-]+):")
OF_NODE, OF_PYTHON = "package.json", "pyproject.toml"


class Tool(NamedTuple):
    """A tool by which a project may be migrated."""

    name: str
    """Of its package; of ``package.json``'s, where ``command`` begins with npx."""
    command: str
    form: str
    """How it takes a file, where the project's own files do not show it (``migrate-url``)."""
    files: tuple[str, ...] = ()
    """Its configuration, one of which must be there; searched for the variable."""
    variable: str = ""
    """Which it reads by itself."""
    script: str = ""
    """What a script in ``package.json`` has that does the same, with the options that it needs."""
    options: str = ""
    """Behind the command, where no variable leads it."""
    create: str = ""
    beside: bool = False
    """Whether it takes a path from the folder of its configuration, where the file is there."""


TOOLS = (
    Tool(
        "dbmate",
        "npx dbmate up",
        "sqlite:{path}",
        variable="DATABASE_URL",
        script=r"\bdbmate\b.*\b(up|migrate)\b",
    ),
    Tool(
        "drizzle-kit",
        "npx drizzle-kit migrate",
        "file:{path}",
        ("drizzle.config.*",),
        script=r"\bdrizzle-kit migrate\b",
    ),
    Tool(
        "prisma",
        "npx prisma migrate deploy",
        "file:{path}",
        ("prisma/schema.prisma", "schema.prisma", "prisma/schema/*.prisma", "prisma.config.*"),
        script=r"\bprisma migrate deploy\b",
        beside=True,
    ),
    Tool(
        "knex",
        "npx knex migrate:latest",
        "{path}",
        ("knexfile.*",),
        script=r"\bknex migrate:latest\b",
    ),
    Tool(
        "sequelize-cli",
        "npx sequelize-cli db:migrate",
        "sqlite:{path}",
        ("config/config.*", ".sequelizerc", "config/database.*"),
        script=r"\bsequelize(-cli)? db:migrate\b(?!:)",
        options="--url sqlite:{path}",
    ),
    Tool("yoyo", "yoyo apply --batch", "", ("yoyo.ini",), options="--database {url}"),
    Tool("aerich", "aerich upgrade", "sqlite://{path}"),
    Tool("peewee-migrate", "pw_migrate migrate", "", options="--database {url}"),
    Tool(
        "fastmigrate",
        "fastmigrate_run_migrations",
        "",
        options="--db {path}",
        create="fastmigrate_create_db --db {path}",
    ),
)


class Known(NamedTuple):
    """What migrates a project, as it is written into the settings."""

    command: str
    form: str = ""
    create: str = ""
    variable: str = ""
    env_file: str = ""
    """The dotenv file that sets the variable."""
    url: str = ""
    """What the variable is set to, as SQLAlchemy's URL; empty where that is not known."""


def find(root: Path) -> Known | None:
    """What a project is migrated with that is not Alembic; None where that cannot be told.

    By its files alone, nothing is run. Of several the first in TOOLS.
    """
    node, python = _of_node(root), _of_python(root)
    for tool in TOOLS:
        files = [path for pattern in tool.files for path in sorted(root.glob(pattern))]
        named = tool.name in node if tool.command.startswith("npx ") else tool.name in python
        if (named or (files and not tool.command.startswith("npx "))) and (files or not tool.files):
            return _led(root, tool, files)
    return None


def _led(root: Path, tool: Tool, files: list[Path]) -> Known:
    """With what leads it to its database; without a command where nothing is seen that does."""
    variable = tool.variable or _variable(root, tool, files)
    command, options = _command(root, tool), tool.options
    if not variable:
        led = f"{command} {options}" if options else ""
        return Known(led, create=_own(root, tool.create))
    env_file, given = _given(root, variable)
    form = _form(given, tool.form)
    url = registry.url(given, form) if given else ""
    if tool.beside and url and (there := _beside(root, files, url)):
        env_file, url = "", there  # from the root, the variable would name another file
    return Known(command, form, _own(root, tool.create), variable, env_file, url)


def _beside(root: Path, files: list[Path], url: str) -> str:
    """The URL with its file beside one of these, where it is not below the root; empty otherwise.

    prisma.io/docs/orm/overview/databases/sqlite: from the schema's folder; since 7, from the root.
    """
    scheme, mark, name = url.partition(":///")
    if not mark or name.startswith("/") or (root / name).exists() or files[0].parent == root:
        return ""
    return f"{scheme}:///{files[0].parent / name}"


def _form(given: str, usual: str) -> str:
    """How a file is named, by how it is named now; empty for a server's, whose URL is plain."""
    if not given:
        return usual
    scheme = SCHEME.match(given)
    if scheme is None:
        return "{path}"
    if scheme[1] == "file":
        return "file:{path}"
    return usual if scheme[1] in usual else ""


def _command(root: Path, tool: Tool) -> str:
    scripts = _json(root / OF_NODE).get("scripts")
    if tool.script and isinstance(scripts, dict):
        for name, text in scripts.items():
            if isinstance(text, str) and re.search(tool.script, text):
                return f"npm run --silent {shlex.quote(name)}"
    return _own(root, tool.command)


def _own(root: Path, command: str) -> str:
    """A command of Python's by the project's own environment, where it has one there."""
    program, _, rest = command.partition(" ")
    for folder in (".venv", "venv"):
        if program and os.access(root / folder / "bin" / program, os.X_OK):
            return f"{folder}/bin/{program} {rest}"
    return command


def _variable(root: Path, tool: Tool, files: list[Path]) -> str:
    """The one that leads to a database, as it is set; else the first that is not set at all."""
    names: list[str] = []
    for path in files or _modules_of(root, tool):
        with suppress(OSError):
            matches = READ_BY.finditer(path.read_text("utf-8", "replace"))
            names += [next(filter(None, match.groups())) for match in matches]
    likely = [name for name in names if LIKELY.search(name) and not PART.search(name)]
    given = {name: _given(root, name)[1] for name in likely}
    leads = [name for name in likely if _leads(root, given[name])]
    return next(iter([*leads, *(name for name in likely if not given[name])]), "")


def _leads(root: Path, given: str) -> bool:
    """Whether what a variable is set to names a database: a URL, or a file."""
    named = SCHEME.match(given) or given.endswith(SUFFIXES)
    return bool(given and (named or (root / given).is_file()))


def _modules_of(root: Path, tool: Tool) -> list[Path]:
    """The module that the tool's table in pyproject.toml names: ``settings.TORTOISE_ORM``."""
    tables = settings.tools(root)
    for name in (tool.name, "tortoise"):
        table = tables.get(name)
        named = table.get("tortoise_orm") if isinstance(table, dict) else None
        if isinstance(named, str):
            module = Path(*named.split(".")[:-1])
            return [root / folder / f"{module}.py" for folder in ("", "src")]
    return []


def _given(root: Path, variable: str) -> tuple[str, str]:
    """The dotenv file that sets a variable, and what it is set to, here or there."""
    for file in sorted(root.glob(".env*")):
        if DOTENV.match(file.name) and file.is_file():
            with suppress(ValueError):
                if value := dotenv_values(file).get(variable):
                    return file.name, os.environ.get(variable) or value
    return "", os.environ.get(variable, "")


def _of_node(root: Path) -> set[str]:
    package = _json(root / OF_NODE)
    lists = (package.get(name) for name in ("dependencies", "devDependencies"))
    return {name for each in lists if isinstance(each, dict) for name in each}


def _of_python(root: Path) -> set[str]:
    """Those of TOOLS that a project of Python's names as packages, or has a table of."""
    names = "|".join(tool.name.replace("-", "[-_]") for tool in TOOLS)
    listed = re.compile(rf"""(?im)(?:^\s*|["']|^\[tool\.)({names})(?![\w-])""")
    seen: set[str] = set()
    for name in (OF_PYTHON, "requirements.txt"):
        with suppress(OSError):
            texts = listed.findall((root / name).read_text("utf-8", "replace"))
            seen.update(text.lower().replace("_", "-") for text in texts)
    return seen - {"yoyo"}  # which is known by its own file


def _json(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        if isinstance(read := json.loads(path.read_bytes()), dict):
            return read
    return {}
