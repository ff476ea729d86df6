"""Older backups become frames against an earlier one of the same database, and plain files again.

State *i* of a database, as they are packed, has the last multiple of 10 as its base, that one the
last of 100, that the last of 1,000, which stays plain: what is packed stays as it is when newer
ones come, and three frames at most are unpacked for one.

A frame has its name, in ``backups/`` and in the vault, before the plain file loses it; until then
a backup has both, and is the plain one.
"""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from undrop import digest, durable, record
from undrop.engines.registry import SUFFIXES
from undrop.errors import CheckError
from undrop.recipes import Action
from undrop.store import catalog, frame, unpacked, vault
from undrop.store.unpacked import Packing, packing

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock

LEVELS = (10, 100, 1000)
"""The state with a multiple of it as its number is the base of those up to the next multiple."""
STAYS = LEVELS[-1]
DEFAULTS = Packing()._asdict()


class State(NamedTuple):
    """Backups of one database with the same bytes, the oldest first."""

    backups: "list[Backup]"

    @property
    def digest(self) -> str:
        """Of these bytes."""
        return self.backups[0].record.digest if self.backups[0].record else ""

    @property
    def bytes(self) -> int:
        """How many they are."""
        return self.backups[0].record.bytes if self.backups[0].record else 0

    @property
    def number(self) -> int:
        """Its place among the packed states; -1 where it has none."""
        return max(packing(each.record).number for each in self.backups)

    @property
    def stays_plain(self) -> bool:
        """Whether it is a base that nothing is the base of."""
        return self.number >= 0 and self.number % STAYS == 0

    @property
    def is_packed(self) -> bool:
        """Whether none of it is plain any more."""
        return not any(os.path.lexists(each.path) for each in self.backups)

    @property
    def packed_bytes(self) -> int:
        """Of its frame; 0 where it has none."""
        return max(packing(each.record).bytes for each in self.backups)

    @property
    def bases(self) -> set[str]:
        """The digests of what its records say that it is packed against, whether it still is."""
        return {packing(each.record).base_digest for each in self.backups}

    @property
    def needs(self) -> str:
        """The digest of its base, where it is packed against one."""
        return next((packing(b.record).base_digest for b in self.backups if b.packed), "")


def states(backups: "list[Backup]", source: str) -> "list[State]":
    """Those in ``backups/`` of the database that records name so, in the order they were taken."""
    by_digest: dict[str, list[Backup]] = {}
    for backup in backups:
        record = backup.record
        if record and record.digest and record.source == source and not backup.only_in_vault:
            by_digest.setdefault(record.digest, []).append(backup)
    return [State(each) for each in by_digest.values()]


def pack(lock: "Lock", state: State, others: list[State]) -> State:
    """Pack a state of a database, unless its place is that of a base that stays plain.

    ``others`` are those of the same database that it may be packed against. Returns it with the
    records that it has then. Raises CheckError where bytes are not those that a record names,
    OSError: the state is as it was, or packed, then.
    """
    settings, number = lock.settings, state.number
    if number < 0 and state.bytes <= settings.pack_limit:
        number = 1 + max(each.number for each in others)
    if number >= 0 and number % STAYS == 0:
        return _tell(lock, state, Packing(number))
    base = _base(state, number, others)
    plain = _whole(settings, state)
    against = _whole(settings, base) if base else None
    with durable.scratch(_hidden(lock)) as work:
        frame.pack(plain, against, work)
        _try(work, against, state, is_folder=plain.is_dir())
        work.chmod(0o400)
        taken = plain.stat()
        os.utime(work, ns=(taken.st_atime_ns, taken.st_mtime_ns))  # it is as old as that
        how = Packing(
            number,
            base.backups[0].path.name if base else "",
            base.digest if base else "",
            digest.of(work),
            durable.size(work),
            plain.is_dir(),
        )
        state = _tell(lock, state, how)
        for backup in state.backups:
            _name(work, frame.of(backup.path))
    durable.sync_path(settings.backups)
    vault.keep(lock)
    for backup in state.backups:
        _drop_plain(settings, backup.path.name, how)
    return State([each._replace(packed=frame.of(each.path)) for each in state.backups])


def make_plain(lock: "Lock", backup: "Backup") -> None:
    """Let a backup have a whole plain file again, where only a frame has its bytes; it keeps that.

    Raises CheckError, OSError.
    """
    if backup.packed is None or unpacked.is_whole(lock.settings, backup):
        return
    work = backup.path.parent / _hidden(lock).name
    try:
        unpacked.write(lock.settings, backup, work)
        durable.make_read_only(work)
        for file in [*work.iterdir(), work] if work.is_dir() else [work]:
            durable.sync_path(file)
        if work.is_dir():
            durable.remove(backup.path)
        work.rename(backup.path)
    finally:
        durable.remove_with_sidecars(work)
    durable.sync_path(backup.path.parent)
    vault.keep(lock)


def release(lock: "Lock", gone: "Backup") -> None:
    """Make anew what is packed against a backup that is to go, and is there still.

    Where another one has its bytes, that is the base from now on; else the first of those that
    are packed against it takes its place. Raises CheckError, OSError: nothing is lost then.
    """
    kept = gone.record
    if kept is None or not kept.digest:
        return
    known = states(catalog.backups(lock.settings), kept.source)
    needy = [each for each in known if kept.digest in each.bases and each.digest != kept.digest]
    names = [b for s in known if s.digest == kept.digest for b in s.backups]
    if same := [each for each in names if each.path.name != gone.path.name]:
        for each in same:  # those that come need its number, too
            how = packing(each.record)._replace(number=State([*names, gone]).number)
            _tell(lock, State([each]), how)
        for state in needy:
            how = next(h for b in state.backups if (h := packing(b.record)).base)
            _tell(lock, state, how._replace(base=same[0].path.name))
        return
    others = {each.digest: each for each in known if each.digest != kept.digest}
    number: int | None = packing(kept).number
    if any(each.number == number for each in others.values()):  # handed on by a killed run
        number = None
    for state in sorted(needy, key=lambda each: each.number):
        _unpack(lock, state)
        plain = _tell(lock, state, Packing(state.number if number is None else number))
        number, others[state.digest] = None, pack(lock, plain, [*others.values()])


