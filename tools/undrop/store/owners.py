"""What another user's command left in our folders: whose it is, and the line that gives it back.

One ``sudo undrop``, or a container that runs as somebody else, leaves files that we may not read.
"""

import os
import pwd
import shlex
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from undrop.errors import UndropError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.settings import Settings
    from undrop.values import Session

SHOWN = 3  # files that are named in a warning


def is_closed(path: Path | str) -> bool:
    """Whether it is there, and may not be read by us."""
    if os.access(path, os.R_OK):
        return False
    try:
        os.stat(path)  # noqa: PTH116 - thousands are looked at
    except PermissionError:
        return True
    except OSError:  # nothing there, or a link to nothing
        return False
    return True


def pass_over(settings: "Settings", path: Path) -> None:
    """Go on without that file or folder of ours; the command says so when it ends."""
    passed_over = settings.engine.session.passed_over
    path = _culprit(path) or path
    with suppress(OSError):
        if any(other.samefile(path) for other in passed_over):  # another name of it
            return
    passed_over[path] = _mending(settings, path)


def told(session: "Session") -> list[str]:
    """What was passed over, by the line that mends it."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for path, line in session.passed_over.items():
        groups.setdefault((_owner(path), line), []).append(path)
    texts = []
    for (owner, line), paths in groups.items():
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        names = ", ".join(map(str, sorted(paths)[:SHOWN])) + more
        texts.append(f"WARNING: passed over, for it {owner}: {names}\nto have it again: {line}")
    return texts


@contextmanager
def explained(settings: "Settings") -> "Iterator[None]":
    """What the system forbids inside is told with whose it is and the line that changes that.

    Raises UndropError, or PermissionError where that cannot be told.
    """
    try:
        yield
    except PermissionError as error:
        path = Path(os.path.abspath(error.filename)) if isinstance(error.filename, str) else None  # noqa: PTH100 - links stay
        if path is None or (culprit := _culprit(path)) is None:
            raise
        what = f"{culprit} cannot be used: it {_owner(culprit)}"
        again = "then the same command again"
        raise UndropError(what, f"{_mending(settings, culprit)}\n      {again}") from error


def _culprit(path: Path) -> Path | None:
    """The outermost of a path's folders, or itself, that does not let us in."""
    for each in (*reversed(path.parents), path):
        try:
            mode = each.stat().st_mode
        except OSError:
            return None
        needed = os.X_OK
        if not stat.S_ISDIR(mode):
            needed = os.R_OK | os.W_OK
        elif each == path or not os.path.lexists(each / path.relative_to(each).parts[0]):
            needed = os.R_OK | os.W_OK | os.X_OK
        if not os.access(each, needed) or (each == path and _is_foreign(each)):
            return each
    return None


def _is_foreign(path: Path) -> bool:
    return path.stat().st_uid != os.geteuid()


def _owner(path: Path) -> str:
    """Whose it is, as it goes on after its name."""
    try:
        uid = path.stat().st_uid
    except OSError:
        return "is in a folder that is closed to us"
    if uid == os.geteuid():
        return "is closed to its owner"
    return f"belongs to {_name(uid)}, and this is {_name(os.geteuid())}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container users have numbers alone
        return str(uid)


def _mending(settings: "Settings", path: Path) -> str:
    """The line that lets us in."""
    user = _name(os.geteuid())
    for folder in (settings.backups, settings.vaults):
        if path.is_relative_to(folder):
            if _owner(path).startswith("is closed to its owner"):
                return f"chmod u+rwX {shlex.quote(str(path))}"
            return f"sudo chown -R {user} {shlex.quote(str(folder))}"
        if folder.is_relative_to(path) and not os.path.lexists(folder):
            return f"sudo install -d -m 700 -o {user} {shlex.quote(str(folder))}"
    return f"sudo chown {user} {shlex.quote(str(path))}"
