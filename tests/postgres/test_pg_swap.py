"""Compare and swap: others may write, read and wait meanwhile, and lose nothing."""

import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from pg_rich import Rich, racing
from shop import half

from undrop import settings
from undrop.errors import UndropError
from undrop.steps import restore
from undrop.store.lock import locked
from undrop.values import Session


@pytest.fixture
def shop(pg: Rich, monkeypatch: pytest.MonkeyPatch) -> Rich:
    pg.make(20)
    for name, value in pg.environment.items():
        monkeypatch.setenv(name, value)
    return pg


@pytest.mark.smoke
def test_a_writer_once(shop: Rich) -> None:
    shop.ok("undrop", "backup")
    shop.add(1)
    done = shop.undrop("nuke-db", PATH=racing(shop, 1))
    assert done.code == 0, done
    assert not shop.exists()
    shop.ok("undrop", "undo")
    assert shop.sql("SELECT count(*) FROM t WHERE v = 'meanwhile'") == [(1,)]
    assert shop.sql("SELECT count(*) FROM t") == [(22,)]


@pytest.mark.full("reset-db")
@pytest.mark.parametrize("command", ["restore latest", "reset-db", "migrate"])
@pytest.mark.full
def test_a_writer_without_end(shop: Rich, command: str) -> None:
    shop.ok("undrop", "backup")
    shop.add(1)
    done = shop.undrop(*command.split(), PATH=racing(shop, 1000))
    assert done.code == 1, done
    assert "was written to during each of 3 tries" in done.err
    assert "was changed meanwhile, by others" in done.err
    [(meanwhile,)] = shop.sql("SELECT count(*) FROM t WHERE v = 'meanwhile'")
    assert meanwhile >= 3
    assert shop.sql("SELECT count(*) FROM t") == [(21 + meanwhile,)]
    assert shop.server.scratch() == []


@pytest.mark.parametrize(
    "statement",
    ["LOCK TABLE t IN ROW EXCLUSIVE MODE", "SELECT count(*) FROM t", "UPDATE t SET v = 'x'"],
)
def test_a_lock_that_is_not_let_go(shop: Rich, statement: str) -> None:
    before = shop.exactly()
    with closing(
        psycopg.connect(
            host=str(shop.server.folder),
            dbname=shop.name,
            user="postgres",
            application_name="Bob's psql",
        )
    ) as other:
        other.execute(statement)
        project = settings.load(shop.root, Session(patience=1.5))
        with locked(project, print) as lock, pytest.raises(UndropError) as failed:
            restore.nuke(lock)
        assert failed.value.exit_code == 1
        assert "Bob's psql as postgres" in failed.value.what
        assert f"pid {other.info.backend_pid}" in failed.value.what
        assert other.execute("SELECT 1").fetchone() == (1,)  # it was not ended
    assert shop.exactly() == before


def test_connections_stay(shop: Rich) -> None:
    with closing(shop.server.connect(shop.name)) as idle:
        pid = idle.info.backend_pid
        shop.ok("undrop", "backup")
        shop.add(5)
        assert idle.execute("SELECT count(*) FROM t").fetchone() == (25,)
        shop.ok("undrop", "restore", "latest")
        assert idle.execute("SELECT count(*), pg_backend_pid() FROM t").fetchone() == (20, pid)
        shop.ok("undrop", "nuke-db")
        with pytest.raises(psycopg.errors.UndefinedTable):
            idle.execute("SELECT count(*) FROM t")
        assert "psql" not in shop.ok("undrop", "status")


def test_a_definition_that_comes_in_between(shop: Rich, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the comparison, before anything is dropped: it is not among what the backup has."""
    from undrop.engines.postgres import locks

    taken, count = locks.take, 0

    def take(ask: object, mode: str, against: tuple[str, ...], seconds: float) -> None:
        nonlocal count
        taken(ask, mode, against, seconds)  # type: ignore[arg-type]
        if mode == "ACCESS EXCLUSIVE" and not count:
            count += 1
            shop.sql("CREATE TABLE late AS SELECT 1 AS n")

    monkeypatch.setattr(locks, "take", take)
    project = settings.load(shop.root, Session(patience=1.5))
    with locked(project, print) as lock:
        restore.nuke(lock)
    monkeypatch.undo()
    shop.ok("undrop", "undo")
    assert shop.sql("SELECT n FROM late") == [(1,)]
    assert Path(shop.root).exists()


WAITING = (
    "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE application_name = 'undrop' AND NOT granted AND mode = '{}'"
)


@pytest.mark.full("SELECT lo_from_bytea(778, 'new')")
@pytest.mark.full("COMMENT ON TYPE mood IS 'new'")
@pytest.mark.parametrize(
    "statement",
    half(
        [
            "SELECT lo_put(777, 0, 'NEW')",
            "SELECT lo_from_bytea(778, 'new')",
            "ALTER TYPE mood ADD VALUE 'new'",
            "COMMENT ON TYPE mood IS 'new'",
            "CREATE TEXT SEARCH CONFIGURATION public.new (COPY = simple)",
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
            "GRANT SELECT (id) ON t TO PUBLIC",
        ]
    ),
)
def test_what_no_lock_on_a_table_keeps_out_is_not_lost(shop: Rich, statement: str) -> None:
    """It is committed while the step, having compared, waits for a reader to end."""
    shop.psql("SELECT lo_from_bytea(777, 'old'); CREATE TYPE mood AS ENUM ('old')")
    shop.ok("undrop", "backup")
    with closing(shop.server.connect(shop.name)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t")
        with subprocess.Popen(["undrop", "nuke-db"], cwd=shop.root, env=shop.environment) as step:
            wait(shop, "AccessExclusiveLock")
            shop.sql(statement)
            before = shop.exactly()
            reader.execute("COMMIT")
        assert step.returncode == 0
    assert not shop.exists()
    shop.ok("undrop", "undo")
    assert shop.exactly() == before


def wait(shop: Rich, mode: str) -> None:
    """Until undrop waits for a lock of that mode."""
    deadline = time.monotonic() + 20
    while not shop.sql(WAITING.format(mode)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_table_written_anew_while_it_is_read_has_its_rows_in_the_backup(shop: Rich) -> None:
    """What ALTER TABLE writes anew, an older snapshot does not see, and not what was there."""
    shop.psql("CREATE TABLE a (v int); CREATE TABLE z AS SELECT generate_series(1, 1000) AS v")
    with closing(shop.server.connect(shop.name)) as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE a")
        with subprocess.Popen(["undrop", "backup"], cwd=shop.root, env=shop.environment) as taking:
            wait(shop, "AccessShareLock")
            shop.sql("ALTER TABLE z ALTER v TYPE bigint")
            other.execute("COMMIT")
        assert taking.returncode == 0
    before = shop.exactly()
    shop.ok("undrop", "nuke-db")
    shop.ok("undrop", "restore", "latest")
    assert shop.exactly() == before
    assert shop.sql("SELECT count(*) FROM z") == [(1000,)]
    assert len(shop.saved()) == 1  # nuke-db found it covered
