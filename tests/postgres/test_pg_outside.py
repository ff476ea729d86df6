"""Migrations that are not one transaction are told apart, and what they leave behind is said."""

import json
from pathlib import Path

import pytest
from pg_rich import Rich

HERE = "op.get_bind().engine.url.database"
BLOCK = "with op.get_context().autocommit_block(): op.execute({!r})"


@pytest.fixture
def shop(pg: Rich, stocked_server: Rich) -> Rich:
    pg.stock(stocked_server)
    return pg


def live_only(shop: Rich, statement: str) -> str:
    return f"if {HERE} == {shop.name!r}: {statement}"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX CONCURRENTLY quick ON items (name)",
        "VACUUM items",
        "ALTER TYPE colour ADD VALUE 'ü%'",
    ],
)
def test_what_is_outside_is_said(shop: Rich, statement: str) -> None:
    shop.psql("CREATE TYPE colour AS ENUM ('red')")
    shop.revise(BLOCK.format(statement), "op.execute('SELECT 1')")
    rehearsed = shop.undrop("rehearse")
    assert f"NOT IN THE TRANSACTION: {statement}" in rehearsed.err, rehearsed
    assert rehearsed.code == 0
    done = shop.undrop("migrate", "--json")
    assert done.code == 0, done
    assert json.loads(done.out)["outside"] == [statement]
    assert shop.server.scratch() == []


def test_an_ordinary_migration_has_nothing_outside(shop: Rich) -> None:
    timeout = shop.root / "timeout"
    shop.revise(
        live_only(
            shop,
            f"pathlib.Path({str(timeout)!r}).write_text("
            "op.get_bind().exec_driver_sql('SHOW lock_timeout').scalar())",
        ),
        "op.execute('CREATE TABLE plain (v int)')",
    )
    done = shop.undrop("migrate")
    assert done.code == 0, done
    assert "NOT IN" not in done.err
    assert timeout.read_text() == "10s"


def test_a_failure_after_a_step_outside(shop: Rich) -> None:
    before = shop.exactly()
    shop.revise(
        "op.execute('UPDATE items SET name = upper(name)')",
        BLOCK.format("CREATE INDEX CONCURRENTLY quick ON items (name)"),
        live_only(shop, "raise RuntimeError('half way')"),
    )
    done = shop.undrop("migrate", "--accept-loss")
    assert done.code == 3, done
    assert "half way" in done.err
    assert "was changed" in done.err
    command = done.err.rpartition("Next: just ")[2].split()
    assert command == ["restore", shop.saved()[-1].name]
    shop.ok("undrop", *command)
    assert shop.exactly() == before


def test_only_rows_were_committed(shop: Rich) -> None:
    """The definitions are what they were: the server knows better."""
    shop.revise(
        "op.execute('UPDATE items SET name = upper(name)')",
        BLOCK.format("SELECT 1"),
        live_only(shop, "raise RuntimeError('half way')"),
    )
    assert shop.undrop("migrate", "--accept-loss").code == 3


@pytest.mark.parametrize(
    "how", ["raise RuntimeError('no')", "os._exit(9)", "os.kill(os.getpid(), 9)"]
)
def test_a_failure_in_the_transaction(shop: Rich, how: str) -> None:
    before = shop.exactly()
    shop.revise("op.execute('DROP TABLE stock_movements')", live_only(shop, how))
    done = shop.undrop("migrate", "--accept-loss")
    assert done.code == 1, done
    assert "was not changed" in done.err
    assert shop.exactly() == before


def test_each_migration_by_itself(shop: Rich) -> None:
    env = shop.root / "alembic/env.py"
    env.write_text(
        env.read_text().replace("render_as_batch=True,", "transaction_per_migration=True,")
    )
    shop.revise("op.execute('CREATE TABLE one (v int)')")
    first = shop.root / "alembic/versions/9001_test.py"
    second = first.read_text().replace("'9001'", "'9002'").replace("'0006'", "'9001'")
    body = live_only(shop, "raise RuntimeError('the second')")
    first.with_name("9002_test.py").write_text(
        second.replace("op.execute('CREATE TABLE one (v int)')", body)
    )
    rehearsed = shop.undrop("rehearse")
    assert "NOT IN THE TRANSACTION: each migration was committed by itself" in rehearsed.err
    done = shop.undrop("migrate")
    assert done.code == 3, done
    shop.ok("undrop", *done.err.rpartition("Next: just ")[2].split())
    assert "public.one" not in shop.tables()


def test_an_engine_in_autocommit(shop: Rich) -> None:
    env = shop.root / "alembic/env.py"
    env.write_text(
        env.read_text().replace(
            "poolclass=NullPool", "poolclass=NullPool, isolation_level='AUTOCOMMIT'"
        )
    )
    shop.revise("op.execute('CREATE TABLE one (v int)')")
    done = shop.undrop("migrate")
    assert done.code == 1, done
    assert "AUTOCOMMIT" in done.err
    assert "public.one" not in shop.tables()


ASYNC = """
import asyncio
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine
from undrop.alembic import backup_before, database_url

backup_before(context)

def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    engine = create_async_engine(database_url(context))
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()

asyncio.run(main())
"""


def drivers() -> list[str]:
    from importlib.util import find_spec

    return ["psycopg", *(["asyncpg"] if find_spec("asyncpg") else [])]


@pytest.mark.parametrize("driver", drivers())
def test_an_async_env(shop: Rich, driver: str) -> None:
    (shop.root / "alembic/env.py").write_text(ASYNC)
    url = shop.url.replace("+psycopg", f"+{driver}")
    shop.sql('CREATE TABLE "per%cent :x" (v int)')
    shop.revise("op.execute('CREATE TABLE one (v int)')")
    done = shop.undrop("migrate", QUARTERMASTER_DB_URL=url)
    assert done.code == 0, done
    assert "public.one" in shop.tables()
    assert Path(shop.root).exists()
