"""The swap of the live content: its locks, its progress, what it pads, what it makes anew."""

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import inside
import pytest
from shop import Project, add, content, make, uncheckpointed, wal_of

from undrop import durable
from undrop.engines.sqlite import livefiles, swap
from undrop.engines.sqlite.snapshot import Snapshot
from undrop.errors import ChangedError, LiveMovedError, UndropError
from undrop.values import PATIENCE, Progress, Session, quiet


@pytest.fixture(params=["rollback", "wal"])
def live(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A database of 400 rows in either mode."""
    path = tmp_path / "live.db"
    make(path, 400, wal=request.param == "wal")
    return path


def source(folder: Path, rows: int = 100) -> Path:
    """What is to be put in place: a table's first page and as many as the rows need."""
    path = folder / f"{rows}.db"
    make(path, rows)
    return path


def swapped(
    live: Path, wanted: Path, progress: Progress = quiet, patience: float = PATIENCE
) -> float:
    """What a swap says how long others were locked out."""
    snapshot = Snapshot(live, Session(progress, patience))
    try:
        return swap.swap(snapshot, wanted)
    finally:
        snapshot.close()


def locked(live: Path, act: Callable[[], object], release: float | None = None) -> None:
    """Do something while another connection has the write lock, if only for so long."""
    other = sqlite3.connect(live, isolation_level=None, check_same_thread=False)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(release or 0, lambda: other.execute("ROLLBACK"))
        if release:
            timer.start()
        act()
        if release:
            timer.join()


def test_a_lock_that_lasts_for_a_moment_is_waited_for(live: Path) -> None:
    wanted = source(live.parent)
    locked(live, lambda: swapped(live, wanted), 0.05)
    assert content(live) == content(wanted)


def test_the_seconds_that_others_were_locked_out_are_those_after_the_wait(live: Path) -> None:
    wanted = source(live.parent)
    took: list[float] = []
    start = time.monotonic()
    locked(live, lambda: took.append(swapped(live, wanted)), 0.1)
    assert 0 < took[0] <= time.monotonic() - start - 0.1


def test_one_that_is_kept_out_writes_nothing(tmp_path: Path) -> None:
    """Not even a checkpoint of what others left in the -wal."""
    live = tmp_path / "live.db"
    make(live, 400, wal=True)
    wanted = source(tmp_path)
    with uncheckpointed(live):
        bytes_before = live.read_bytes(), wal_of(live).read_bytes()

        def kept_out() -> None:
            with pytest.raises(UndropError, match="was locked"):
                swapped(live, wanted, patience=0.05)
            assert (live.read_bytes(), wal_of(live).read_bytes()) == bytes_before

        locked(live, kept_out)


def test_what_failed_under_the_lock_leaves_no_frames_in_the_wal(tmp_path: Path) -> None:
    """Whole ones of a commit whose fsync failed would be a commit at the next opening."""
    live = tmp_path / "live.db"
    make(live, 400, wal=True)
    wanted = source(tmp_path)

    def fail(_phase: str, _done: int, _total: int) -> None:
        raise OSError("the disk went away")

    with uncheckpointed(live):
        before = content(live)
        with pytest.raises(OSError, match="went away"):
            swapped(live, wanted, fail)
        assert wal_of(live).stat().st_size == 0
        assert content(live) == before


def test_where_that_cannot_be_seen_to_it_is_not_said_that_nothing_changed(tmp_path: Path) -> None:
    make(tmp_path / "live.db")
    connection = sqlite3.connect(tmp_path / "live.db")
    connection.close()  # as after an error of the disk, nothing can be done through it
    session = Session()
    with pytest.raises(ChangedError, match="the old content or the new"):
        swap._forget(connection, session, OSError("no fsync"))
    assert session.changed


@pytest.mark.parametrize("rows", [3, 100, 12_000])
def test_progress_goes_up_to_all_bytes_of_what_is_put_in_place(live: Path, rows: int) -> None:
    wanted = source(live.parent, rows)
    size = wanted.stat().st_size
    seen: list[tuple[str, int, int]] = []
    swapped(live, wanted, lambda *step: seen.append(step))
    assert {(phase, total) for phase, _, total in seen} == {("replace", size)}
    done = [each for _, each, _ in seen]
    assert done == sorted(set(done))
    assert 0 < done[0] < done[-1] == size
    assert content(live) == content(wanted)


@pytest.mark.parametrize("at", ["first", "last", "never"])
def test_that_something_is_changed_is_known_from_the_commit_on(live: Path, at: str) -> None:
    """Whatever fails after it, be it only the last look at the progress, has to say so."""

    def interrupt(_phase: str, done: int, total: int) -> None:
        if at == "first" or (at == "last" and done == total):
            raise KeyboardInterrupt

    wanted = source(live.parent)
    session = Session(interrupt)
    with closing(Snapshot(live, session)) as snapshot:
        if at == "never":
            swap.swap(snapshot, wanted)
        else:
            with pytest.raises(ChangedError if at == "last" else KeyboardInterrupt):
                swap.swap(snapshot, wanted)
    assert session.changed == (at != "first")
    assert (content(live) == content(wanted)) == session.changed


def install(live: Path, session: Session) -> None:
    live.unlink()
    livefiles.install(source(live.parent), live, session, damaged=False)


def install_over_damage(live: Path, session: Session) -> None:
    wal_of(live).write_text("garbage")
    livefiles.install(source(live.parent), live, session, damaged=True)


@pytest.mark.parametrize("act", [install, install_over_damage, livefiles.unlink])
def test_that_files_are_changed_is_known_from_the_first_of_them_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path, Session], None]
) -> None:
    live, session = tmp_path / "live.db", Session()
    make(live, 5)
    act(live, session)
    assert session.changed
    live.unlink(missing_ok=True)
    (tmp_path / "100.db").unlink(missing_ok=True)
    make(live, 5)

    def fail(path: Path) -> None:
        if path.is_dir():
            raise OSError("the disk went away")

    monkeypatch.setattr(durable, "sync_path", fail)
    session = Session()
    with pytest.raises(ChangedError, match="half way"):
        act(live, session)
    assert session.changed


