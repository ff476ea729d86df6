"""Nothing changed: nothing is dumped again. And a big database's dump, which is a folder."""

import json
import shutil
import sys
from contextlib import closing
from pathlib import Path

import pytest
from forks import Done
from pg_rich import Rich
from server import Server

PATCHED = (
    "import sys; from undrop.engines.postgres import programs; programs.BIG = 1\n"
    "from undrop.__main__ import main; sys.argv[0] = 'undrop'; main()"
)


@pytest.fixture
def shop(pg: Rich) -> Rich:
    pg.make(20)
    return pg


def counted(shop: Rich) -> tuple[str, Path]:
    """A PATH on which pg_dump writes down how it was called, and where."""
    folder = shop.root.parent / "counting"
    folder.mkdir()
    log = folder / "log"
    log.touch()
    (folder / "pg_dump").write_text(
        f'#!/bin/sh\necho "$*" >> {log}\nexec {shutil.which("pg_dump")} "$@"\n'
    )
    (folder / "pg_dump").chmod(0o755)
    head, _, rest = shop.environment["PATH"].partition(":")
    return f"{head}:{folder}:{rest}", log


def dumps(log: Path) -> int:
    return sum("--format" in line for line in log.read_text().splitlines())


def test_the_second_backup_is_a_link(shop: Rich) -> None:
    path, log = counted(shop)
    one = Path(shop.ok("undrop", "backup", PATH=path).strip())
    two = Path(shop.ok("undrop", "backup", PATH=path).strip())
    assert dumps(log) == 1
    assert one != two
    assert one.stat().st_ino == two.stat().st_ino
    shop.add(1)
    shop.ok("undrop", "backup", PATH=path)
    assert dumps(log) == 2


def test_an_agent_costs_one_dump(shop: Rich) -> None:
    path, log = counted(shop)
    call = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": str(shop.root)}
    file = shop.root / "call.json"
    file.write_text(json.dumps({**call, "tool_input": {"command": "python x.py"}}))
    for _ in range(3):
        shop.ok("sh", "-c", f"undrop agent-hook < {file}", PATH=path)
    assert dumps(log) == 1
    shop.psql("DROP TABLE t")
    shop.ok("undrop", "undo")
    assert shop.sql("SELECT count(*) FROM t") == [(20,)]


@pytest.mark.more
def test_what_nobody_wrote_to_is_known_without_reading_it(shop: Rich, server: Server) -> None:
    """Others write to the server, or nobody does; whatever changes this database is seen."""
    shop.psql("CREATE SEQUENCE s; CREATE TABLE old AS SELECT 1 AS n; SELECT lo_from_bytea(7, 'a')")
    path, log = counted(shop)
    call = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": str(shop.root)}
    file = shop.root / "call.json"
    file.write_text(json.dumps({**call, "tool_input": {"command": "python x.py"}}))

    def is_read(command: str = f"undrop agent-hook < {file}") -> bool:
        before = log.read_text().count("--schema-only")
        server.sql("CREATE TABLE IF NOT EXISTS beside (n int)")
        server.sql("INSERT INTO beside VALUES (1)")
        shop.ok("sh", "-c", command, PATH=path)
        return log.read_text().count("--schema-only") > before

    counts = server.sql("SHOW server_version_num")[0][0] >= "150000"
    assert is_read()
    assert is_read() != counts
    assert is_read("undrop status") != counts
    for statement in (
        "UPDATE t SET v = 'x' WHERE id = 1",
        "TRUNCATE old",
        "SELECT nextval('s')",
        "SELECT setval('s', 40, false)",
        "SELECT lo_put(7, 0, 'b')",
        "ALTER TABLE old ALTER n SET DEFAULT 3",
        "COMMENT ON TABLE old IS 'x'",
    ):
        shop.psql(statement)
        assert is_read(), statement
        assert is_read() != counts, statement
    with closing(server.connect(shop.name)) as other:
        other.execute("SELECT pg_stat_force_next_flush()" if counts else "SELECT 1")
        for n in range(3):  # what it has done last, it has not reported
            other.execute(f"UPDATE t SET v = 'y{n}' WHERE id = 2")
            assert is_read()
        other.execute("BEGIN; DELETE FROM t WHERE id = 2")
        is_read()
        other.execute("COMMIT")
        assert is_read()


def test_what_undo_brings_back_is_covered(shop: Rich) -> None:
    path, log = counted(shop)
    before = Path(shop.ok("undrop", "backup", PATH=path).strip())
    shop.ok("undrop", "nuke-db")
    shop.ok("undrop", "undo", PATH=path)
    assert shop.undrop("status").code == 0
    again = Path(shop.ok("undrop", "backup", PATH=path).strip())
    assert dumps(log) == 1
    assert before.stat().st_ino == again.stat().st_ino


def big(shop: Rich, *arguments: str) -> Done:
    """undrop, for which every database is a big one."""
    done = shop.run(sys.executable, "-c", PATCHED, *arguments)
    assert done.code == 0, done
    return done


def test_a_big_database(shop: Rich) -> None:
    shop.psql("CREATE TABLE other AS SELECT g, repeat('x', 50) FROM generate_series(1, 1000) g")
    before = shop.exactly()
    one = Path(big(shop, "backup").out.strip())
    assert one.is_dir()
    assert {file.stat().st_mode & 0o777 for file in one.iterdir()} == {0o400}
    two = Path(big(shop, "backup", "again").out.strip())
    assert {file.stat().st_ino for file in one.iterdir()} == {
        f.stat().st_ino for f in two.iterdir()
    }
    kept = list(Path(shop.environment["XDG_STATE_HOME"]).rglob("*.pgdump"))
    assert {path.name for path in kept} == {one.name, two.name}
    assert all(path.is_dir() for path in kept)
    shop.psql("DROP TABLE other; INSERT INTO t (v) VALUES ('new')")
    big(shop, "restore", one.name)
    assert shop.exactly() == before
    big(shop, "verify")
    big(shop, "forget", two.name)
    assert not two.exists()
    assert not any(path.exists() for path in kept if path.name == two.name)
    shutil.rmtree(one)
    shop.psql("DROP TABLE other")
    big(shop, "restore", "latest")
    (file,) = list(shop.saved()[-1].glob("toc.dat"))
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert shop.run(sys.executable, "-c", PATCHED, "verify").code == 4
    assert shop.litter() == []
