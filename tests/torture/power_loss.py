"""A model of power loss: which disks may a crash leave, given the calls that a run really made?

One run is recorded with strace. Its calls below a folder become operations on a model of inodes
and names: bytes written, sizes set, names changed, fsyncs. After every one of them the power may
fail. An operation is safe once the thing that it changed is fsynced: for bytes their file, for
names each folder that they are in. All others are pending, and the disks tried after each
operation are: every pending one lost, all kept, each alone lost, each alone kept.

SQLite's own work on the live database and its sidecars counts as safe at once: its commits are
its promise, and are torn nowhere. What undrop itself does to those names is modelled, and so is
everything elsewhere, also when it is written through SQLite. The two are told apart by a Python
audit hook in the recorded process: it calls sched_yield before Python opens or removes a file,
and SQLite's C code has no such mark in front of its calls (it never renames or links).

Limits. One write call is kept or lost as a whole, no sector of it is torn; one change of names,
a rename too, is atomic; combinations of several pending operations are tried only as all, all but
one, and one. An fsync that returns is believed; that of a new file does not save its name, as
POSIX has it (ext4 is kinder). Modes, owners and times are not modelled, but files get their
ctimes in the order in which they were last changed. The model proves itself: every operation
applied must give the very tree that the run left.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from disk import STATIC, Disk, Operation, snapshot

NAMED = (
    "open,creat,openat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"
)
ON_FILES = "write,pwrite64,ftruncate,fallocate,lseek,sendfile,fsync,fdatasync,close"
NOT_MODELLED = "truncate,symlink,symlinkat,writev,pwritev,pwritev2,copy_file_range,dup,dup2,dup3"
TRACED = f"{NAMED},{ON_FILES},{NOT_MODELLED},clone,clone3,sched_yield"
HOOK = """\
import os, sys
sys.addaudithook(lambda event, _: event in {"open", "os.remove"} and os.sched_yield())
"""
NO_LINKS = """\
import errno
def link(*_names, **_options):
    raise OSError(errno.EXDEV, "another file system")
