"""Which Litestream configuration names a database, and by what name."""

import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from undrop.engines.litestream import program
from undrop.errors import UndropError, UsageError

PATH = re.compile(r"""\bpath:\s*["']?((?:\$\{\w+\}|[^"'#\n,}])+)""")
SYSTEM = Path("/etc/litestream.yml")  # where litestream looks when it is told nothing


class Replica(NamedTuple):
    """One database in a Litestream config."""

    program: str
    """Path of the litestream binary; empty when there is none, and then ``check`` refuses."""
    config: Path
    live: Path
    name: str
    """The database's path as the config has it, by which litestream knows it."""


def find(root: Path, configured: Path | None, live: Path) -> Replica | None:
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
        ours = _concerns(path, live)
        file, tool = path.absolute(), shutil.which("litestream")
        try:
            databases = program.ask(tool, file, "databases", "-json") if tool else []
        except UndropError as error:
            if ours:
                raise refusal(error.what, "correct that") from error
            continue
        for known in databases:
            if os.path.realpath(known["path"]) == os.path.realpath(live):
                return Replica(tool or "", file, live, known["path"])
        if not tool and ours:
            return Replica("", file, live, str(live))
        if _is_unset(_names(path), live):
            what = f"{file} names {live.name} by a variable that is not set"
            raise refusal(what, "set it as the daemon has it")
        _refuse_folder(file, live)
    return None


def _concerns(config: Path, live: Path) -> bool:
    """Whether a config names ``live``, or may, or litestream has been at work on it."""
    names = _names(config)
    return (
        live.with_name(f".{live.name}-litestream").exists()
        or any(Path(config.parent, name).resolve() == live.resolve() for name in names)
        or _is_unset(names, live)
        or (not names and config != SYSTEM)  # or it cannot be read
    )


def _names(config: Path) -> list[str]:
    """Every path in a config, replicas' among them."""
    found = PATH.findall(program.text(config))
    return [os.path.expanduser(os.path.expandvars(name.strip())) for name in found]  # noqa: PTH111 - no Path


def _is_unset(names: list[str], live: Path) -> bool:
    """Whether one of them has a variable in it that is not set here, and could be ``live``."""
    return any("$" in name and Path(name).name == live.name for name in names)


def _refuse_folder(config: Path, live: Path) -> None:
    """Raise UndropError where ``live`` is in a folder (``dir:``) that the config replicates."""
    text = os.path.expandvars(program.text(config))
    for found in re.findall(r"""^[ \t-]*dir:\s*["']?([^"'#\n]+)""", text, re.M):
        if Path(config.parent, found.strip()).resolve() in live.resolve().parents:
            raise refusal(
                f"{config} replicates {found.strip()} as a folder, and litestream tells nothing"
                " of one database in it",
                f"name {live} in {config} with path:",
            )


def refusal(what: str, remedy: str) -> UndropError:
    """The error for a step that does not start because of the replica."""
    goes_on = "then the same again; --without-replica goes on without it"
    return UndropError(what, f"{remedy}, {goes_on}")