def test_what_is_left_of_a_database_without_its_main_file_is_taken_away(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    for sidecar in durable.sidecars(live):
        sidecar.write_text("left over")
    session = Session()
    livefiles.unlink(live, session)
    assert list(tmp_path.iterdir()) == []
    assert session.changed


def test_where_the_first_file_fails_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, session = tmp_path / "live.db", Session()
    make(live, 5)

    def fail(_self: Path, **_options: object) -> None:
        raise PermissionError("not with you")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "unlink", fail)
        with pytest.raises(PermissionError, match="not with you"):
            livefiles.unlink(live, session)
    assert not session.changed
    assert live.exists()


@pytest.mark.parametrize("rows", [3, 100])
def test_a_commit_just_before_is_seen_however_few_pages_there_are(live: Path, rows: int) -> None:
    """What is there is looked at before the last page is written, be it the second."""
    wanted = source(live.parent, rows)
    assert (wanted.stat().st_size == 2 * 4096) == (rows == 3)
    snapshot = Snapshot(live, Session())
    snapshot.release()
    with closing(sqlite3.connect(live)) as connection:
        add(connection, 1)
    before = content(live)
    with pytest.raises(LiveMovedError):
        swap.swap(snapshot, wanted)
    snapshot.close()
    assert content(live) == before


def test_what_is_of_one_page_or_in_wal_mode_is_not_put_in_place_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "one.db")) as connection:
        connection.execute("PRAGMA user_version = 7")
    make(tmp_path / "wal.db", 3, wal=True)
    for path, own in (("one.db", True), ("wal.db", True), (source(tmp_path, 3).name, False)):
        assert swap.needs_own_copy(tmp_path / path) is own
    assert [swap.settle(tmp_path / path) for path in ("wal.db", "3.db")] == [True, False]
    assert not swap.needs_own_copy(tmp_path / "wal.db")


@pytest.mark.parametrize("mode", ["NONE", "FULL", "INCREMENTAL"])
def test_a_work_copy_of_one_page_gets_a_second_one(tmp_path: Path, mode: str) -> None:
    work = tmp_path / "work.db"
    with closing(sqlite3.connect(work)) as connection:
        connection.execute(f"PRAGMA auto_vacuum = {mode}")
        connection.execute("PRAGMA user_version = 7")
        [[auto]] = connection.execute("PRAGMA auto_vacuum")
    assert work.stat().st_size == 4096
    swap.pad(work)
    assert work.stat().st_size > 4096
    with closing(sqlite3.connect(work)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2 if auto == 1 else auto,)
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_one_of_two_pages_stays_as_it_is(tmp_path: Path) -> None:
    work = source(tmp_path, 3)
    assert work.stat().st_size == 2 * 4096
    before = work.read_bytes()
    swap.pad(work)
    assert work.read_bytes() == before


def test_another_page_size_that_has_to_wait_for_others_is_said_to_be_that(tmp_path: Path) -> None:
    """Who has it open need not have locked it: nothing that could be waited for."""
    live = tmp_path / "live.db"
    make(live, 5, wal=True)
    kept = source(tmp_path, 5)
    snapshot = Snapshot(live, Session())
    with closing(sqlite3.connect(live)) as connection:
        connection.execute("SELECT * FROM t").fetchall()
        with (
            pytest.raises(UndropError, match="the page size changes"),
            swap.without_wal(snapshot, kept),
        ):
            pass
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("mask", [0o000, 0o027])
def test_a_database_made_anew_has_the_mode_that_sqlite_gives_one(
    project: Project, tmp_path: Path, mask: int
) -> None:
    """From a file without a record, under the umask of who restores it; nobody waited for it."""
    make(tmp_path / "theirs.db")
    old = os.umask(mask)
    try:
        with closing(sqlite3.connect(tmp_path / "made.db")) as connection:
            connection.execute("CREATE TABLE t (x)")
        with inside.command(project) as lock:
            done = inside.restored(lock, str(tmp_path / "theirs.db"), project.root)
        assert os.umask(mask) == mask  # it was looked at and not changed
    finally:
        os.umask(old)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (project.database, tmp_path / "made.db")]
    assert modes[0] == modes[1]
    assert done.change.seconds == 0


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links."""

    def link(*_names: object, **_options: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("no_links")
def test_without_hard_links_a_database_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is taken by an empty file first, which is open to nobody else."""
    live, work = tmp_path / "live.db", source(tmp_path)
    wanted = content(work)
    work.chmod(0o640)
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        assert (target.stat().st_size, stat.S_IMODE(target.stat().st_mode)) == (0, 0o600)
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    livefiles.install(work, live, Session(), damaged=False)
    assert content(live) == wanted
    assert stat.S_IMODE(live.stat().st_mode) == 0o640
    assert not work.exists()


@pytest.mark.usefixtures("no_links")
def test_without_hard_links_one_that_was_made_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    live, work = tmp_path / "live.db", source(tmp_path)
    make(live, 5)
    theirs = content(live)
    with pytest.raises(LiveMovedError, match="just appeared"):
        livefiles.install(work, live, Session(), damaged=False)
    assert content(live) == theirs
