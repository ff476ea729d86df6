"""Which engine a URL names."""

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import UsageError
from undrop.recipes import Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from undrop.engines.protocol import Adopting, Backups, Djangos, Engine, Family, Migrating
    from undrop.engines.sqlite.fence import Fence
    from undrop.values import Session, Target


def _sqlite() -> "Family":
    from undrop.engines.sqlite import engine

    return engine


def _postgres() -> "Family":
    from undrop.engines.postgres import engine

    return engine


class Registered(NamedTuple):
    """An engine."""

    suffix: str
    """Of its backups: a folder may hold those from before the URL changed."""
    driver: str
    """The package that raises what it has not said in our words."""
    load: "Callable[[], Family]"


ENGINES = {
    "sqlite": Registered(".db", "sqlite3", _sqlite),
    "postgresql": Registered(".pgdump", "psycopg", _postgres),
}
"""By a URL's scheme, SQLAlchemy's name of the dialect."""
SUFFIXES = {engine.suffix: kind for kind, engine in ENGINES.items()}
OTHERS = "sqlite"  # says of any other URL that it is not supported


def choose(
    url: str, root: "Path", *, inside: bool, verify_url: str, session: "Session"
) -> "Engine":
    """The database that ``url`` names, relative paths taken from ``root``.

    ``inside`` says whether the backups are inside the project. Raises UsageError.
    """
    return _family(url).of_url(url, root, inside=inside, verify_url=verify_url, session=session)


def url(given: str, form: str) -> str:
    """The URL of what a variable is set to, where a tool wants it in a ``form`` (``form.read``)."""
    from undrop.engines import form as forms

    return forms.read(given, form)


def named(  # noqa: PLR0913 - what is to be filled in, and by what
    text: str, kind: str, url: str, target: "Target", *, is_file: bool, plain: bool
) -> str:
    """A text with ``{path}`` or ``{url}`` in it, filled in for ``target``.

    ``url`` is the project's, whose options are kept, and its driver, unless it is to be ``plain``.
    Raises UsageError.
    """
    from undrop.engines import form as forms

    if forms.PATH in text and not is_file:
        raise UsageError(
            f"{text} wants the path of a file, and the database is on a server",
            Setting('migrate-url = "{url}"'),
        )
    if forms.URL in text:
        address = migrating(kind).target_url(url, target)
        address = address.set(drivername=kind) if plain else address
        text = text.replace(forms.URL, address.render_as_string(hide_password=False))
    return forms.filled(text, target.database)


def of_backup(engine: "Engine", path: "Path", verify_url: str = "") -> "Backups":
    """What knows backups like this one: ``engine`` itself, unless its name says otherwise.

    Another one knows of a server only by ``verify_url``.
    """
    if path.suffix == engine.suffix or path.suffix not in SUFFIXES:
        return engine
    return ENGINES[SUFFIXES[path.suffix]].load().of_backups(verify_url, engine.session)


def migrating(kind: str) -> "Migrating":
    """What an engine has to say in Alembic's own process."""
    return ENGINES[kind].load().migrating()


def fence(live: str, free: list[str], root: str, others: "Collection[str]" = ()) -> "Fence":
    """Put the fence up around the project code of this process.

    ``live``: the live database's file, or empty; ``others``: those of the project's other
    databases; ``free``: files that may be written all the same;
    ``root``: the project's folder. A database that is a file may be anybody's, whatever this
    project's is.
    """
    from undrop.engines.sqlite.fence import Fence

    put_up = Fence(live, free, root, others)
    put_up.install()
    return put_up


def adopting(url: str) -> "Adopting":
    """What an engine has to say when a project is adopted."""
    return _family(url).adopting()


def django(kind: str) -> "Djangos":
    """What an engine has to say about Django's settings; Django names it as SQLAlchemy does."""
    return ENGINES[kind].load().of_django()


def is_of_driver(error: Exception) -> bool:
    """Whether a database's driver raised it; known by name, so that none is loaded for it."""
    packages = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    return bool(packages & {engine.driver for engine in ENGINES.values()})


def is_same(one: "Engine", other: "Engine") -> bool:
    """Whether two URLs name one database, as far as that shows without asking a server."""
    if one.file and other.file:
        with suppress(OSError):  # a hard link
            if one.file.samefile(other.file):
                return True
        return os.path.realpath(one.file) == os.path.realpath(other.file)
    return (one.kind, one.source) == (other.kind, other.source)


def seen(root: "Path", apart: "Collection[Path]" = ()) -> "dict[Path, str]":
    """Databases that lie in a project as files, and their URLs: a bounded look at its folders.

    Those ``apart``, files and folders, are not looked at.
    """
    files = {}
    for kind in ENGINES:
        files.update(adopting(kind).seen(root, apart))
    return files


def scheme(url: str) -> str:
    """SQLAlchemy's name of the dialect in a URL, as it is written there."""
    return re.split(r"[+:]", url, maxsplit=1)[0]


def _family(url: str) -> "Family":
    return ENGINES.get(scheme(url), ENGINES[OTHERS]).load()
