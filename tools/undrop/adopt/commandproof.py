"""Whether the project's own migration command goes where it is led, tried once, on nothing."""

from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

from undrop.adopt import throwaway
from undrop.adopt.proof import Proof
from undrop.engines import registry
from undrop.errors import ChangedError, UndropError
from undrop.migrations import command
from undrop.recipes import Action, Text
from undrop.settings import known
from undrop.steps import backup, strayed
from undrop.store.lock import Lock, locked
from undrop.values import Session, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from undrop.engines.protocol import Work
    from undrop.settings import Settings

SHOWN = 5  # names of files
READS = "let it take the database from there"


def prove(settings: "Settings", say: "Callable[[str], None]") -> Proof:
    """Run ``migrate-command`` on an empty database, in a throw-away copy of the project's folder.

    What it makes must be in there. Live is held by a backup, and must be as it was. Raises OSError.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="undrop-proof-")))
        copy = throwaway.copied(settings.root, folder / "project", settings.backups)
        output = stack.enter_context(open(folder / "output", "w+b"))  # noqa: PTH123
        try:
            tool = command.of_settings(_moved(settings, copy, folder), output=output)
        except UndropError as error:
            failure: Text = (error.what, ";", *error.next_parts)
            return Proof(settings.migrate_command, [failure], [])
        failures: list[Text] = []
        try:
            with ExitStack() as watched:
                there = [each for each in known(settings) if each.engine.exists()]
                purpose = backup.Purpose(f"before trying {tool.door}", "")
                lock = watched.enter_context(locked(settings, say)) if there else Lock(settings)
                for each in there:
                    own = lock if each.name == settings.name else Lock(each)
                    state = watched.enter_context(backup.covered(own, purpose))
                    watched.enter_context(strayed.told(own, state, tool.name, lock))
                made, failed = _tried(tool, output)
        except ChangedError as error:
            return Proof(tool.door, [(f"{error.what};", *error.next_parts[:2])], [])
        finally:
            settings.engine.session.wrote.clear()  # that was the copy's
        files = throwaway.written(settings.root, copy)
        names = ", ".join(files[:SHOWN]) + (" …" if len(files) > SHOWN else "")
        if not made:
            failures.append(_why(settings, failed, names))
        others = {each.engine.file for each in known(settings)}
        others |= {path.resolve() for path in registry.seen(settings.root)}
        if strange := [name for name in files if (settings.root / name).resolve() in others]:
            failures.append(f"it goes to {', '.join(strange)} as well, whatever it is led to")
        notes: list[Text] = [f"it failed on an empty database: {failed}"] if made and failed else []
        notes += [f"it writes files of the project, on rehearse too: {names}"] if names else []
        if made:
            notes.append((f"`{tool.door}` typed alone takes no backup:", Action("migrate"), "does"))
        return Proof(tool.door, failures, [], tuple(notes))


def _moved(settings: "Settings", copy: Path, folder: Path) -> "Settings":
    """The settings for the copy; a database that is a file is to be in ``folder``."""
    engine, url = settings.engine, settings.url
    if engine.file:
        target = Target(str(folder / engine.file.name))
        address = registry.migrating(engine.kind).target_url(url, target)
        url = address.render_as_string(hide_password=False)
        engine = registry.choose(url, folder, inside=False, verify_url="", session=Session())
    return settings._replace(root=copy, url=url, engine=engine)


def _tried(tool: command.Command, output: IO[bytes]) -> tuple[bool, str]:
    """Whether it made anything in an empty database; what it failed at, in its own words."""
    failed = ""
    with tool.settings.engine.work(None, tool) as work:
        try:
            work.migrate()
        except UndropError as error:
            failed = f"{error.what}{_last(output)}"
        return _has_tables(work), failed


def _has_tables(work: "Work") -> bool:
    with suppress(UndropError):  # no database at all
        work.finish(command.UNKNOWN)
        return bool(work.tables())
    return False


def _last(output: IO[bytes]) -> str:
    """The last line that it has said."""
    output.seek(0)
    lines = output.read().decode(errors="replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last}" if last else ""


def _why(settings: "Settings", failed: str, names: str) -> Text:
    if failed:
        return f"{failed}; nothing was made in the empty database that it was led to"
    led = f"by the variable {settings.variable}" if settings.variable else "by its words"
    wrote = f", and {names} was written" if names else ""
    return (
        f"it made nothing in the empty database that it was led to {led}{wrote}: {READS}, or "
        "put {path} or {url} into its words in migrate-command"
    )
