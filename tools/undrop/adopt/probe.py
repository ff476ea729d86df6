"""Where ``env.py`` is, and which databases it would go to. Run by the project's own Python.

``probe.py JSON`` with a question; prints an answer in JSON. The environment is loaded offline,
so that nothing is connected to where it can be helped, and no migration runs; what is connected to
all the same is behind the fence, and an application that is loaded for it gets scratch copies.
"""

import io
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

sys.path.insert(0, str(Path(__file__).parent))
from projectside import main, ours  # type: ignore[import-not-found]  # there may be no undrop

sys.path.pop(0)
Fence = ours("engines/sqlite/fence.py").Fence
flask_app = ours("migrations/flask_app.py")


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """``env``: the file; what it configures a context with; ``failure``: what failed."""
    told: dict[str, Any] = {"env": "", "urls": [], "version_table": "", "failure": "", "made": []}
    fence = Fence("", [], question["root"])
    fence.install()
    with ExitStack() as stack:
        try:
            flask = flask_app.folder(question["config"])
            if flask:
                told["env"] = str(flask / "env.py")
            if flask and question["run"]:
                copies = ours("engines/diversion.py")
                scratch = copies.Scratch(stack.enter_context(TemporaryDirectory()))
                copies.Diversion(fence.paths, scratch.copy)
                config = stack.enter_context(flask_app.context(flask))
            else:
                config = Config(**question["config"])
            config.attributes["undrop_probe"] = True  # where undrop is there already: no backup
            if question["run"] or not flask:
                script = ScriptDirectory.from_config(config)
                told["env"] = script.env_py_location
            if question["run"]:
                _load(config, script, told)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - env.py is anybody's code
            told["failure"] = f"{type(error).__name__}: {error}"
    if refused := fence.refused():
        told["failure"] = f"refused: {refused[0]}"
    return {**told, "made": fence.left()}


def _load(config: Config, script: ScriptDirectory, told: dict[str, Any]) -> None:
    environment = EnvironmentContext(
        config, script, fn=_no_migrations, as_sql=True, destination_rev="head"
    )
    configure = environment.configure

    def noted(connection: Any = None, url: Any = None, **options: Any) -> None:  # noqa: ANN401
        known = url if url is not None else getattr(connection, "engine", connection).url
        text = getattr(known, "render_as_string", None)
        told["urls"].append(text(hide_password=False) if text else str(known))
        told["version_table"] = options.get("version_table", "")
        options["output_buffer"] = io.StringIO()
        configure(connection=connection, url=url, **options)

    environment.configure = noted  # type: ignore[method-assign,assignment]  # what env.py calls
    with environment:
        script.run_env()


def _no_migrations(_revision: object, _context: object) -> list[Any]:
    return []


if __name__ == "__main__":
    main(answer)
