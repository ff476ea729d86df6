"""The proof that was put off: a backup before somebody's own command is tried when that has run.

Steps of undrop's own, which destroy by themselves, begin with it; those that load the backup that
they rely on anyway prove that one so, and the others when they are done.
"""

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from undrop.errors import CheckError, DamagedError, UndropError
from undrop.steps import verify
from undrop.store import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock

LoadedT = TypeVar("LoadedT")
AT_ONCE = 2
"""Proofs that a command catches up on: of the states before and after the last change."""


def settle(lock: "Lock", among: "Sequence[Backup] | None" = None) -> None:
    """Catch up on the newest of the proofs that were put off. What fails is marked and told of.

    One that cannot be made now waits on. ``among``: of these alone.
    """
    names = None if among is None else {each.path.name for each in among}
    if names == set() or lock.settings.engine.file:  # a file's proof is never put off
        return
    for _ in range(AT_ONCE):
        left = [b for b in waiting(lock.settings) if names is None or b.path.name in names]
        if not left:
            return
        with suppress(UndropError, OSError):
            _prove(lock, left[-1])


@contextmanager
def proving(
    lock: "Lock", backup: "Backup | None", loading: "AbstractContextManager[LoadedT]"
) -> "Iterator[LoadedT]":
    """What ``loading`` gives, which loads the backup: if its proof was pending, that is it.

    Raises CheckError where that fails, with the backup marked, as whatever loads it does.
    """
    with ExitStack() as stack:
        try:
            loaded = stack.enter_context(loading)
        except DamagedError as damage:
            if backup and backup.pending:
                _prove(lock, backup)
                raise CheckError(damage.what, "the same command again") from damage
            raise
        if backup and backup.pending:
            _mark(lock, backup, "ok")
        yield loaded


def _prove(lock: "Lock", backup: "Backup") -> None:
    """Prove one, and let its record and those of the same bytes say so."""
    proofs = verify.prove(lock.settings, backup)
    verify.mark(lock, proofs)
    check = proofs[0].check
    if check.startswith(verify.FAILED):
        lock.session.broken.append(proofs[0].problem)
    elif check:
        _mark(lock, backup, check)


def _mark(lock: "Lock", backup: "Backup", check: str) -> None:
    """Have the records of those bytes say so."""
    for other in waiting(lock.settings):
        if other.record and backup.record and other.record.digest == backup.record.digest:
            catalog.amend(lock, other, check=check)


def waiting(settings: "Settings") -> "list[Backup]":
    """Backups of the database whose proof is pending, oldest first."""
    backups = catalog.backups(settings)
    return [each for each in backups if each.pending and catalog.is_of(settings, each)]
