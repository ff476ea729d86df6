"""Which Python is the project's own, and what it says: ``uvx`` starts us outside of it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from undrop import settings
from undrop.errors import UndropError

PATIENCE = 60  # seconds for what is asked
PYTHON = "bin/python"
ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")
"""What names the environment that somebody has activated."""
HAS = """
import sys
from importlib.util import find_spec
spec = find_spec(sys.argv[1])
print(int(bool(spec and spec.origin)))  # a folder of migrations by that name has none
"""
SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"


class Said(NamedTuple):
    """What a program printed, and what failed, in its own words; empty when nothing did."""

    out: str
    failure: str = ""
    err: str = ""
    """What it printed on stderr."""


def ask(
    program: Sequence[str],
    folder: Path,
    variables: dict[str, str | None] | None = None,
    patience: float | None = None,
) -> Said:
    """Run a program of the project's in ``folder`` to its end. Never raises.

    ``variables`` are set for it, or taken from it where they are None; it has ``patience`` seconds.
    """
    patience = PATIENCE if patience is None else patience
    environment = {**os.environ, **(variables or {})}
    try:
        done = subprocess.run(  # noqa: S603 - the project's own
            program,
            cwd=folder,
            env={name: value for name, value in environment.items() if value is not None},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Said("", f"it did not come to an end in {patience} seconds")
    except OSError as error:
        return Said("", _why_not(Path(program[0]), error))
    out, lines = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    last = next((line.strip() for line in reversed(lines.splitlines()) if line.strip()), "")
    if done.returncode or not out.strip():
        silent = "" if out.strip() else " and no answer"
        failure = f"it ended with {done.returncode}{silent}" + (f": {last}" if last else "")
        return Said(out, failure, lines)
    return Said(out, err=lines)


def python(root: Path, home: Path, tool: str = "alembic") -> str:
    """The Python in which the tool is started for the project in ``root``, from ``home``.

    The first of the project's own that has that package; where none has, the one that runs undrop.
    """
    own = (path for path in interpreters(root, home) if _has(tool, path, home).out == "1")
    return next(own, sys.executable)


def broken(root: Path, home: Path, tool: str = "alembic") -> list[str]:
    """The project's own Pythons that cannot be started, and why."""
    asked = [(path, _has(tool, path, home)) for path in interpreters(root, home)]
    return [f"{path}: {said.failure}" for path, said in asked if said.failure]


def packages(root: Path, home: Path) -> list[Path]:
    """Where the packages are that the project's Pythons and ours import."""
    asked = (ask([path, "-c", SITE], home) for path in [*interpreters(root, home), sys.executable])
    return [*{Path(said.out.strip()): None for said in asked if not said.failure}]


def interpreters(root: Path, home: Path) -> list[str]:
    """The Pythons that may be the project's own, likeliest first; each is there, or a link is.

    From the folder of Alembic's configuration up to the top of the git repository (a workspace
    has one environment there), then what is active.
    """
    paths = [path for folder in _upwards(root, home) for path in _of(folder)]
    active = (os.environ.get(name) for name in ACTIVE)
    paths += [Path(folder, PYTHON) for folder in active if folder]
    return [*{str(path): None for path in paths if os.path.lexists(path)}]


def _upwards(root: Path, home: Path) -> Iterator[Path]:
    start = home if home.is_relative_to(root) else root
    for folder in (start, *start.parents):
        yield folder
        if folder.is_relative_to(root) and folder != root:
            continue
        if (folder / ".git").exists() or not _is_in_git(folder):
            return


def _is_in_git(folder: Path) -> bool:
    return any((parent / ".git").exists() for parent in folder.parents)


def _of(folder: Path) -> Iterator[Path]:
    """What the usual tools keep for a project in ``folder``."""
    # docs.astral.sh/uv/reference/environment: relative to the root of the workspace.
    named = os.environ.get("UV_PROJECT_ENVIRONMENT")
    for environment in (*([named] if named else []), ".venv", "venv"):
        yield folder / environment / PYTHON
    if _has_poetry(folder):
        yield from _of_poetry(folder)
    with suppress(OSError, ValueError):
        yield Path((folder / ".pdm-python").read_text("utf-8").strip())


def _has_poetry(folder: Path) -> bool:
    with suppress(UndropError):  # what is wrong above the project is nobody's business here
        return (folder / "poetry.lock").exists() or "poetry" in settings.tools(folder)
    return False


def _of_poetry(folder: Path) -> Iterator[Path]:
    if poetry := shutil.which("poetry"):
        said = ask([poetry, "env", "info", "--executable"], folder)
        if not said.failure:
            yield Path(said.out.strip())


@cache
def _has(package: str, path: str, folder: Path) -> Said:
    said = ask([path, "-c", HAS, package], folder)
    return Said(said.out.strip(), said.failure)


def _why_not(program: Path, error: OSError) -> str:
    if program.is_symlink() and not program.exists():
        return f"it is a link to {program.readlink()}, which is not there"
    return error.strerror or str(error)
