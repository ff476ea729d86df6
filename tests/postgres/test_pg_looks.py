"""Who only looks holds no lock: what it has on the server and in the temporary folder stays."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pytest
from pg_rich import Rich

from undrop import settings
from undrop.engines.postgres.engine import Postgres


def dead() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.fixture
def engine(pg: Rich, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    """A small database, as a command in its project has it."""
    pg.make(20)
    monkeypatch.setenv("QUARTERMASTER_DB_URL", pg.url)
    engine = settings.load(pg.root).engine
    assert isinstance(engine, Postgres)
    return engine


def test_what_a_look_works_with_is_not_swept_by_a_step(pg: Rich, engine: Postgres) -> None:
    with engine.scratch.database() as looking, TemporaryDirectory(prefix=engine.prefix) as folder:
        others = Path(gettempdir(), f"{engine.swept}{dead()}-left")
        others.mkdir()
        left = looking.name.replace(f"_{os.getpid()}_", f"_{dead()}_")
        pg.server.sql(f'CREATE DATABASE "{left}"')
        pg.ok("undrop", "backup")
        assert looking.name in pg.server.scratch()
        assert left not in pg.server.scratch()
        assert Path(folder).is_dir()
        assert not others.exists()
    assert looking.name not in pg.server.scratch()


def test_live_is_compared_and_read_whole_without_a_trace(pg: Rich, engine: Postgres) -> None:
    pg.ok("undrop", "backup")
    pg.sql("DELETE FROM t WHERE id <= 3")
    before = pg.tree()
    for line in ("diff", "diff live latest", "status", "history", "list", "verify", "audit"):
        assert pg.undrop(*line.split()).code == (4 if line == "status" else 0), line
        assert pg.tree() == before, line
    assert "every row read" in pg.ok("just", "audit")
    assert not list(Path(gettempdir()).glob(f"{engine.swept}*/live"))
