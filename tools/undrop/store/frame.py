"""Zstandard frames: a backup's bytes, alone or as what differs from another one's.

The ``zstd`` command gives them back, too (zstd(1), --patch-from and --long).
"""

import shlex
import sys
import tarfile
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from undrop import durable
from undrop.engines.registry import SUFFIXES
from undrop.errors import CheckError
from undrop.recipes import Action

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

SUFFIX = ".zst"
FRAMES = tuple(plain + SUFFIX for plain in SUFFIXES)
ENDINGS = (*SUFFIXES, *FRAMES)
"""What the names of backups' files end with."""
LONGEST = 31
"""The largest window: a match may lie anywhere in the base (zstd(1), --patch-from)."""
UNTOLD = 27
"""The largest one that a decoder takes without being told of it (zstd(1), --long)."""
SMALLEST = 1024  # bytes; a base of less helps nobody, and one of less than 8 cannot be had
STEP = 1 << 20  # bytes


def line(plain: str, base: str, *, is_folder: bool) -> str:
    """What unpacks one by hand, typed where it and its base are, ``plain`` being the backup."""
    how = ["zstd", "-d", f"--long={LONGEST}", f"--patch-from={base}"] if base else ["zstd", "-d"]
    target = f"{plain}.tar" if is_folder else plain
    typed = shlex.join([*how, plain + SUFFIX, "-o", target])
    opened = shlex.join(["tar", "-xf", target, f"--one-top-level={plain}"])
    return f"{typed} && {opened}" if is_folder else typed


def of(plain: "Path") -> "Path":
    """Where the frame of a backup is, beside its plain file or instead of it."""
    return plain.with_name(plain.name + SUFFIX)


def pack(plain: "Path", base: "Path | None", frame: "Path") -> None:
    """Write the frame of a file, or of a folder of files, into ``frame``, an empty file of ours.

    Against ``base`` that takes memory of the one twice and of the other once; alone it is streamed.
    Raises OSError.
    """
    zstd = _zstd()
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: UNTOLD,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    with _as_file(plain, frame) as file:
        if base is None:
            with file.open("rb") as source, zstd.open(frame, "wb", options=options) as target:
                while chunk := source.read(STEP):
                    target.write(chunk)
        else:
            known, data = base.read_bytes(), file.read_bytes()
            window = (len(known) + len(data)).bit_length()
            options[zstd.CompressionParameter.window_log] = min(max(window, UNTOLD), LONGEST)
            prefix = zstd.ZstdDict(known, is_raw=True).as_prefix
            frame.write_bytes(zstd.compress(data, options=options, zstd_dict=prefix))
    durable.sync_path(frame)


def unpack(
    frame: "Path", base: "Path | None", target: "Path", size: int, *, is_folder: bool
) -> None:
    """Write what is packed in ``frame``, ``size`` bytes, to ``target``, which is not there yet.

    Raises CheckError where that is no whole frame of that size packed against ``base``; OSError.
    Nothing is left then.
    """
    file = _archive(target) if is_folder else target
    try:
        with file.open("xb") as out:
            for part in parts(frame, base, None if is_folder else size):
                out.write(part)
        if is_folder:
            durable.make_private(target)
            with tarfile.open(file, "r:") as archive:
                archive.extractall(target, filter="data")
            file.unlink()
    except tarfile.TarError as error:
        durable.remove_with_sidecars(target)
        raise _broken(frame, str(error)) from error
    except BaseException:
        durable.remove_with_sidecars(target)
        raise


def parts(frame: "Path", base: "Path | None", size: int | None) -> "Iterator[bytes]":
    """What is packed in a frame, part by part; ``size`` bytes in all, where that is known.

    Raises CheckError where it is no whole one packed against ``base``; OSError.
    """
    if not frame.is_file():  # a pipe would be waited on for ever
        raise _broken(frame, "it is no file")
    zstd = _zstd()
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: LONGEST}
    prefix = zstd.ZstdDict(base.read_bytes(), is_raw=True).as_prefix if base else None
    unpacker, come = zstd.ZstdDecompressor(prefix, options), 0
    with frame.open("rb") as source:
        while not unpacker.eof and (size is None or come <= size):
            chunk = source.read(STEP) if unpacker.needs_input else b""
            try:
                part = unpacker.decompress(chunk, STEP)
            except zstd.ZstdError as error:
                raise _broken(frame, str(error)) from error
            if not (chunk or part):
                break
            come += len(part)
            yield part
    if not unpacker.eof or size not in {None, come}:
        raise _broken(frame, "its size is another one")


def _zstd() -> "ModuleType":
    """Python's own from 3.14 on, and what stands in for it before."""
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def _broken(frame: "Path", why: str) -> CheckError:
    return CheckError(f"{frame} cannot be unpacked: {why}", Action("list"))


def _archive(work: "Path") -> "Path":
    """A name beside a file of ours that goes with it."""
    return work.with_name(f"{work.name}-journal")


@contextmanager
def _as_file(plain: "Path", work: "Path") -> "Iterator[Path]":
    """A backup that is a folder as an archive beside ``work``, the same one each time."""
    if not plain.is_dir():
        yield plain
        return
    with durable.scratch(_archive(work)) as file:
        with tarfile.open(file, "w") as archive:
            for member in sorted(plain.iterdir()):
                about = tarfile.TarInfo(member.name)
                about.size, about.mode = member.stat().st_size, 0o600
                with member.open("rb") as content:
                    archive.addfile(about, content)
        yield file
