"""A project of Django's: its ``manage.py``, its databases, and the lines in its settings."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from undrop import folders
from undrop.adopt import blocks, environments
from undrop.engines import registry
from undrop.migrations import process

MANAGE = "manage.py"
RUNS = re.compile(rb"execute_from_command_line|ManagementUtility")
DEFAULT = "default"
"""The alias that Django itself asks for."""
APP = "undrop.django"
MISSING = "NO BACKUP IS TAKEN BEFORE A MIGRATION"
"""What the block says where undrop is not installed."""
# The package first: looking for a module in one that is missing raises. A folder of that name is a
# package to find_spec, and an older undrop has no such module.
BLOCK = f"""\
if all(map(__import__("importlib.util").util.find_spec, ("undrop", "{APP}"))):
    INSTALLED_APPS = type(INSTALLED_APPS)(
        ["{APP}", *(app for app in INSTALLED_APPS if app != "{APP}")]
    )
else:
    print("undrop: {MISSING}: it is not installed", file=__import__("sys").stderr)
"""


class Django(NamedTuple):
    """What there is of Django in a project, as far as that can be told."""

    manage: Path
    settings: Path | None = None
    """The file that is to have the block; None where it cannot."""
    urls: dict[str, str] = {}  # noqa: RUF012 - a tuple's default, nobody appends to it
    """By alias, with the passwords that they have; relative to where ``manage.py`` is."""
    unclear: list[str] = []  # noqa: RUF012
    """What is not guarded, and why."""
    migrates: bool = True
    """Whether undrop can have it migrate a copy."""


class _Told(NamedTuple):
    """What ``django_probe.py`` answers."""

    databases: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - likewise
    file: str = ""
    is_class: bool = False
    shape: str = ""
    installed: bool = False
    failure: str = ""
    made: list[str] = []  # noqa: RUF012
    """Files; they go again, those with nothing in them and databases."""


def every(root: Path) -> list[Path]:
    """Each ``manage.py`` of Django's in a project's folder, or in one of those in it."""
    files = []
    for folder, listed in folders.below(root):
        if root not in {folder, folder.parent}:
            break  # nearest first
        if any(file.name == MANAGE for file in listed) and _is_djangos(folder / MANAGE):
            files.append(folder / MANAGE)
    return files


def chosen(root: Path, named: str) -> tuple[Path | None, list[Path]]:
    """The one that is guarded, and the others that lie there.

    What the settings name, else what is in the root, else the one below.
    """
    files = every(root)
    the_one = root / named if named else None
    if the_one is None and files and (files[0].parent == root or len(files) == 1):
        the_one = files[0]
    return the_one, [file for file in files if file != the_one]


def asked(root: Path, manage: Path) -> Django:
    """What its settings have to say."""
    django, told = Django(manage), probe(root, manage)
    if told.failure or not told.databases:
        why = told.failure or "its settings have no DATABASES"
        return django._replace(
            unclear=[f"{MANAGE}, because it did not get as far as its database: {why}"]
        )
    unclear, urls = [], {}
    for alias, database in told.databases.items():
        if database["vendor"] in registry.ENGINES:
            urls[alias] = registry.django(database["vendor"]).url(database)
        else:
            unclear.append(
                f"{MANAGE} … --database={alias}, because {database['vendor']} is not supported"
            )
    django = django._replace(urls=urls, unclear=unclear, migrates=not told.is_class)
    if told.is_class:
        unclear.append(f"{MANAGE}, because its settings are a class of django-configurations")
    if told.is_class or told.installed:
        return django
    file = Path(told.file).resolve() if told.file else None
    if why := told.shape or _why_not(file, root):
        unclear.append(f"{MANAGE}, because {why}: put {APP!r} first in INSTALLED_APPS by hand")
        return django
    return django._replace(settings=file)


def probe(root: Path, manage: Path, variables: dict[str, str | None] | None = None) -> _Told:
    """What the settings have, with those variables. Never raises."""
    question = json.dumps({"manage": str(manage), "root": str(root)})
    script = str(Path(__file__).with_name("django_probe.py"))
    python = environments.python(root, manage.parent, "django")
    said = environments.ask([python, script, question], manage.parent, variables)
    try:
        told = _Told(**json.loads(said.out))
    except (ValueError, TypeError):  # nothing, or what somebody else printed
        told = _Told(failure=said.failure or f"it answered {said.out.strip()[-80:]!r}")
    process.discard(told.made)
    return told


def default_url(root: Path, manage: Path, variables: dict[str, str | None]) -> str:
    """Where the settings have the default database, with those variables; empty for nowhere."""
    database = probe(root, manage, variables).databases.get(DEFAULT)
    if not database or database["vendor"] not in registry.ENGINES:
        return ""
    return registry.django(database["vendor"]).url(database)


def added(text: str | None) -> str | None:
    """The settings' text with the block at its end, where nothing of ours is in it."""
    if text is None or APP in text:
        return text
    return blocks.add(text, BLOCK)


def with_block(root: Path) -> list[Path]:
    """The files of settings that have it; nothing of the project is run for that."""
    return [
        folder / file.name
        for folder, files in folders.below(root)
        for file in files
        if file.name.endswith(".py") and _has_block(folder / file.name)
    ]


def elsewhere(root: Path, file: Path) -> str:
    """The words for another ``manage.py``, with the line that guards it."""
    folder = shlex.quote(str(file.parent.relative_to(root)))
    return f"{file.relative_to(root)}: cd {folder} && undrop init"


def _has_block(path: Path) -> bool:
    try:
        source = path.read_bytes()
    except OSError:
        return False
    return blocks.BEGIN.encode() in source and APP.encode() in source


def _is_djangos(file: Path) -> bool:
    try:
        return bool(RUNS.search(file.read_bytes()))
    except OSError:
        return False


def _why_not(file: Path | None, root: Path) -> str:
    if file is None or file.suffix != ".py" or not file.is_file():
        return "its settings have no file"
    if not file.is_relative_to(root.resolve()) or "site-packages" in file.parts:
        return f"its settings are not in the project: {file}"
    writable = os.access(file.parent, os.W_OK)
    return "" if writable else f"its settings cannot be written: {file}"
