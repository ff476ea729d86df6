"""A project, as far as it can be told, and its URLs as they are written down."""

import re
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import make_url

from undrop import settings
from undrop.adopt import known, packaged, places
from undrop.engines import registry
from undrop.errors import UndropError, UsageError
from undrop.recipes import Action, Text
from undrop.settings import Database

NOT_GUARDED = "NOT guarded"
GIVE_URL = Action("init", "--url", "sqlite:///FILE.db", typed=False)


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
    alembic_command: str = ""
    """The application's own that runs Alembic, where that cannot load ``env.py`` by itself."""
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
        hidden = self.env_file or (self.variable and not self.public and is_served(self))
        return "" if hidden else self.url

    @property
    def alembic(self) -> str:
        """Where ``ini`` is, as the settings have it: from the root, where it is below that."""
        if not self.ini or self.ini == self.root / places.INI:
            return ""
        inside = self.ini.is_relative_to(self.root)
        return str(self.ini.relative_to(self.root) if inside else self.ini)


def is_served(project: Project) -> bool:
    """Whether the database is on a server, whose URL is nobody's business."""
    engine = settings.of(project.root, {"url": project.url}).engine
    return engine.file is None and not engine.in_memory


def has_password(url: str) -> bool:
    """Whether a password is written in it."""
    return make_url(url).password is not None


def source(url: str, root: Path) -> str:
    """What tells a database from others, driver and password apart. Raises UsageError."""
    return settings.of(root, {"url": url}).source


def settled(url: str, home: Path, root: Path) -> str:
    """The same URL as it is written down."""
    try:
        return registry.adopting(url).settled(url, home, root)
    except UndropError as error:
        raise UsageError(f"{_hidden(url)}: {error.what}", GIVE_URL) from None


def _hidden(url: str) -> str:
    """A URL to show, also one that nothing can read: whatever stands before a host is left out."""
    return re.sub(r"//(?!/).*@", "//***@", url)