os.link = link
"""
CALL = re.compile(r"(\d+) +(\w+)\((.*)\) += (\d+)")  # a call that failed (= -1) changed nothing
HEX = re.compile(r"(?:\\x[0-9a-f]{2})*")


Handle = tuple[str, int]  # a process and its descriptor


class Open(NamedTuple):
    """What a descriptor stands for."""

    inode: int
    append: bool
    safe: bool  # SQLite's own handle on the live database or a sidecar of it


class Recording:
    """The operations of one run below ``root``, and the disk that they were made on."""

    def __init__(self, cwd: Path, live: Path, before: Disk, trace: str) -> None:
        self.root, self.cwd, self.before = cwd.parent, cwd, before
        name = str(live.relative_to(self.root))
        self.live = {name, *(f"{name}-{kind}" for kind in ("wal", "shm", "journal"))}
        self.operations: list[Operation] = []
        self.now = before.copy()
        self.opened: dict[Handle, Open] = {}
        self.offsets: dict[Handle, int] = {}
        self.fresh = 1 + max(self.now.files.keys() | self.now.folders.keys())
        lines = list(_whole_lines(trace))
        thread = re.compile(r"(\d+) +clone3?\(.*CLONE_THREAD.*\) += (\d+)")
        leaders = {found[2]: found[1] for line in lines if (found := thread.match(line))}
        marked: set[str] = set()
        for line in lines:
            pid = line.split(" ", 1)[0]
            call = CALL.match(line)
            if call and call[2] == "sched_yield":
                marked.add(pid)
                continue
            if call:
                handle = (leaders.get(pid, pid), int(call[4]))
                self._read(handle, call[2], call[3].split(", "), python=pid in marked)
            marked.discard(pid)

    def _path(self, text: str, folder: str = "") -> str | None:
        """A path below the root, relative to it; None for one elsewhere."""
        base = Path(_text(folder)) if "<" in folder else self.cwd
        path = os.path.normpath(base / _text(text))
        if path == str(self.root):
            return ""
        inside = path.startswith(f"{self.root}/") and not STATIC & set(path.split("/"))
        return path[len(str(self.root)) + 1 :] if inside else None

    def _add(self, what: str, inode: int, *, safe: bool = False, **change: object) -> None:
        operation = Operation(what, inode, safe=safe, **change)  # type: ignore[arg-type]
        self.now.apply(operation, len(self.operations))
        self.operations.append(operation)

    def _names(self, what: str, *changes: tuple[str, int | None], safe: bool = False) -> None:
        names = []
        for path, inode in changes:
            folder, _, name = path.rpartition("/")
            inside = self.now.find(folder)
            assert inside is not None, f"{what}: no {folder}"
            names.append((inside, name, inode))
        self._add(what, names[-1][2] or names[-1][0], names=tuple(names), safe=safe)

    def _read(self, fd: Handle, call: str, given: list[str], *, python: bool) -> None:
        process, result = fd
        first = (process, int(given[0].split("<")[0])) if given[0][:1].isdigit() else fd
        if call in NAMED.split(","):
            self._read_named(fd, call, given, python=python)
        elif call in NOT_MODELLED.split(","):
            path = self._path(given[0]) if given[0].startswith('"') else None
            assert path is None, f"{call} is not modelled: {given}"
            assert first not in self.opened, f"{call} is not modelled: {given}"
        elif not call.startswith("clone") and first in self.opened:
            self._read_handle(first, call, given, result)

    def _read_named(self, fd: Handle, call: str, given: list[str], *, python: bool) -> None:
        # Each path has its folder's descriptor before it in the calls whose name ends in "at".
        if call.rstrip("2").endswith("at") and call != "creat":
            paths = [
                self._path(given[at + 1], given[at])
                for at in range(0, len(given) - 1, 2)
                if given[at + 1].startswith('"')
            ]
        else:
            paths = [self._path(text) for text in given if text.startswith('"')]
        if all(path is None for path in paths):
            self.opened.pop(fd, None)
            return
        assert None not in paths, f"{call} across the folder's border: {given}"
        path, to = str(paths[0]), str(paths[-1])
        inode = self.now.find(path)
        safe = {path, to} <= self.live and not python
        what = f"{call} {path}" + (f" {to}" if len(paths) == 2 else "")
        if call.startswith("rename"):
            self._names(what, (path, None), (to, inode))
        elif call.startswith("link"):
            self._names(what, (to, inode))
        elif call.startswith(("unlink", "rmdir")):
            self._names(what, (path, None), safe=safe)
        elif call.startswith("mkdir"):
            self.now.folders[self.fresh], self.before.folders[self.fresh] = {}, {}
            self._names(what, (path, self.fresh))
            self.fresh += 1
        else:
            flags = " ".join(given)
            if inode is None:
                inode, self.fresh = self.fresh, self.fresh + 1
                self.now.files[inode] = self.before.files[inode] = b""
                self._names(what, (path, inode), safe=safe)
            elif "O_TRUNC" in flags and self.now.files[inode]:
                self._add(f"truncate {path}", inode, size=0, safe=safe)
            self.opened[fd] = Open(inode, "O_APPEND" in flags, safe)
            self.offsets[fd] = 0

    def _read_handle(self, fd: Handle, call: str, given: list[str], result: int) -> None:
        inode, append, safe = self.opened[fd]
        what = f"{call} {_text(given[0]).removeprefix(f'{self.root}/')}"
        if call == "close":
            del self.opened[fd]
        elif call in {"fsync", "fdatasync"}:
            self._add(what, inode)
        elif call == "lseek":
            self.offsets[fd] = result
        elif call == "ftruncate":
            self._add(what, inode, size=int(given[1]), safe=safe)
        elif call == "pwrite64":
            data = _bytes(given[1])[:result]
            self._add(what, inode, data=(int(given[3]), data), safe=safe)
        elif call in {"write", "sendfile"}:
            if call == "write":
                data = _bytes(given[1])[:result]
            else:
                source = self.opened[fd[0], int(given[1].split("<")[0])]
                start = int(given[2].strip("[").split("]")[0])
                data = self.now.files[source.inode][start : start + result]
            at = len(self.now.files[inode]) if append else self.offsets[fd]
            self.offsets[fd] = at + len(data)
            if data:
                self._add(what, inode, data=(at, data), safe=safe)
        else:
            raise AssertionError(f"{call} is not modelled: {given[:1]}")


def _whole_lines(trace: str) -> Iterator[str]:
    """Strace's lines in the order in which the calls ended, their halves put together."""
    unfinished: dict[str, str] = {}
    for line in trace.splitlines():
        pid, _, rest = line.partition(" ")
        if rest.endswith("<unfinished ...>"):
            unfinished[pid] = line.removesuffix("<unfinished ...>")
        elif resumed := re.match(r" *<\.\.\. \w+ resumed>", rest):
            yield unfinished.pop(pid) + rest[resumed.end() :]
        else:
            yield line


def _bytes(argument: str) -> bytes:
    """What strace -xx wrote as ``"\\x41"``, or -y as ``3<\\x41>``."""
    _, _, hexadecimal = argument.partition("<" if "<" in argument else '"')
    match = HEX.match(hexadecimal)
    return bytes.fromhex(match[0].replace("\\x", "")) if match else b""


def _text(argument: str) -> str:
    return os.fsdecode(_bytes(argument))


def record(
    command: list[str],
    environment: Mapping[str, str],
    *,
    cwd: Path,
    live: Path,
    at: Path,
    links: bool = True,
) -> Recording:
    """Run ``command``, which must succeed, and record what it does beside and below ``cwd``.

    ``live`` is the live database, ``at`` a folder elsewhere for the trace. Without ``links``
    every folder is as on a file system of its own.
    """
    root = cwd.parent
    before = snapshot(root)
    (at / "sitecustomize.py").write_text(HOOK if links else HOOK + NO_LINKS)
    trace = at / "trace"
    path = os.pathsep.join([str(at), environment.get("PYTHONPATH", "")])
    strace = ["strace", "-f", "-y", "-xx", "-s", "10000000", "--seccomp-bpf", "-qq"]
    subprocess.run(
        [*strace, "-o", str(trace), "-e", f"trace={TRACED}", *command],
        cwd=cwd,
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    recording = Recording(cwd, live, before, trace.read_text())
    assert recording.now.tree() == snapshot(root).tree(), "the model is not what happened"
    return recording
