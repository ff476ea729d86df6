"""Which tables have the same pages in two database files (sqlite.org/fileformat2.html, 1.6)."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from undrop.sqlitefile import header
from undrop.sqlitefile.pages import LOCK_BYTE, STEP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

INTERIOR, LEAVES = {2, 5}, {10, 13}  # of indexes, of tables
AMBIGUOUS = 2 << 24  # pages from which an overflow page may begin like one of a b-tree
MOST = 10_000  # pages that differ; with more of them there is little that does not


def untouched(old: "Path", new: "Path", roots: "Iterable[int]") -> set[int]:
    """Those of the ``roots`` (page numbers) whose b-trees are the same in both files.

    Neither may be written meanwhile. None where that cannot be told without reading every row: a
    page differs that may hold the end of a long one, or too many do. Raises OSError, DamagedError.
    """
    one, two = header.read(old), header.read(new)
    if one.page_size != two.page_size:
        return set()
    with ExitStack() as stack:
        fds = [os.open(path, os.O_RDONLY) for path in (old, new)]
        for fd in fds:
            stack.callback(os.close, fd)
        file = _File(fds[0], one.page_size, one.pages)
        differ = _differing(fds[0], fds[1], one.page_size, min(one.pages, two.pages))
        if differ is None:
            return set()
        differ |= set(range(two.pages + 1, one.pages + 1))
        if any(file.may_be_overflow(page) for page in differ - file.known()):
            return set()
        return {root for root in roots if not file.has_any(root, differ)}


def _differing(one: int, two: int, size: int, count: int) -> set[int] | None:
    """Numbers of the pages that two files have not in common; None where they are many."""
    steps = range(0, count * size, STEP)
    middle = len(steps) // 2
    with ThreadPoolExecutor(2) as both:
        halves = list(
            both.map(
                lambda part: _differing_in(one, two, size, count * size, part),
                (steps[:middle], steps[middle:]),
            )
        )
    pages: set[int] = set()
    for half in halves:
        if half is None:
            return None
        pages |= half
    return pages


def _differing_in(one: int, two: int, size: int, end: int, steps: range) -> set[int] | None:
    a, b = bytearray(STEP), bytearray(STEP)
    pages: set[int] = set()
    for start in steps:
        count = min(STEP, end - start)
        if (os.preadv(one, [a], start), os.preadv(two, [b], start)) < (count, count):
            return None
        if a == b:  # behind a short last part both have what came before it, or it is looked at
            continue
        pages |= {
            (start + at) // size + 1
            for at in range(0, count, size)
            if a[at : at + size] != b[at : at + size]
        }
        if len(pages) > MOST:
            return None
    return pages


class _File:
    """The older file's pages."""

    def __init__(self, fd: int, page_size: int, count: int) -> None:
        self._fd, self._size, self._count = fd, page_size, count
        first = self._page(1)
        self._usable = page_size - first[20]
        self._auto_vacuum = any(first[52:56])
        self._free = int.from_bytes(first[32:36], "big")

    def _page(self, number: int) -> bytes:
        return os.pread(self._fd, self._size, (number - 1) * self._size)

    def may_be_overflow(self, page: int) -> bool:
        """Whether it is no page of a b-tree, by its first byte."""
        raw = os.pread(self._fd, 1, (page - 1) * self._size)
        return self._count >= AMBIGUOUS or raw[0] not in INTERIOR | LEAVES

    def known(self) -> set[int]:
        """The pages of which it is known that no row is in them: the schema's, and free ones."""
        pages = {1, LOCK_BYTE // self._size + 1, *self._schema()}
        if self._auto_vacuum:
            pages |= set(range(2, self._count + 1, self._usable // 5 + 1))
        trunk = self._free
        while trunk and trunk not in pages:
            raw = self._page(trunk)
            count = int.from_bytes(raw[4:8], "big")
            pages |= {trunk, *_numbers(raw[8 : 8 + 4 * count])}
            trunk = int.from_bytes(raw[:4], "big")
        return pages

    def _schema(self) -> "Iterator[int]":
        """The pages of the schema table, with those that its long texts go on in."""
        waiting, seen = [1], set[int]()
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            yield number
            raw = self._page(number)
            start = 100 if number == 1 else 0
            if raw[start] in INTERIOR:
                waiting += self._children(raw, start)
            elif raw[start] in LEAVES:
                for cell in _cells(raw, start, 8):
                    yield from self._overflow(raw, cell)

    def _overflow(self, raw: bytes, cell: int) -> "Iterator[int]":
        """The pages that a leaf cell of a table goes on in (1.6: U, P, X, M and K)."""
        payload, at = _varint(raw, cell)
        _, at = _varint(raw, at)
        most, least = self._usable - 35, (self._usable - 12) * 32 // 255 - 23
        if payload <= most:
            return
        local = least + (payload - least) % (self._usable - 4)
        at += local if local <= most else least
        number, seen = int.from_bytes(raw[at : at + 4], "big"), set[int]()
        while number and number not in seen:
            seen.add(number)
            yield number
            number = int.from_bytes(self._page(number)[:4], "big")

    def has_any(self, root: int, pages: set[int]) -> bool:
        """Whether the b-tree that begins at ``root`` has one of these pages, overflow aside."""
        waiting, seen = [root], set[int]()
        while waiting:
            number = waiting.pop()
            if number in pages or number in seen or not 0 < number <= self._count:
                return True
            seen.add(number)
            raw = self._page(number)
            if raw[0] in LEAVES:
                continue
            if raw[0] not in INTERIOR:
                return True
            children = self._children(raw, 0)
            if self._page(children[-1])[0] in LEAVES:  # all leaves are equally deep
                if not pages.isdisjoint(children):
                    return True
            else:
                waiting += children
        return False

    @staticmethod
    def _children(raw: bytes, start: int) -> list[int]:
        cells = _cells(raw, start, 12)
        children = [int.from_bytes(raw[cell : cell + 4], "big") for cell in cells]
        return [*children, int.from_bytes(raw[start + 8 : start + 12], "big")]


def _cells(raw: bytes, start: int, head: int) -> list[int]:
    """Where the cells of a b-tree page begin."""
    count = int.from_bytes(raw[start + 3 : start + 5], "big")
    at = start + head
    return [int.from_bytes(raw[n : n + 2], "big") for n in range(at, at + 2 * count, 2)]


def _numbers(raw: bytes) -> "Iterator[int]":
    return (int.from_bytes(raw[n : n + 4], "big") for n in range(0, len(raw), 4))


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """A number of up to nine bytes, and where it ends."""
    number = 0
    for n in range(8):
        byte = raw[at + n]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at + n + 1
    return number << 8 | raw[at + 8], at + 9
