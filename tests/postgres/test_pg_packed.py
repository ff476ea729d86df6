"""Packed dumps, files and folders: whatever takes a backup takes them."""

import json

import pytest
from pg_rich import Rich
from shop import python

AS_A_FOLDER = (
    "import sys; from undrop.engines.postgres import programs; programs.BIG = 1\n"
    "from undrop.__main__ import main; sys.argv[0] = 'undrop'; main()"
)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_packed_dump_is_listed_verified_compared_restored_and_forgotten(
    pg: Rich, kind: str
) -> None:
    typed = ["undrop"] if kind == "file" else python(AS_A_FOLDER)
    pg.make(20)
    held = {}
    for number in range(6):
        line = f"UPDATE t SET v = 'state {number}' WHERE id = 1"
        pg.ok(*typed, "run", "--", *pg.client(line))
        newest = max(pg.backups.glob("*.pgdump"), key=lambda path: path.stat().st_mtime_ns)
        assert newest.is_dir() == (kind == "folder")
        held[newest.name] = pg.content()
    pg.ok("undrop", "pack")
    packed = sorted(path.name.removesuffix(".zst") for path in pg.backups.glob("*.pgdump.zst"))
    assert len(packed) >= 3
    assert not any((pg.backups / name).exists() for name in packed)
    name = packed[-1]
    listed = json.loads(pg.ok("undrop", "list", "--json"))["backups"]
    assert sum(each["path"].endswith(name) for each in listed) == 1
    assert "whole" in pg.ok("undrop", "verify", name)
    assert "20 -> 20" in pg.ok("undrop", "diff", name, "live")
    assert "state" in pg.ok("undrop", "sql", name, "SELECT v FROM t WHERE id = 1")
    pg.ok("undrop", "restore", name)
    assert pg.content() == held[name]
    assert "state" in pg.ok("undrop", "log", "t", "1")
    pg.ok("undrop", "undo")
    for gone in {packed[0], min(path.name for path in pg.backups.glob("*.pgdump"))}:
        pg.ok("undrop", "forget", gone)
    pg.ok("undrop", "pack")
    assert "whole" in pg.ok("undrop", "verify", name)
    pg.ok("undrop", "restore", name)
    assert pg.content() == held[name]
    assert pg.litter() == []
