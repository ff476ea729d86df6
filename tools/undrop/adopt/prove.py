"""The project's own upgrade command, tried on a throw-away copy. Run by the project's own Python.

``prove.py JSON`` with a question; prints in JSON which databases Alembic was configured with, and
whether a backup had been taken by then. The command runs as it is typed, behind the fence; the
engines of SQLAlchemy's get the copy where they would go to the live database, and an application
that is loaded before gets scratch copies.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from sqlalchemy.engine import make_url

sys.path.insert(0, str(Path(__file__).parent))
from projectside import main, migrated, ours  # type: ignore[import-not-found]  # there may be no undrop

sys.path.pop(0)
Fence = ours("engines/sqlite/fence.py").Fence
copies = ours("engines/diversion.py")
own_command = ours("migrations/own_command.py")


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """``seen``: each database's URL, and whether there was a backup then; ``failure``.

    And ``variable``: what the project's variable is by then, which ``env.py`` may have set.
    """
    told: dict[str, Any] = {"seen": [], "failure": "", "made": [], "variable": ""}
    copies_of = question["copies"]
    fence = Fence(question["live"], [*copies_of.values()], question["root"], [*copies_of])
    fence.install()
    os.environ["UNDROP_PROOF"] = json.dumps(question["settings"])

    by_file = {os.path.realpath(live): os.path.realpath(copy) for live, copy in copies_of.items()}

    def to_copy(path: str) -> str:
        return str(by_file.get(fence.live_of(path), path))

    def copy_of(text: str) -> str:
        return str(by_file.get(fence.live_of(make_url(text).database or ""), ""))

    own = by_file.get(fence.live, "")

    copies.only_read_on_servers()
    scratch = copies.Scratch(question["scratch"])
    diversion = copies.Diversion(fence.paths, scratch.copy)
    configure, run = EnvironmentContext.configure, EnvironmentContext.run_migrations

    def enters(environment: EnvironmentContext) -> None:
        diversion.turn(to_copy)
        if question["sql"]:
            environment.context_opts["as_sql"] = True

    def configured(
        environment: EnvironmentContext,
        connection: Any = None,  # noqa: ANN401
        url: Any = None,  # noqa: ANN401
        *arguments: Any,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> None:
        is_held = any(Path(question["settings"]["backups"]).glob(question["proof"]))
        if text := migrated(connection, url):
            make_url(text)  # raises where it is none, before anybody reads it
            if copy_of(text) == own and len(by_file) > 1:
                is_held = own in _sources(question)
            told["seen"].append([text, is_held or copy_of(text) not in {"", own}])
            told["variable"] = os.environ.get(question["variable"], "")
        configure(environment, connection, url, *arguments, **options)

    def ran(environment: EnvironmentContext, **named: Any) -> None:  # noqa: ANN401
        # The hook is told of the others when they are configured, and backs them up then.
        if told["seen"] and (other := copy_of(told["seen"][-1][0])) not in {"", own}:
            told["seen"][-1][1] = other in _sources(question)
        run(environment, **named)

    EnvironmentContext.run_migrations = ran  # type: ignore[method-assign,assignment]
    EnvironmentContext.configure = configured  # type: ignore[method-assign,assignment]
    try:
        with own_command.watched(enters=enters):
            _typed(question["command"])
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is anybody's code
        if not isinstance(error, SystemExit) or error.code:
            told["failure"] = f"{type(error).__name__}: {error}"
    if refused := fence.refused():
        told["failure"] = f"refused: {refused[0]}"
    return {**told, "made": fence.left()}


def _sources(question: dict[str, Any]) -> set[str]:
    """The files of which there are backups."""
    notes = Path(question["settings"]["backups"]).glob("*.json")
    records = [json.loads(note.read_bytes()) for note in notes]
    sources = [record["source"] for record in records if record.get("before") == "alembic"]
    return {os.path.realpath(os.path.join(question["root"], source)) for source in sources}  # noqa: PTH118


def _typed(command: list[str]) -> None:
    """What the command does when it is typed; Flask's application is loaded before."""
    if command[0] != "flask":
        own_command.run(command)
        return
    from flask.cli import FlaskGroup

    application = ours("migrations/flask_app.py").loaded()
    FlaskGroup().main(command[1:], "flask", standalone_mode=False, obj=application)


if __name__ == "__main__":
    main(answer)