def release_beside(lock: "Lock", folder: Path, gone: "Backup") -> None:
    """The same for what only a vault has: what is packed against that file gets plain again.

    Raises CheckError, OSError.
    """
    for note in sorted(folder.glob("*.json")):
        how = packing(record.read(note))
        if not how.base or gone.record is None or how.base_digest != gone.record.digest:
            continue
        if note.stem == gone.path.stem:
            continue
        if how.base != gone.path.name and catalog.at(folder / how.base):
            continue
        for backup in filter(None, (catalog.at(note.with_suffix(suffix)) for suffix in SUFFIXES)):
            if backup.packed:
                make_plain(lock, backup)
                backup.packed.unlink()


def _base(state: State, number: int, others: list[State]) -> State | None:
    """What the state is packed against with that number, if it is there."""
    by_digest = {each.digest: each for each in others}
    by_number = {each.number: each for each in others if each.number >= 0}
    for level in LEVELS if number >= 0 else ():
        base = by_number.get(number - number % level)
        if number % level and base and _can_be_base(base):
            return None if _needs(base, state, by_digest) else base
    return None


def _needs(one: State | None, other: State, by_digest: dict[str, State]) -> bool:
    """Whether one cannot be unpacked without the other, whatever their numbers say."""
    for _ in range(unpacked.DEEPEST):
        if one is None or one.digest == other.digest:
            return one is not None
        one = by_digest.get(one.needs)
    return True


def _can_be_base(state: State) -> bool:
    is_folder = any(b.path.is_dir() or packing(b.record).folder for b in state.backups)
    return state.bytes >= frame.SMALLEST and not is_folder


def _whole(settings: "Settings", state: State) -> Path:
    """A file with the bytes of a state, read to its end. Raises CheckError, OSError."""
    why: CheckError | OSError | None = None
    for place in (each for b in state.backups for each in catalog.places(settings, b)):
        try:
            return unpacked.whole(settings, place)
        except (CheckError, OSError) as failed:
            why = why or failed
    assert why is not None  # noqa: S101 - a state has a backup, and that a place
    raise why


def _try(work: Path, against: Path | None, state: State, *, is_folder: bool) -> None:
    """Unpack what was written once more, and compare. Raises CheckError, OSError.

    What is no folder needs no room for that: a full disk is a reason to pack.
    """
    if is_folder:
        with TemporaryDirectory(prefix=unpacked.prefix()) as folder:
            again = Path(folder, "again")
            frame.unpack(work, against, again, state.bytes, is_folder=True)
            found = digest.of(again)
    else:
        unpacked_again = frame.parts(work, against, state.bytes)
        found = digest.of_parts(memoryview(part) for part in unpacked_again)
    if found != state.digest:
        raise CheckError(f"what {state.backups[0].path} was packed to is not whole", Action("list"))


def _hidden(lock: "Lock") -> Path:
    """Another hidden name that is swept, beside that of a backup which is taken."""
    return lock.partial().with_name(f"{lock.partial().name}-frame")


def _tell(lock: "Lock", state: State, how: Packing) -> State:
    """Let the records of a state say how it is packed; the state with them. Raises OSError."""
    told = []
    for backup in state.backups:
        name = backup.path.name
        by_hand = frame.line(name, how.base, is_folder=how.folder) if how.digest else ""
        own = how._replace(unpack=by_hand)
        packed = {key: value for key, value in own._asdict().items() if value != DEFAULTS[key]}
        catalog.amend(lock, backup, packed=packed)
        known = backup.record._replace(packed=packed) if backup.record else None
        told.append(backup._replace(record=known))
    return State(told)


def _name(whole: Path, target: Path) -> None:
    """Give a file of ours another name, where nothing else may have that; a copy if need be."""
    beside = target.with_name(f".{os.getpid()}.partial-journal")
    try:
        try:
            os.link(whole, beside)
        except OSError:  # no links there
            shutil.copyfile(whole, beside)
            beside.chmod(0o400)
            durable.sync_path(beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _drop_plain(settings: "Settings", name: str, how: Packing) -> None:
    """Take the plain file of a backup away wherever its frame is, and what that needs."""
    for folder in reversed(settings.folders):  # what is in backups/ is there for longer
        packed = frame.of(folder / name)
        base = not how.base or catalog.at(folder / how.base)
        if base and packed.is_file() and digest.of(packed) == how.digest:
            durable.remove(folder / name)
            durable.sync_path(folder)


def _unpack(lock: "Lock", state: State) -> None:
    """Let a state have its plain files alone again. Raises CheckError, OSError."""
    settings = lock.settings
    first, *others = state.backups
    make_plain(lock, first)
    for backup in others:
        if not os.path.lexists(backup.path):
            if first.path.is_dir():
                make_plain(lock, backup)
            else:
                _name(first.path, backup.path)
    durable.sync_path(settings.backups)
    vault.keep(lock)
    for folder in reversed(settings.folders):  # what is in backups/ is there for longer
        for backup in state.backups:
            place = catalog.at(folder / backup.path.name)
            if place and place.packed:
                make_plain(lock, place)
                place.packed.unlink()
        if folder.is_dir():
            durable.sync_path(folder)
