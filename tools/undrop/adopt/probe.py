"""Where ``env.py`` is, and which databases it would go to. Run by the project's own Python.

``probe.py JSON`` with a question; prints an answer in JSON. The environment is loaded offline,
so that nothing is connected to where it can be helped, and no migration runs; what is connected to
all the same is behind the fence, and an application that is loaded for it gets scratch copies.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

sys.path.insert(0, str(Path(__file__).parent))
from projectside import main, migrated, ours  # type: ignore[import-not-found]  # there may be no undrop

sys.path.pop(0)
Fence = ours("engines/sqlite/fence.py").Fence
flask_app = ours("migrations/flask_app.py")


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """``env``: the file; what it configures a context with; ``failure``: what failed.

    And the URLs that the configuration has by then: the ``main`` one, and ``names`` of sections.
    """
    told: dict[str, Any] = {"env": "", "urls": [], "version_table": "", "failure": "", "made": []}
    told |= {"names": {}, "main": ""}
    fence = Fence("", [], question["root"])
    fence.install()
    with ExitStack() as stack:
        try:
            _ask(question, told, fence, stack)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - env.py is anybody's code
            told["failure"] = f"{type(error).__name__}: {error}"
    if refused := fence.refused():
        told["failure"] = f"refused: {refused[0]}"
    # The multidb template makes a file for each database's SQL, which we have it write elsewhere.
    empty = [path for path in fence.made if os.path.isfile(path) and not os.path.getsize(path)]  # noqa: PTH113, PTH202 - never raises
    return {**told, "made": [*fence.left(), *empty]}


def _ask(question: dict[str, Any], told: dict[str, Any], fence: Any, stack: ExitStack) -> None:  # noqa: ANN401
    flask = flask_app.folder(question["config"])
    if not question["run"]:
        script = None if flask else ScriptDirectory.from_config(Config(**question["config"]))
        told["env"] = script.env_py_location if script else str(flask / "env.py")
        return
    copies = ours("engines/diversion.py")
    scratch = copies.Scratch(stack.enter_context(TemporaryDirectory()))
    if flask:
        told["env"] = str(flask / "env.py")
        copies.Diversion(fence.paths, scratch.copy)
        config = stack.enter_context(flask_app.context(flask))
    else:
        config = Config(**question["config"])
    config.attributes["undrop_probe"] = True  # where undrop is there already: no backup
    script = ScriptDirectory.from_config(config)
    told["env"] = script.env_py_location
    failure = None
    try:
        with _overwriting_nothing():
            _load(config, script, told, as_sql=True)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        failure = error
    if not told["urls"]:
        if not flask:
            copies.Diversion(fence.paths, scratch.copy)
        try:  # as `alembic current` does, on copies: there may be no way offline
            _load(config, script, told, as_sql=False)
        except (Exception, SystemExit) as error:
            if not told["urls"]:
                raise (failure or error) from error
    told["main"], told["names"] = _written(config)


@contextmanager
def _overwriting_nothing() -> Iterator[None]:
    """Have no file overwritten: Alembic's multidb template writes SQL into one for each database.

    An audit hook stays (docs.python.org/3/library/sys.html#sys.addaudithook): it looks on after.
    """
    on = True

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if on and event == "open" and isinstance(arguments[0], str | bytes):
            name, _, flags = arguments
            if flags & os.O_TRUNC and os.path.isfile(name) and os.path.getsize(name):  # noqa: PTH113, PTH202 - any text
                raise PermissionError(f"{os.fsdecode(name)} would be overwritten")

    sys.addaudithook(look)
    try:
        yield
    finally:
        on = False


def _written(config: Config) -> tuple[str, dict[str, str]]:
    """The URL in the configuration's main section, and in others: the section by the URL."""
    names = {}
    for section in config.file_config.sections():
        with suppress(Exception):  # it is anybody's text
            if section != config.config_ini_section and (url := _url(config, section)):
                names[url] = section
    with suppress(Exception):
        return _url(config, config.config_ini_section), names
    return "", names


def _url(config: Config, section: str) -> str:
    return config.get_section_option(section, "sqlalchemy.url") or ""


def _load(config: Config, script: ScriptDirectory, told: dict[str, Any], *, as_sql: bool) -> None:
    environment = EnvironmentContext(
        config,
        script,
        fn=_no_migrations,
        dont_mutate=True,
        **({"as_sql": True, "destination_rev": "head"} if as_sql else {}),
    )
    configure = environment.configure

    def noted(connection: Any = None, url: Any = None, **options: Any) -> None:  # noqa: ANN401
        if text := migrated(connection, url):
            told["urls"].append(text)
        told["version_table"] = options.get("version_table", "")
        if as_sql:
            options["output_buffer"] = io.StringIO()
        configure(connection=connection, url=url, **options)

    environment.configure = noted  # type: ignore[method-assign,assignment]  # what env.py calls
    with environment:
        script.run_env()


def _no_migrations(_revision: object, _context: object) -> list[Any]:
    return []


if __name__ == "__main__":
    main(answer)
