"""The proof that was put off: a backup before somebody's own command is tried when that has run.

Steps of undrop's own, which destroy by themselves, begin with it.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from undrop.errors import UndropError
from undrop.steps import verify
from undrop.store import catalog

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock

AT_ONCE = 2
"""Proofs that a command catches up on: of the states before and after the last change."""


def settle(lock: "Lock") -> None:
    """Catch up on the newest of the proofs that were put off. What fails is marked and told of.

    One that cannot be made now waits on.
    """
    for _ in range(AT_ONCE):
        for backup in waiting(lock.settings)[-1:]:
            with suppress(UndropError, OSError):
                _prove(lock, backup)


def _prove(lock: "Lock", backup: "Backup") -> None:
    """Prove one, and let its record and those of the same bytes say so."""
    proofs = verify.prove(lock.settings, backup)
    verify.mark(lock, proofs)
    check = proofs[0].check
    if check.startswith(verify.FAILED):
        lock.session.broken.append(proofs[0].problem)
    elif check and backup.record:
        for other in waiting(lock.settings):
            if other.record and other.record.digest == backup.record.digest:
                catalog.amend(lock, other, check=check)


def waiting(settings: "Settings") -> "list[Backup]":
    """Backups of the database whose proof is pending, oldest first."""
    backups = catalog.backups(settings)
    return [each for each in backups if each.pending and catalog.is_of(settings, each)]
