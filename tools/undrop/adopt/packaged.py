"""Applications that bring their migrations along: Alembic's files in the environment's packages."""

import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from alembic.config import Config

from undrop.adopt import environments, places
from undrop.errors import UndropError
from undrop.recipes import Action, Text

PACKAGES = {"site-packages", "dist-packages"}
LISTED = re.compile(r"^(?P<folder>[^,\n]*)/env\.py,", re.MULTILINE)
"""In a package's RECORD (packaging.python.org/specifications/recording-installed-packages)."""
HOW_FAR = 3  # folders above env.py in which alembic.ini may be


class Application(NamedTuple):
    """How a known application is upgraded, and moved to another database."""

    command: tuple[str, ...]
    variable: str = ""
    alone: str = ""
    """The folder of its migrations, where this command runs them and Alembic by itself cannot."""


KNOWN = {
    "airflow": Application(("airflow", "db", "migrate"), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"),
    "buildbot": Application(("buildbot", "upgrade-master")),
    "jupyterhub": Application(("jupyterhub", "upgrade-db")),
    "mlflow": Application(("mlflow", "db", "upgrade", "URL")),
    "optuna": Application(("optuna", "storage", "upgrade", "--storage", "URL")),
    "phoenix": Application(("phoenix", "serve"), "PHOENIX_SQL_DATABASE_URL"),
    "prefect": Application(
        ("prefect", "server", "database", "upgrade", "-y"),
        "PREFECT_API_DATABASE_CONNECTION_URL",
        "prefect/server/database/_migrations",  # its env.py wants its server's thread
    ),
    "superset": Application(("superset", "db", "upgrade")),
}
"""By the package that has the migrations; what is in capitals is to be filled in."""
OTHER = Application(("COMMAND",))


class Packaged(NamedTuple):
    """Migrations of a package's."""

    folder: Path
    """The one with ``env.py``."""
    ini: Path | None
    """The configuration that leads there, if there is one."""
    variable: str
    """The environment variable by which the application is moved, where that is known."""


def is_packaged(path: Path) -> bool:
    """Whether a file is somebody's package's, which nobody edits."""
    return bool(PACKAGES & {*path.parts})


def find(root: Path, revisions: Iterable[str]) -> list[Packaged]:
    """Packages of the project's environments that have migrations at one of these revisions.

    Their files are searched, nothing of theirs is run.
    """
    of_them = "|".join(map(re.escape, revisions))
    names_one = re.compile(rf"""^revision\b[^=\n]*=\s*["'](?:{of_them})["']""", re.MULTILINE)
    folders = (
        folder
        for site in environments.packages(root, root)
        for folder in _with_env(site)
        if any(names_one.search(text) for text in _modules(folder))
    )
    once: dict[Path, Path] = {}  # environments may be links to one another
    for folder in folders:
        once.setdefault(folder.resolve(), folder)
    return [
        Packaged(folder, _ini(folder), _application(folder)[1].variable) for folder in once.values()
    ]


def own_command(folder: Path) -> str:
    """The known application's command that alone runs the migrations in ``folder``; or empty."""
    alone = (
        application.command
        for application in KNOWN.values()
        if application.alone and f"{folder}".endswith(f"/{application.alone}")
    )
    return shlex.join(next(alone, ()))


def told(path: Path) -> tuple[Text, ...]:
    """How the application is upgraded behind a backup, ``path`` being a file of its migrations."""
    name, application = _application(path)
    typed = not any(word.isupper() for word in application.command)
    return (
        (
            f"NOT guarded: {name}'s own upgrade when it is typed alone, for its migrations lie in "
            "a package and stay what they are. Type",
            Action("run", *application.command, typed=typed),
            "; a service gets ExecStartPre=undrop backup",
        ),
    )


def _application(path: Path) -> tuple[str, Application]:
    at = next(n for n, part in enumerate(path.parts) if part in PACKAGES)
    name = path.parts[at + 1]
    return name, KNOWN.get(name, OTHER)


def _with_env(site: Path) -> Iterator[Path]:
    """Folders of installed packages that have an ``env.py``."""
    for record in site.glob("*.dist-info/RECORD"):
        with suppress(OSError):
            for match in LISTED.finditer(record.read_text("utf-8", "replace")):
                yield site / match["folder"]


def _modules(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        with suppress(OSError):
            yield path.read_text("utf-8", "replace")


def _ini(folder: Path) -> Path | None:
    """The ``alembic.ini`` beside or above whose migrations are those in ``folder``."""
    for above in (folder, *folder.parents)[:HOW_FAR]:
        ini = above / places.INI
        with suppress(UndropError, Exception):  # a template of one is none
            if ini.is_file() and _leads_to(ini, folder):
                return ini
    return None


def _leads_to(ini: Path, folder: Path) -> bool:
    name = Config(str(ini)).get_main_option("script_location") or ""
    package, *below = name.split(":")
    if below:  # alembic.sqlalchemy.org/en/latest/tutorial.html: a package's, and a folder in it
        inside = Path(*package.split("."), *below)
        return folder.parts[-len(inside.parts) :] == inside.parts
    return bool(name) and Path(ini.parent, name).resolve() == folder.resolve()
