"""The digest of a backup's bytes."""

from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from undrop.values import Progress

STEP = 1 << 20  # bytes


def of(path: Path, progress: "Progress" = lambda *_: None, size: int = 0) -> str:
    """BLAKE3 of a file's bytes, or of a folder's files, in a form that names the algorithm."""
    hasher = blake3()
    if path.is_dir():
        for file in sorted(path.iterdir()):
            hasher.update(f"{file.name}\0{of(file, progress, size)}\n".encode())
        return f"blake3:{hasher.hexdigest()}"
    done = 0
    with path.open("rb", buffering=0) as opened:
        while chunk := opened.read(STEP):
            hasher.update(chunk)
            done += len(chunk)
            progress("check", done, max(1, size))
    return f"blake3:{hasher.hexdigest()}"


def of_parts(parts: "Iterable[memoryview]") -> str:
    """The same of what comes in parts."""
    hasher = blake3()
    for part in parts:
        hasher.update(part)
    return f"blake3:{hasher.hexdigest()}"


def of_text(text: str) -> str:
    """The same of a text."""
    return f"blake3:{blake3(text.encode('utf-8', 'surrogateescape')).hexdigest()}"
