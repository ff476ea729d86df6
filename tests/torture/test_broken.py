"""Broken backups as input to restore: cut, grown, replaced, and with any single bit flipped.

Each check was seen failing with the product broken on purpose: ``verify.verify`` without the
digest (flipped bits), ``parse_header`` without its arithmetic (cut and grown).
"""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import inside
import pytest
from shop import Project, add, content, make
from tally import Tally, sampled

from undrop import digest as digests
from undrop import settings
from undrop.errors import UndropError
from undrop.record import Record
from undrop.steps import backup, verify
from undrop.store import catalog
from undrop.store.lock import locked


class Bench:
    """A live database and a backup of it, to be put back in many broken forms."""

    def __init__(self, project: Project) -> None:
        make(project.database, 300)
        self.project, self.config = project, settings.load(project.root)
        with locked(self.config, print) as lock:
            taken = backup.take(lock, backup.Purpose("good", ""))
        assert taken is not None
        assert taken.record is not None
        self.good, self.record = taken.path.read_bytes(), taken.record
        with closing(sqlite3.connect(project.database)) as connection:
            add(connection, 1)
        self.live = project.database.read_bytes()

    def write(self, data: bytes, record: Record | str | None) -> Path:
        path = self.project.backups / "quartermaster-20260101-000000-hostile.db"
        path.write_bytes(data)
        path.with_suffix(".json").unlink(missing_ok=True)
        if record is not None:
            text = record.to_json() if isinstance(record, Record) else record
            path.with_suffix(".json").write_text(text)
        return path

    def restored(self, path: Path) -> str:
        """Empty when refused as it should be, else what happened."""
        try:
            with locked(self.config, print) as lock:
                inside.restored(lock, path.name, self.config.root)
        except UndropError as error:
            unchanged = self.project.database.read_bytes() == self.live
            return "" if unchanged and error.exit_code == 4 else f"changed, or {error.exit_code}"
        return "it was accepted"


@pytest.fixture
def bench(project: Project) -> Bench:
    return Bench(project)


def cut_and_grown(good: bytes) -> Iterator[tuple[str, bytes]]:
    """The backup cut at and around each page's boundary, with more at its end, or replaced."""
    for boundary in range(0, len(good), 4096):
        for size in (boundary - 1, boundary, boundary + 1):
            if size >= 0:
                yield f"cut to {size} bytes", good[:size]
    yield from {
        "cut by a byte": good[:-1],
        "a byte more": good + b"\0",
        "a page more": good + bytes(4096),
        "itself twice": good + good,
        "text": b"no database\n" * 1000,
        "only the magic": good[:16],
        "zeros": bytes(len(good)),
    }.items()


@pytest.mark.smoke
def test_a_cut_or_grown_backup_is_refused_with_and_without_its_record(
    bench: Bench, tally: Tally
) -> None:
    found = []
    cases = sampled(list(cut_and_grown(bench.good)), 40)
    for name, data in cases:
        digest = digests.of(bench.write(data, None))
        # Pages behind the last are SQLite's way of allocating ahead: whole, if no record says more.
        unrecorded = [] if name in {"a page more", "itself twice"} else [None]
        for record in (bench.record, *unrecorded, bench.record._replace(digest=digest)):
            if problem := bench.restored(bench.write(data, record)):
                found.append(f"{name}, record {record}: {problem}")
    tally("input: cut or grown backups", 3 * len(cases), found)


def test_any_flipped_bit_is_refused(bench: Bench, tally: Tally) -> None:
    pick = random.Random(4)  # noqa: S311
    bits = [pick.randrange(8 * len(bench.good)) for _ in range(1000)]
    found = []
    for bit in sampled(bits, 100):
        data = bytearray(bench.good)
        data[bit // 8] ^= 1 << bit % 8
        if problem := bench.restored(bench.write(bytes(data), bench.record)):
            found.append(f"bit {bit}: {problem}")
    tally("input: flipped bits", len(sampled(bits, 100)), found)


def test_a_flipped_bit_without_a_record_is_no_traceback(bench: Bench, tally: Tally) -> None:
    found = []
    bits = sampled(list(range(8 * 400)), 150)  # the header, and where the first page begins
    last = 8 * 4096
    bits += sampled(list(range(last - 8 * 200, last)), 50)  # the schema is at the page's end
    for bit in bits:
        data = bytearray(bench.good)
        data[bit // 8] ^= 1 << bit % 8
        path = bench.write(bytes(data), None)
        try:
            verify.verify(bench.config, catalog.Backup(path, None))
        except (UndropError, OSError, sqlite3.Error):
            continue
        except Exception as error:  # noqa: BLE001 - the point of the test
            found.append(f"bit {bit}: {error!r}")
    tally("input: flipped bits", len(bits), found)


def test_a_flipped_bit_in_the_live_schema_does_not_block_its_rescue(
    bench: Bench, tally: Tally
) -> None:
    live, found = bench.project.database, []
    wanted = content(next(path for path in bench.project.saved()))
    start, end = bench.live.index(b"tablett") - 8, 4096
    bits = sampled(list(range(8 * start, 8 * end)), 12)
    for bit in bits:
        data = bytearray(bench.live)
        data[bit // 8] ^= 1 << bit % 8
        live.write_bytes(bytes(data))
        try:
            with locked(bench.config, print) as lock:
                inside.restored(lock, "latest", bench.config.root)
            for kept in bench.project.backups.glob("*.damaged"):
                shutil.rmtree(kept)
            if content(live) != wanted:
                found.append(f"bit {bit}: something else is live")
        except Exception as error:  # noqa: BLE001 - the point of the test
            found.append(f"bit {bit}: {error!r}")
    tally("input: flipped bits in the live schema", len(bits), found)
