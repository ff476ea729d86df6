"""Prove that backups are whole, and let their records say which are not."""

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.engines import registry
from undrop.errors import CheckError, DamagedError, UndropError
from undrop.recipes import Action
from undrop.store import catalog, owners, unpacked

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
        kind = registry.of_backup(settings.engine, path, settings.verify_url)
        facts = kind.check(unpacked.plain(settings, chosen), record)
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


def intact(settings: "Settings", chosen: "Backup") -> "tuple[Backup, str]":
    """The one of a backup's two files that is whole by its record's digest.

    With it what is said where that is not the one in ``backups/``, or not the one that was named.
    """
    if chosen.only_in_vault:
        first = settings.backups / chosen.path.name
        state = "cannot be read" if owners.is_closed(first) else "is gone"
        return chosen, f"{first} {state}: {chosen.path} is taken"
    named, *copies = catalog.places(settings, chosen)
    for copy in copies if copies and not is_as_kept(settings, named) else ():
        if is_as_kept(settings, copy):
            return copy, f"{named.path} is not what its record says: its copy {copy.path} is taken"
    return chosen, ""


def whole(settings: "Settings", chosen: "Backup") -> "tuple[Backup, str]":
    """The same, read to its end: by its digest, or where no record has one by all of its checks.

    Raises CheckError.
    """
    found, told = intact(settings, chosen)
    if found.record is None or not found.record.digest:
        verify(settings, found)
    elif not is_as_kept(settings, found):
        raise CheckError(
            f"{found.path} is not what its record says: the digest differs, it was changed",
            Action("list"),
        )
    return found, told


def is_as_kept(settings: "Settings", place: "Backup") -> bool:
    """Whether a file has the digest that its record names; not where it cannot be read."""
    with suppress(OSError, CheckError):
        return place.record is not None and bool(unpacked.whole(settings, place))
    return False


class Proof(NamedTuple):
    """What reading a backup's file showed."""

    backup: "Backup"
    problem: str = ""
    """Empty when it is whole."""
    check: str = ""
    """What its record is to say from now on; empty where nothing about that is new."""
    passed: str = ""
    """``whole``, and what of it was not looked at."""


def prove(settings: "Settings", backup: "Backup") -> list[Proof]:
    """Read a backup, and its copy where there is one, and compare them with its record.

    A failure to read one proves nothing. A backup is whole where one of the two is.
    """
    first, *copies = (_proved(settings, place) for place in catalog.places(settings, backup))
    whole = [copy for copy in copies if not copy.problem]
    if first.problem and whole:
        path = whole[0].backup.path
        first = first._replace(problem=f"{first.problem}; its copy {path} is whole")
    proofs = [first, *copies]
    return [proof._replace(check=_news(settings, proof, proofs)) for proof in proofs]


def _proved(settings: "Settings", place: "Backup") -> Proof:
    """One file; ``check`` is what it alone would have its record say."""
    try:
        facts = verify(settings, place)
    except CheckError as error:
        what = error.what.removeprefix(str(place.path)).strip()
        return Proof(place, error.what, f"{FAILED}{what}")
    except UndropError as error:
        return Proof(place, error.what)
    except OSError as error:
        return Proof(place, str(error))
    return Proof(place, check=facts.check, passed=f"whole{facts.check.removeprefix('ok')}")


def _news(settings: "Settings", proof: Proof, proofs: list[Proof]) -> str:
    """What a backup's record is to say anew, by all of its files; said once."""
    backup = proof.backup
    if proof is not proofs[0] or backup.record is None or backup.is_set:
        return ""
    if not catalog.is_inside(settings, backup.path):
        return ""
    marked = backup.record.check.startswith(FAILED)
    checks = [each.check for each in proofs]
    if whole := [check for check in checks if check and not check.startswith(FAILED)]:
        return whole[0] if marked or (backup.unproved and whole[0] == "ok") else ""
    return "" if marked or "" in checks else checks[0]


def mark(lock: "Lock", proofs: "Sequence[Proof]") -> None:
    """Write down what is new: ``latest`` passes over what failed, ``list`` shows it.

    Raises OSError.
    """
    for proof in proofs:
        if proof.check:
            catalog.amend(lock, proof.backup, check=proof.check)
