"""The application that the migrations of Flask-Migrate need: their env.py asks it for everything.

The standard library, Alembic and the project's own Flask only: the project's Python, which may
have no undrop, loads it from here.
"""

import configparser
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOADING = "UNDROP_LOADING"
"""The variable that says, here and to what is started, that an application is only loaded."""


def folder(config: dict[str, str]) -> Path | None:
    """Flask-Migrate's folder, where these arguments for Alembic's ``Config`` name its alembic.ini.

    It has no ``script_location``, which the application gives, or its env.py wants to be run in the
    application's context. None for any other.
    """
    ini = Path(config.get("file_", ""))
    env = ini.parent / "env.py"
    if not env.is_file():
        return None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(ini, "utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return None  # Alembic says what is wrong with it
    is_given = parser.has_option("alembic", "script_location") or "toml_file" in config
    source = env.read_bytes()
    wants_context = b"current_app" in source and b"app_context" not in source
    return ini.parent if wants_context or not is_given else None


def home(config: dict[str, str], root: Path, plain: Path) -> Path:
    """Where its commands are typed: ``flask`` in the project's folder, ``alembic`` in ``plain``."""
    return root if folder(config) else plain


def loaded() -> Any:  # noqa: ANN401 - Flask's ``ScriptInfo``
    """The application that ``flask`` finds: FLASK_APP, wsgi.py or app.py, a factory in it.

    Whatever its code raises is raised.
    """
    from flask import cli

    cli.load_dotenv()
    found = cli.ScriptInfo(os.environ.get("FLASK_APP"))
    found.load_app()
    return found


@contextmanager
def context(folder: Path) -> Iterator[Any]:
    """Alembic's ``Config`` as Flask-Migrate makes it, in the application's context.

    Raises as ``loaded`` does.
    """
    from flask import current_app

    os.environ[LOADING] = "1"
    try:
        app = loaded().load_app()
    finally:
        del os.environ[LOADING]
    with app.app_context():
        yield current_app.extensions["migrate"].migrate.get_config(str(folder))
