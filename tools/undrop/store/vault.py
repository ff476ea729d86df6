"""The second line of defence: every backup hard-linked outside the project's folder.

It guards against unlinking (``git clean -fdx``, ``rm -rf`` of the whole tree), not against
writing into the same inode.
"""

import errno
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable
from undrop.store import owners
from undrop.store.frame import ENDINGS

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.lock import Lock

SIGNATURE = "project"
"""The file in a vault that says whose it is."""
LARGEST = 1_000_000  # bytes of it that are read
NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}


def keep(lock: "Lock") -> None:
    """Link every backup with a record, and the record, that the vault does not have yet.

    Never raises OSError: a backup without its second name is still a backup, and ``missing``
    tells. What is closed to us keeps nothing else out.
    """
    settings = lock.settings
    vault = settings.vault_folder
    if vault is None:
        return
    try:
        durable.private_folder(vault.parent)
        durable.private_folder(vault)
    except OSError as error:
        if isinstance(error, PermissionError):
            owners.pass_over(settings, vault)
        return
    changed, left = _sign(settings, vault), set()
    for name in missing(settings):
        source = settings.backups / name
        if source.stem in left:  # no record of what is not there
            continue
        try:
            changed = _keep_one(settings, source, vault) or changed
        except OSError as error:
            left.add(source.stem)
            if isinstance(error, PermissionError):
                owners.pass_over(settings, source if owners.is_closed(source) else vault / name)
    if changed:
        with suppress(OSError):
            durable.sync_path(vault)
            durable.sync_path(vault.parent)


class Signed(NamedTuple):
    """Whose a vault is."""

    root: Path
    """The project's folder."""
    databases: list[str]
    """Those that it has had since."""


def signed(folder: Path) -> Signed | None:
    """Whose that vault is; None where it does not say so, or not in a way that makes sense."""
    try:
        with (folder / SIGNATURE).open("rb") as file:
            fields = json.loads(file.read(LARGEST))
        root, databases = fields["root"], fields["databases"]
        os.fsencode(root)  # a name that a folder can have
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(databases, list) or not all(isinstance(x, str) for x in (root, *databases)):
        return None
    whole = Path(root).is_absolute() and "\0" not in root
    return Signed(Path(root), databases) if whole else None


def database(settings: "Settings") -> str:
    """What tells the live database from those of all other projects."""
    return str(settings.engine.file or settings.engine.label)


def _sign(settings: "Settings", vault: Path) -> bool:
    """Let the vault say whose it is; whether it did not yet."""
    known, here = signed(vault), database(settings)
    before = known.databases if known and known.root == settings.root else []
    if here in before:
        return False
    text = json.dumps({"root": str(settings.root), "databases": [*before, here]})
    with suppress(OSError), durable.scratch(vault / f".{os.getpid()}.partial") as work:
        work.write_text(text)
        durable.sync_path(work)
        work.replace(vault / SIGNATURE)
    return True


def folders(settings: "Settings") -> list[Path]:
    """The vaults of all of this user's projects, there or gone, this one's among them."""
    paths = [settings.vaults / name for name in sorted(_names(settings, settings.vaults))]
    for path in filter(owners.is_closed, paths):
        owners.pass_over(settings, path)
    return [path for path in paths if not owners.is_closed(path) and path.is_dir()]


def missing(settings: "Settings") -> list[str]:
    """Names in ``backups/`` that the vault has not, each record after what it describes."""
    vault = settings.vault_folder
    if vault is None:
        return []
    here, there = _names(settings, settings.backups), _names(settings, vault)
    names = []
    for note in sorted(name for name in here if name.endswith(".json")):
        stem = note.removesuffix(".json")
        wanted = [name for suffix in (*ENDINGS, ".damaged") if (name := stem + suffix) in here]
        names += [name for name in (*wanted, note) if wanted and name not in there]
    return names


def _names(settings: "Settings", place: Path) -> set[str]:
    try:
        return set(os.listdir(place))
    except PermissionError:
        owners.pass_over(settings, place)
        return set()
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _keep_one(settings: "Settings", source: Path, vault: Path) -> bool:
    """Whether it is kept; what has a file too large to copy, where links are impossible, is not."""
    hidden, limit = vault / f".{os.getpid()}.partial", settings.vault_copy_limit
    if owners.is_closed(source):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(source))
    try:
        if source.is_dir():
            durable.make_private(hidden)
            whole = all(_link_or_copy(file, hidden / file.name, limit) for file in source.iterdir())
            durable.sync_path(hidden)
        else:
            whole = _link_or_copy(source, hidden, limit)
        if whole:
            hidden.rename(vault / source.name)
        return whole
    finally:
        durable.remove_with_sidecars(hidden)


def _link_or_copy(source: Path, target: Path, limit: int) -> bool:
    """Link, or copy up to ``limit`` bytes where links are impossible; False when too large."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if durable.size(source) > limit:
            return False
        os.close(durable.create(target, 0o600))
        shutil.copyfile(source, target)
        target.chmod(source.stat().st_mode & 0o777)
        durable.sync_path(target)
    return True
