"""Prove that backups are whole, and let their records say which are not."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.engines import registry
from undrop.errors import CheckError, DamagedError, UndropError
from undrop.recipes import Action
from undrop.store import catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock
    from undrop.values import Facts

FAILED = "failed verify: "


def verify(settings: "Settings", chosen: "Backup") -> "Facts":
    """Prove that a backup is whole, and what its record says.

    Raises CheckError when it is not, or is a set of damaged files.
    """
    if chosen.path.is_symlink() and chosen.path.exists():
        chosen = catalog.led_to(chosen)
        settings.engine.refuse_unfit(chosen.path)  # it may be in use
    path, record = chosen.path, chosen.record
    if chosen.is_set:
        raise CheckError(f"{path.name} is a set of damaged files, no backup", Action("list"))
    try:
        facts = registry.of_backup(settings.engine, path, settings.verify_url).check(path, record)
    except DamagedError as damage:
        raise CheckError(f"{path} is damaged: {damage.what}", Action("list")) from damage
    refuse_changed(chosen, facts)
    return facts


def refuse_changed(chosen: "Backup", facts: "Facts") -> None:
    """Raise CheckError where a backup's bytes are not those that its record names."""
    if chosen.record is not None and chosen.record.digest != facts.digest:
        raise CheckError(
            f"{chosen.path} is not what its record says: the digest differs, it was changed",
            Action("list"),
        )


class Proof(NamedTuple):
    """What reading a backup showed."""

    backup: "Backup"
    problem: str = ""
    """Empty when it is whole."""
    check: str = ""
    """What its record is to say from now on; empty where nothing about that is new."""


def prove(settings: "Settings", backup: "Backup") -> Proof:
    """Read a backup and compare it with its record. A failure to read it proves nothing."""
    ours = backup.record is not None and catalog.is_inside(settings, backup.path)
    marked = backup.record is not None and backup.record.check.startswith(FAILED)
    try:
        facts = verify(settings, backup)
    except CheckError as error:
        what = error.what.removeprefix(str(backup.path)).strip()
        news = ours and not marked and not backup.is_set
        return Proof(backup, error.what, f"{FAILED}{what}" if news else "")
    except UndropError as error:
        return Proof(backup, error.what)
    except OSError as error:
        return Proof(backup, str(error))
    return Proof(backup, check=facts.check if ours and marked else "")


def mark(lock: "Lock", proofs: "Sequence[Proof]") -> None:
    """Write down what is new: ``latest`` passes over what failed, ``list`` shows it.

    Raises OSError.
    """
    for proof in proofs:
        if proof.check:
            catalog.mark(lock, proof.backup, proof.check)
