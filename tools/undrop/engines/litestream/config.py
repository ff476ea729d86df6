"""Which Litestream configuration names a database, and by what name."""

import math
import os
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from undrop.engines.litestream import program
from undrop.errors import UndropError, UsageError

SYSTEM = Path("/etc/litestream.yml")  # where litestream looks when it is told nothing


class Replicated(NamedTuple):
    """One database in a Litestream config."""

    program: str
    """Path of the litestream binary; empty when there is none, and then ``check`` refuses."""
    config: Path
    live: Path
    name: str
    """The database's path as the config has it, by which litestream knows it."""
    until: float = math.inf
    """When an answer is of no use any more, by ``time.monotonic``."""


def find(root: Path, configured: Path | None, live: Path) -> Replicated | None:
    """The replica of ``live``: by the configured file, else the project's, else the system's.

    None when no config names the database. A relative path in a config is relative to the
    config's folder, from where litestream is run. Raises UsageError when the configured file
    does not exist, UndropError when litestream cannot read a config that is about ``live``.
    """
    if configured and not configured.is_file():
        raise UsageError(f"{configured} does not exist", "correct the path in the configuration")
    for path in (configured,) if configured else (root / SYSTEM.name, SYSTEM):
        if not path.is_file():
            continue
        # A config may be about other projects, or this one on another machine: what is wrong
        # with it is ours to refuse only where it is about this database.
        written = read(path)
        ours = _concerns(path, written, live)
        file, tool = path.absolute(), shutil.which("litestream")
        try:
            databases = program.ask(tool, file, "databases", "-json") if tool else []
        except UndropError as error:
            if ours:
                raise refusal(error.what, "correct that") from error
            continue
        for known in databases:
            if os.path.realpath(known["path"]) == os.path.realpath(live):
                return Replicated(tool or "", file, live, known["path"])
        if not tool and ours:
            return Replicated("", file, live, str(live))
        if _is_unset(_named(written, "path"), live):
            what = f"{file} names {live.name} by a variable that is not set"
            raise refusal(what, "set it as the daemon has it")
        _refuse_folder(file, written, live)
    return None


def read(config: Path) -> dict[str, Any]:
    """What a configuration has in it; nothing where it cannot be read.

    Variables are filled in before it is parsed, as litestream does; one that is not set here stays
    as ``$NAME``.
    """
    try:
        text = os.path.expandvars(config.read_text(errors="replace"))
        # Braces of a variable that is left would be a mapping's in `{path: ${NAME}}`.
        parsed = yaml.safe_load(re.sub(r"\$\{(\w+)\}", r"$\1", text))
    except (OSError, ValueError, yaml.YAMLError):  # often root's alone, for the keys in it
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _named(written: dict[str, Any], key: str) -> list[str]:
    """What its databases have as ``path`` or ``dir``."""
    databases = written.get("dbs")
    if not isinstance(databases, list):
        return []
    found = [known[key] for known in databases if isinstance(known, dict) and known.get(key)]
    return [os.path.expanduser(str(name)) for name in found]  # noqa: PTH111 - never raises


def _concerns(config: Path, written: dict[str, Any], live: Path) -> bool:
    """Whether a config names ``live``, or may, or litestream has been at work on it."""
    names = _named(written, "path")
    return (
        live.with_name(f".{live.name}-litestream").exists()
        or any(Path(config.parent, name).resolve() == live.resolve() for name in names)
        or _is_unset(names, live)
        or (not written and config != SYSTEM)  # or it cannot be read
    )


def _is_unset(names: list[str], live: Path) -> bool:
    """Whether one of them has a variable in it that is not set here, and could be ``live``."""
    return any("$" in name and Path(name).name == live.name for name in names)


def _refuse_folder(config: Path, written: dict[str, Any], live: Path) -> None:
    """Raise UndropError where ``live`` is in a folder (``dir:``) that the config replicates."""
    for folder in _named(written, "dir"):
        if Path(config.parent, folder).resolve() in live.resolve().parents:
            raise refusal(
                f"{config} replicates {folder} as a folder, and litestream tells nothing"
                " of one database in it",
                f"name {live} in {config} with path:",
            )


class BehindError(UndropError):
    """The replica does not have it all: a daemon that runs may yet see to that."""


def refusal(what: str, remedy: str, error: type[UndropError] = UndropError) -> UndropError:
    """The error for a step that does not start because of the replica."""
    goes_on = "then the same again; --without-replica goes on without it"
    return error(what, f"{remedy}, {goes_on}")
