"""Which backups the user's rules no longer keep, and how they go."""

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from undrop.engines.registry import SUFFIXES
from undrop.errors import CheckError
from undrop.recipes import Action
from undrop.settings import KINDS
from undrop.steps import choose, needed
from undrop.store import catalog, forget, frame, log, retention, vault
from undrop.store.unpacked import packing

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock

Kind = Literal["agent", "automatic", "own", "gone"]
"""Whose call or step a backup was taken for; ``own``: somebody gave it a reason; ``gone``: it has
lost its record to a run that was killed.
"""
BLOCK = 512  # bytes of ``st_blocks``


class Going(NamedTuple):
    """A backup that may go."""

    backup: "Backup"
    kind: Kind
    frees: int
    """Bytes on the disk; those of the backup are none where another name of them stays, or goes
    later, and where what stays is packed against it: that takes its room when it is made anew."""


def planned(settings: "Settings", names: "list[str]") -> list[Going]:
    """What would go, oldest first: of these names, or where there are none by the rules.

    Raises UsageError for a name that is none, or rules that are none, CheckError for one that is
    needed, UndropError where the present state cannot be looked at.
    """
    ours = [each for each in catalog.backups(settings) if catalog.is_of(settings, each)]
    whole = [each for each in ours if each.record and each.verified and not each.is_set]
    if names:
        chosen = {catalog.named(settings, name).path.name for name in names}
        wanted = [backup for backup in ours if backup.path.name in chosen]
    else:
        here = [backup for backup in whole if not choose.is_elsewheres(backup)]
        kept = _kept(settings, here)
        wanted = [backup for backup in here if backup.path.name not in kept]
        begun = log.thinned(settings)
        wanted += [each for each in ours if each.record is None and each.path.name in begun]
    if not wanted:
        return []
    stay = needed.names(settings, ours)
    for backup in wanted if names else ():
        if why := stay.get(backup.path.name):
            alone = Action("forget", backup.path.name)
            raise CheckError(f"{backup.path.name} stays: {why}", alone, "removes it all the same")
    wanted = [backup for backup in wanted if backup.path.name not in stay]
    frees = _freed(settings, wanted, ours)
    return [Going(backup, kind(backup), frees[backup.path.name]) for backup in wanted]


def thin(lock: "Lock", names: "list[str]") -> list[Going]:
    """Let go what ``planned`` tells, from the vault too; the log says so first.

    Raises as ``planned`` does, and OSError.
    """
    going = planned(lock.settings, names)
    log.note_thinned(lock.settings, [each.backup.path.name for each in going])
    newest_first = [each.backup for each in reversed(going)]  # packed against an older one
    forget.forget_all(lock, newest_first)
    return going


def kind(backup: "Backup") -> Kind:
    """Which rule a backup is under; older undrops' records tell of fewer."""
    if backup.record is None:
        return "gone"
    if not backup.record.automatic:
        return "own"
    return "agent" if backup.record.next_step == "agent" else "automatic"


def _kept(settings: "Settings", backups: "list[Backup]") -> set[str]:
    """Names of those that stay by the rules, each kind by its own. Raises UsageError."""
    now, kept = datetime.now(UTC), {b.path.name for b in backups if kind(b) == "own"}
    for name in KINDS:
        alike = [backup for backup in backups if kind(backup) == name]
        rule = retention.rule(settings.keep.get(name, retention.ALL), f"keep.{name}")
        kept |= retention.kept(rule, alike, now) if rule else {b.path.name for b in alike}
    return kept


def _freed(settings: "Settings", going: "list[Backup]", every: "list[Backup]") -> Counter[str]:
    """Bytes that each frees, in the order in which they go."""
    ours = settings.folders
    others = [folder for folder in vault.folders(settings) if folder not in ours]
    names = {backup.path.name for backup in going}
    bases = {packing(each.record).base_digest for each in every if each.path.name not in names}
    gone: Counter[tuple[int, int]] = Counter()
    """How many names of a file."""
    frees: Counter[str] = Counter()
    for backup in reversed(going):
        is_base = backup.record is not None and backup.record.digest in bases
        for path in _files(backup, [*ours, *others]):
            with suppress(OSError):
                stat = path.lstat()
                file = stat.st_dev, stat.st_ino
                if path.parent in others and file not in gone:  # another project's of that name
                    continue
                gone[file] += 1
                if gone[file] == stat.st_nlink and not (is_base and path.suffix != ".json"):
                    frees[backup.path.name] += stat.st_blocks * BLOCK
    return frees


def _files(backup: "Backup", folders: "list[Path]") -> "list[Path]":
    suffixes = (".json", *SUFFIXES, *frame.FRAMES)
    stem = backup.path.stem
    return [folder / f"{stem}{suffix}" for folder in folders for suffix in suffixes]
