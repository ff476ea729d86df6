"""What a look reads page by page is what SQLite's own copy has, whatever is in the -wal."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from shop import add, leave_wal, make, wal_of

from undrop import digest
from undrop.engines.sqlite.look import Look
from undrop.errors import UndropError
from undrop.sqlitefile import wal
from undrop.values import Session

Writer = sqlite3.Connection


@contextmanager
def writer(database: Path) -> Iterator[Writer]:
    """Another program, which checkpoints only when it is told to and spills its cache early."""
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA cache_size = 5")
        yield connection


def rolled_back(connection: Writer) -> None:
    """Frames that are in the -wal and belong to no commit."""
    connection.execute("BEGIN")
    connection.execute("UPDATE t SET v = 'never' || v")
    connection.execute("ROLLBACK")


def some(count: int) -> str:
    return f"INSERT INTO t (v) SELECT hex(randomblob(60)) FROM t LIMIT {count}"


WRITES: list[str | Callable[[Writer], object]] = [
    some(1),
    some(40),
    "UPDATE t SET v = v || 'x' WHERE id % 7 = 0",
    "DELETE FROM t WHERE id % 5 = 0 AND id > 10",
    "VACUUM",
    "PRAGMA wal_checkpoint(PASSIVE)",
    "PRAGMA wal_checkpoint(RESTART)",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    rolled_back,
]


def write(connection: Writer, what: str | Callable[[Writer], object]) -> None:
    if isinstance(what, str):
        connection.execute(what).fetchall()
    else:
        what(connection)


def copied(look: Look, folder: Path) -> tuple[Path, str]:
    """SQLite's own copy of what a look sees, and its digest."""
    copy = folder / "copy.db"
    copy.unlink(missing_ok=True)
    copy.touch()
    look.copy_to(copy)
    return copy, digest.of(copy)


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
@pytest.mark.parametrize("seed", range(4))
def test_a_look_tells_the_digest_of_the_copy_that_it_spares(
    tmp_path: Path, seed: int, page_size: int
) -> None:
    """While others write, check points in part (a reader is in the way), and after each of it."""
    draw = random.Random(seed)  # noqa: S311
    database = tmp_path / "app.db"
    make(database, 300, page_size=page_size)
    used = 0
    with writer(database) as one, writer(database) as other:
        for _ in range(25):
            if draw.random() < 0.3:
                other.execute("BEGIN")
                other.execute("SELECT count(*) FROM t").fetchall()
            write(one, draw.choice(WRITES))
            used += wal_of(database).stat().st_size > 0
            with closing(Look(database, Session())) as look:
                for what in draw.choices(WRITES[:3] + WRITES[5:7], k=draw.randrange(3)):
                    write(one, what)
                copy, wanted = copied(look, tmp_path)
                assert look.state(copy).content == wanted
            if other.in_transaction:
                other.execute("COMMIT")
    assert used > 5


def test_one_byte_makes_another_state(tmp_path: Path) -> None:
    database = tmp_path / "app.db"
    make(database)
    with writer(database) as one:
        one.execute("UPDATE t SET v = 'a' WHERE id = 7")
        with closing(Look(database, Session())) as look:
            copy, wanted = copied(look, tmp_path)
            one.execute("UPDATE t SET v = 'b' WHERE id = 7")
            assert look.state(copy).content == wanted
        with closing(Look(database, Session())) as look:
            assert look.state(copy).content != wanted


@pytest.mark.parametrize("mode", ["DELETE", "WAL", "left over"])
def test_without_anything_in_the_wal_and_with_a_dead_programs(tmp_path: Path, mode: str) -> None:
    database = tmp_path / "app.db"
    make(database, wal=mode == "WAL")
    if mode == "left over":
        leave_wal(database)
    before = database.read_bytes()
    with closing(Look(database, Session())) as look:
        copy, wanted = copied(look, tmp_path)
        assert look.state(copy).content == wanted
        for other in (None, database, tmp_path / "gone.db", Path(__file__)):
            assert look.state(other).content
        (tmp_path / "short.db").write_bytes(b"SQLite format 3")
        assert look.state(tmp_path / "short.db").content
        assert look.mode == ("rollback mode" if mode == "DELETE" else "wal mode")
    assert database.read_bytes() == before
    assert (wal_of(database).exists()) == (mode == "left over")


def test_an_index_that_is_not_that_of_the_wal_is_no_answer(tmp_path: Path) -> None:
    database = tmp_path / "app.db"
    make(database)
    with writer(database) as one:
        add(one, 10)
        index, log = database.with_name("app.db-shm"), wal_of(database)
        with index.open("rb") as shm, log.open("rb") as frames:
            seen = wal.index(shm.fileno())
            assert seen.whole
            assert seen.frames > 0
            files = (frames.fileno(), shm.fileno())
            found = wal.places(*files, seen, 4096, trusted=True)
            assert found == wal.places(*files, seen, 4096, trusted=False)
            add(one, 1)
            assert found == wal.places(*files, seen, 4096, trusted=True)
            # What SQLite may not write to can be older than the -wal that it reads by itself.
            with pytest.raises(UndropError, match="not what its index says"):
                wal.places(*files, seen, 4096, trusted=False)
            other = seen.raw.replace(seen.salts, bytes(8))
            with pytest.raises(UndropError, match="not what its index says"):
                wal.places(*files, wal.Index(other), 4096, trusted=True)
