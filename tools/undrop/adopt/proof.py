"""Whether the guard holds: the project's own upgrade command, tried once on a throw-away copy."""

import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.engine import make_url

from undrop import hook
from undrop.adopt import environments, envpy
from undrop.engines import registry
from undrop.errors import UndropError
from undrop.migrations import process
from undrop.migrations.runner import own_words
from undrop.recipes import Setting, Text
from undrop.settings import known, load, of_url
from undrop.values import Session

if TYPE_CHECKING:
    from undrop.adopt.project import Project
    from undrop.settings import Settings

KEPT_NOWHERE = {"vault": False, "after-backup": ""}
"""Settings for the backups of a trial."""
PATIENCE = 300  # seconds for all migrations, on the copy
SETTLES = 1.0  # seconds for a database that was written just now to be told by its files
NO_BACKUP = hook.NO_BACKUP.format(hook.MIGRATION)
INSTALL = "uv add --dev undrop, or pip install undrop, into the environment that runs it"
LINES = "let env.py call backup_before(context) before it configures Alembic: undrop init does"
OWN = Setting('alembic-command = "COMMAND"')
LATE = "the call of backup_before in env.py comes too late, or never: put it before that by hand"


class Proof(NamedTuple):
    """What was tried, and how it ended."""

    door: str
    """The command that migrates, as it is typed."""
    failures: list[Text]
    """Why the guard does not hold, each with what to do; none where it holds."""
    others: list[str]
    """URLs of databases that it goes to as well, without passwords."""
    notes: tuple[Text, ...] = ()
    """What else is to be said, and says nothing of the guard."""


class _Told(NamedTuple):
    """What ``prove.py`` answers."""

    seen: list[tuple[str, bool]]
    failure: str = ""
    made: list[str] = []  # noqa: RUF012 - a tuple's default, nobody appends to it
    variable: str = ""


def prove(settings: "Settings", project: "Project", python: str) -> Proof:
    """Run the project's upgrade command on copies of its databases, or on empty ones.

    The guard's backups go to a folder that goes again, and live is not touched: what would write
    to it is refused, and it is watched. A server's database has no copy: what is tried there is
    what ``--sql`` does, which writes nothing. Raises OSError.
    """
    engine = settings.engine
    own = own_words(settings)
    door = settings.alembic_command or ("flask db" if project.flask else "alembic")
    with TemporaryDirectory(prefix="undrop-proof-") as folder:
        instead: dict[str, object] = {"backups": f"{folder}/backups", **KEPT_NOWHERE}
        copies, urls = _copied(settings, folder)
        copy = copies.get(str(engine.file), "")
        if copy:
            instead |= of_url(urls.pop(settings.name))
            instead |= {"databases": {name: {"url": url} for name, url in urls.items()}}
        before = watched(settings)
        question: dict[str, object] = {
            "root": str(project.root),
            "live": str(engine.file or ""),
            "copies": copies if copy else {},
            "scratch": folder,
            "settings": instead,
            # Of a server's database without a table there is no backup, and the step is written.
            "proof": f"*-alembic{engine.suffix}" if copy or engine.exists() else "steps.jsonl",
            "command": own or _typed(project),
            "sql": not copy,
            "variable": settings.variable,
        }
        told, said = _tried(project.root if own else project.home, python, question)
        process.discard(path for path in told.made if not path.startswith(folder))
        if watched(settings) != before:
            failure = "the live database was changed meanwhile, by it or by another program"
            return Proof(door, [failure], [])
    return _judged(settings, project, door, told, said)


def _copied(settings: "Settings", folder: str) -> tuple[dict[str, str], dict[str, str]]:
    """Copies of the project's databases that are files, by their own files; URLs by their names.

    A server's is its own: it is only read there.
    """
    copies, urls = {}, {}
    for each in known(settings):
        place = Path(folder, each.name)
        place.mkdir()
        copy, url = registry.adopting(each.url).copied(each.engine.file, str(place))
        if copy:
            copies[str(each.engine.file)] = copy
        urls[each.name] = url or each.url
    return copies, urls


