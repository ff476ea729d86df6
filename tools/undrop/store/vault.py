"""The second line of defence: every backup hard-linked outside the project's folder.

It guards against unlinking (``git clean -fdx``, ``rm -rf`` of the whole tree), not against
writing into the same inode.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import durable
from undrop.engines.registry import SUFFIXES

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.lock import Lock

NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}


def keep(lock: "Lock") -> None:
    """Link every backup with a record, and the record, that the vault does not have yet.

    Never raises OSError: a backup without its second name is still a backup, and ``missing``
    tells.
    """
    settings = lock.settings
    vault = settings.vault_folder
    if vault is None:
        return
    try:
        durable.private_folder(vault.parent)
        durable.private_folder(vault)
        changed = False
        for name in missing(settings):
            changed = _keep_one(settings, settings.backups / name, vault) or changed
        if changed:
            durable.sync_path(vault)
            durable.sync_path(vault.parent)
    except OSError:
        return


def folders(settings: "Settings") -> list[Path]:
    """The vaults of all of this user's projects, there or gone, this one's among them."""
    return sorted(
        path for name in _names(settings.vaults) if (path := settings.vaults / name).is_dir()
    )


def missing(settings: "Settings") -> list[str]:
    """Names in ``backups/`` that the vault has not, each record after what it describes."""
    vault = settings.vault_folder
    if vault is None:
        return []
    here, there = _names(settings.backups), _names(vault)
    names = []
    for note in sorted(name for name in here if name.endswith(".json")):
        stem = note.removesuffix(".json")
        wanted = [name for suffix in (*SUFFIXES, ".damaged") if (name := stem + suffix) in here]
        names += [name for name in (*wanted, note) if wanted and name not in there]
    return names


def _names(place: Path) -> set[str]:
    try:
        return set(os.listdir(place))
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _keep_one(settings: "Settings", source: Path, vault: Path) -> bool:
    """Whether it is kept; what has a file too large to copy, where links are impossible, is not."""
    hidden, limit = vault / f".{os.getpid()}.partial", settings.vault_copy_limit
    try:
        if source.is_dir():
            hidden.mkdir(0o700)
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
