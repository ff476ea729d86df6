"""A disk in memory: inodes, names, what changes them, and what a loss of power leaves of that."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3
from tally import sampled

STATIC = {"justfile", "pyproject.toml", "alembic.ini", "alembic", "tools"}  # never written
ROOT = 0


class Operation(NamedTuple):
    """One change of the model, or an fsync (no bytes, no size, no names)."""

    what: str
    inode: int
    data: tuple[int, bytes] | None = None
    size: int | None = None
    names: tuple[tuple[int, str, int | None], ...] = ()
    safe: bool = False

    @property
    def is_sync(self) -> bool:
        return self.data is None and self.size is None and not self.names

    @property
    def needs(self) -> set[int]:
        """The inodes whose fsync makes it safe."""
        return {folder for folder, _, _ in self.names} or {self.inode}


class Disk:
    """Inodes and the names that lead to them; ``changed`` orders them by their last change."""

    def __init__(self) -> None:
        self.files: dict[int, bytes] = {}
        self.folders: dict[int, dict[str, int]] = {ROOT: {}}
        self.changed: dict[int, int] = {}

    def copy(self) -> "Disk":
        other = Disk()
        other.files = dict(self.files)
        other.folders = {inode: dict(names) for inode, names in self.folders.items()}
        return other

    def apply(self, operation: Operation, number: int) -> None:
        inode = operation.inode
        old = self.files.get(inode, b"")
        if operation.data:
            start, data = operation.data
            self.files[inode] = old[:start].ljust(start, b"\0") + data + old[start + len(data) :]
        if operation.size is not None:
            self.files[inode] = old[: operation.size].ljust(operation.size, b"\0")
        for folder, name, target in operation.names:
            if target is None:
                self.folders[folder].pop(name, None)
            else:
                self.folders[folder][name] = target
                self.changed[target] = number
        self.changed[inode] = number

    def walk(self, folder: int = ROOT, above: str = "") -> Iterator[tuple[str, int]]:
        """Every path there is, folders before what is in them; SQLite's -shm is no content."""
        for name, inode in sorted(self.folders[folder].items()):
            if not name.endswith("-shm"):
                yield above + name, inode
                if inode in self.folders:
                    yield from self.walk(inode, f"{above}{name}/")

    def tree(self) -> dict[str, bytes | None]:
        """Bytes by path, None for folders."""
        return {path: self.files.get(inode) for path, inode in self.walk()}

    def find(self, path: str) -> int | None:
        inode: int | None = ROOT
        for name in path.split("/") if path else []:
            inode = self.folders[inode].get(name) if inode in self.folders else None
        return inode

    def key(self) -> bytes:
        """Equal for disks with the same names, links and bytes."""
        hasher = blake3()
        for path, inode in self.walk():
            content = blake3(self.files[inode]).hexdigest() if inode in self.files else "/"
            hasher.update(f"{path}\0{inode} {content}\n".encode())
        return hasher.digest()

    def write(self, root: Path) -> None:
        """Make ``root`` this disk, but for the project's own files."""
        clear(root)
        paths = list(self.walk())
        for path, inode in paths:
            if inode in self.folders:
                (root / path).mkdir(mode=0o700, exist_ok=True)
        first: dict[int, Path] = {}
        for path, inode in sorted(paths, key=lambda pair: self.changed.get(pair[1], -1)):
            if inode not in self.files:
                continue
            if inode in first:
                (root / path).hardlink_to(first[inode])
            else:
                first[inode] = root / path
                first[inode].write_bytes(self.files[inode])


def clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name in STATIC:
            continue
        if not path.is_dir():
            path.unlink()
        elif any((path / name).exists() for name in STATIC):
            clear(path)
        else:
            shutil.rmtree(path)


def snapshot(root: Path) -> Disk:
    """The disk as it is below ``root`` now."""
    disk, known = Disk(), {root.stat().st_ino: ROOT}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if STATIC & set(relative.parts) or path.name.endswith("-shm"):
            continue
        inode = known.setdefault(path.stat().st_ino, len(known))
        if path.is_dir():
            disk.folders[inode] = {}
        else:
            disk.files[inode] = path.read_bytes()
        disk.folders[known[path.parent.stat().st_ino]][path.name] = inode
    return disk


class Lost(NamedTuple):
    """What a loss of power may leave."""

    how: str
    ended: bool  # whether the run had ended, so that its result must stay
    disk: Disk


def after_power_loss(before: Disk, operations: list[Operation]) -> Iterator[Lost]:
    """Every different disk that a loss of power may leave, during the run and after it."""
    seen: set[tuple[bytes, bool]] = set()
    for end in range(len(operations) + 1):
        done, ended = operations[:end], end == len(operations)
        pending = pending_of(done)
        lost_sets = [("all kept", set()), ("all lost", pending)] + [
            (f"{how} {done[one].what!r}", lost)
            for one in sorted(pending)
            for how, lost in (("lost", {one}), ("kept only", pending - {one}))
        ]
        for how, lost in lost_sets:
            disk = before.copy()
            for number, operation in enumerate(done):
                if number not in lost:
                    disk.apply(operation, number)
            if (key := (disk.key(), ended)) not in seen:
                seen.add(key)
                after = f"{end}: {done[-1].what!r}" if done else "nothing"
                yield Lost(f"after {after}, {how} of {len(pending)} pending", ended, disk)


def sampled_disks(before: "Disk", operations: list[Operation], most: int) -> list[Lost]:
    """A sample of them, and every one on which the run had ended."""
    every = list(after_power_loss(before, operations))
    ended = [lost for lost in every if lost.ended]
    return sampled(every[: -len(ended)], most) + ended


def pending_of(done: list[Operation]) -> set[int]:
    """The operations, by their number, that no later fsync has made safe."""
    synced: set[int] = set()
    pending = set()
    for number, operation in reversed(list(enumerate(done))):
        if operation.is_sync:
            synced.add(operation.inode)
        elif not operation.safe and not operation.needs <= synced:
            pending.add(number)
    return pending