def _judged(settings: "Settings", project: "Project", door: str, told: _Told, said: str) -> Proof:
    failures: list[Text] = []
    others: dict[str, None] = {}
    own = False
    every = [*known(settings)]
    for url, is_held in dict.fromkeys(told.seen):
        try:
            shown = make_url(url).render_as_string()
            other = registry.choose(
                url, project.home, inside=False, verify_url="", session=Session()
            )
        except UndropError as error:
            failures.append(f"env.py migrates {shown}: {error.what}")
            continue
        if other.in_memory:
            own = own or settings.engine.in_memory
            continue
        named = next((each for each in every if registry.is_same(each.engine, other)), None)
        if named is None:
            adopting = registry.adopting(url)
            others[adopting.settled(url, project.home, project.root)] = None
            continue
        own = True
        if named.name != settings.name:
            failures += [] if is_held else [f"no backup of {named.name} was there: {LINES}"]
            continue
        if is_held:
            failures += _misled(settings, told.variable)
            continue
        if envpy.MISSING in said:
            failures.append(f"undrop is not in its environment, where env.py imports it: {INSTALL}")
        elif NO_BACKUP in said:
            failures.append(said.partition(NO_BACKUP)[2].splitlines()[0])
        else:
            correct = LATE if _is_called(project) else LINES
            failures.append(f"no backup was there when env.py configured Alembic: {correct}")
    if not told.seen:
        why = told.failure or "env.py configured no database"
        what = f"it did not get as far as its database: {why}; correct that, then init again"
        by_itself: Text = (f"{what}; or, where a command of its own runs Alembic,", OWN)
        failures.append(what if settings.alembic_command else by_itself)
    elif not own and not failures:
        migrated = ", ".join(others) or "a database in memory"
        failures.append(f"env.py migrates {migrated}, and undrop guards {settings.source}")
    notes = (f"the upgrade of a copy failed: {told.failure}",) if own and told.failure else ()
    return Proof(door, failures, [*others] if own else [], notes)


def _is_called(project: "Project") -> bool:
    """Whether ``env.py`` has the call already: ``init`` adds no other one then."""
    if project.env is None or not project.env.is_file():
        return False
    return envpy.guarded(project.env.read_bytes().decode("utf-8", "surrogateescape"))


def _misled(settings: "Settings", url: str) -> list[Text]:
    """Why the guard goes to another database once ``env.py`` has set the variable, as it does.

    A dotenv file in a folder below has paths from there, and settings have them from the root.
    """
    if not url:
        return []
    own = settings.engine.url().render_as_string()
    before = os.environ.get(settings.variable)
    os.environ[settings.variable] = url
    try:
        named = load(settings.root).engine
    except UndropError as error:
        return [f"env.py sets {settings.variable}: {error.what}; let it be {own}"]
    finally:
        del os.environ[settings.variable]
        if before is not None:
            os.environ[settings.variable] = before
    if registry.is_same(settings.engine, named):
        return []
    return [
        f"env.py sets {settings.variable} to {make_url(url).render_as_string()}, which is "
        f"{named.source} from {settings.root}: write the whole path, {own}"
    ]


def _typed(project: "Project") -> list[str]:
    if project.flask:
        named = ["-d", os.path.relpath(project.ini.parent, project.home)] if project.ini else []
        return ["flask", "db", "upgrade", "heads", *named]
    named = ["-c", os.path.relpath(project.ini, project.home)] if project.ini else []
    return ["python", "-m", "alembic", *named, "-n", project.section, "upgrade", "heads"]


def watched(settings: "Settings") -> list[object]:
    """What tells whether somebody writes to the live databases; nothing of those on a server."""
    return [_settled(each) for each in known(settings) if each.engine.file]


def _settled(settings: "Settings") -> list[object] | None:
    """Its fingerprint, waited for where it was written just now; None while that goes on."""
    deadline = time.monotonic() + SETTLES
    while (found := settings.engine.fingerprint()) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _tried(folder: Path, python: str, question: dict[str, object]) -> tuple[_Told, str]:
    """What the script answers, and what was printed on stderr."""
    script = str(Path(__file__).with_name("prove.py"))
    asked = [python, script, json.dumps(question)]
    answered = environments.ask(asked, folder, patience=PATIENCE)
    try:
        told = _Told(**json.loads(answered.out))
    except (ValueError, TypeError):
        return _Told([], answered.failure or "it gave no answer"), answered.err
    return told._replace(seen=[(url, bool(held)) for url, held in told.seen]), answered.err
