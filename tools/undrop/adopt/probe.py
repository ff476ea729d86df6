"""Which databases ``env.py`` would go to. Run as a script by the project's own Python.

``probe.py JSON`` with the arguments of ``alembic.config.Config``; prints the URLs and what failed,
in JSON. The environment is loaded offline, so that nothing is connected to where it can be helped,
and no migration runs.
"""

import io
import json
import os
import sys
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory


def urls(arguments: dict[str, Any]) -> tuple[list[str], str]:
    """Every URL or connection that ``env.py`` configures a context with, and what failed."""
    urls_seen: list[str] = []
    failure = ""

    config = Config(**arguments)
    config.attributes["undrop_probe"] = True  # where undrop is there already: nothing is changed
    script = ScriptDirectory.from_config(config)
    environment = EnvironmentContext(
        config, script, fn=_no_migrations, as_sql=True, destination_rev="head"
    )
    configure = environment.configure

    def noted(connection: Any = None, url: Any = None, **options: Any) -> None:  # noqa: ANN401
        known = url if url is not None else getattr(connection, "engine", connection).url
        text = getattr(known, "render_as_string", None)
        urls_seen.append(text(hide_password=False) if text else str(known))
        options["output_buffer"] = io.StringIO()
        configure(connection=connection, url=url, **options)

    environment.configure = noted  # type: ignore[method-assign,assignment]  # what env.py calls
    try:
        with environment:
            script.run_env()
    except Exception as error:  # noqa: BLE001 - env.py is anybody's code
        failure = f"{type(error).__name__}: {error}"
    return urls_seen, failure


def _no_migrations(_revision: object, _context: object) -> list[Any]:
    return []


if __name__ == "__main__":
    answer = os.dup(1)
    os.dup2(2, 1)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - where alembic looks for modules, too
    os.write(answer, json.dumps(urls(json.loads(sys.argv[1]))).encode())
    os._exit(0)
