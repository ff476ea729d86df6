"""The second line of defence: every backup hard-linked outside the project's folder.

It guards against unlinking (``git clean -fdx``, ``rm -rf`` of the whole tree), not against
writing into the same inode.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import durable
from undrop.engines.registry import SUFFIXES
from undrop.store import owners

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.lock import Lock

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
    changed, left = False, set()
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
        wanted = [name for suffix in (*SUFFIXES, ".damaged") if (name := stem + suffix) in here]
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
