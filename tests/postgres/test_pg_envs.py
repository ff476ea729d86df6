"""Env.py as it is for roles and tenants, and what migrations say of publications."""

import pytest
from pg_rich import Rich

ENV = """
from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from undrop.alembic import backup_before, database_url

backup_before(context)
engine = create_engine(database_url(context), poolclass=NullPool)
with engine.connect() as connection:
    {body}
"""
RUN = """context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()"""
TENANTS = """for tenant in ("one", "two"):
        connection.execute(text(f"SET search_path TO {tenant}"))
        connection.commit()
        context.configure(connection=connection, version_table_schema=tenant)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()"""


@pytest.fixture
def shop(pg: Rich, stocked_server: Rich) -> Rich:
    pg.stock(stocked_server)
    return pg


def env(shop: Rich, body: str) -> None:
    (shop.root / "alembic/env.py").write_text(ENV.replace("{body}", body))


def only(shop: Rich, *statements: str) -> None:
    """One migration, without others before it."""
    for file in (shop.root / "alembic/versions").glob("*.py"):
        file.unlink()
    shop.revise(*statements)
    file = shop.root / "alembic/versions/9001_test.py"
    file.write_text(file.read_text().replace("'0006'", "None"))


@pytest.mark.more
@pytest.mark.parametrize("where", ["env", "migration"])
def test_a_migration_may_run_as_another_role(shop: Rich, where: str) -> None:
    if not shop.server.sql("SELECT 1 FROM pg_roles WHERE rolname = 'env_owner'"):
        shop.server.sql("CREATE ROLE env_owner")
    shop.psql(
        "GRANT CREATE, USAGE ON SCHEMA public TO env_owner;"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON alembic_version TO env_owner;"
        "CREATE TABLE secret (v int); INSERT INTO secret VALUES (1)"
    )
    say = "SET ROLE env_owner"
    if where == "env":
        env(
            shop,
            f'connection.execute(text("{say}")); connection.commit()\n    '
            + RUN.format(options=""),
        )
        shop.revise("op.execute('CREATE TABLE theirs (v int)')")
    else:
        shop.revise(f"op.execute('{say}')", "op.execute('CREATE TABLE theirs (v int)')")
    assert shop.undrop("rehearse").code == 0
    done = shop.undrop("migrate")
    assert done.code == 0, done.err
    owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'theirs'"
    assert shop.sql(owner) == [("env_owner",)]


@pytest.mark.more
def test_one_run_over_several_schemas(pg: Rich) -> None:
    shop = pg
    shop.server.sql(f'CREATE DATABASE "{shop.name}"')
    shop.psql("CREATE SCHEMA one; CREATE SCHEMA two")
    env(shop, TENANTS)
    only(shop, "op.execute('CREATE TABLE things (v int)')")
    for command in ("rehearse", "migrate"):
        done = shop.undrop(command)
        assert done.code == 0, done.err
    assert {"one.things", "two.things"} <= {*shop.tables()}
    shop.psql("INSERT INTO one.things VALUES (1); INSERT INTO two.things VALUES (2)")
    first = shop.root / "alembic/versions/9001_test.py"
    second = first.read_text().replace("'9001'", "'9002'").replace("None", "'9001'", 1)
    first.with_name("9002_test.py").write_text(
        second.replace("CREATE TABLE things (v int)", "DROP TABLE things")
    )
    lossy = shop.undrop("migrate")
    assert lossy.code == 4, lossy.err
    assert "one.things" in lossy.err
    assert "two.things" in lossy.err
    assert shop.undrop("migrate", "--accept-loss").code == 0
    shop.ok("undrop", "undo")
    assert shop.sql("SELECT v FROM two.things") == [(2,)]
    alone = f"DELETE FROM things WHERE current_database() = '{shop.name}'"
    first.with_name("9002_test.py").write_text(
        second.replace("'CREATE TABLE things (v int)'", repr(alone))
    )
    before = sorted(shop.tables()), shop.sql("SELECT v FROM one.things")
    done = shop.undrop("migrate", "--accept-loss")
    assert done.code == 1, done
    assert "table one.things: 0 rows, not written to where it was rehearsed" in done.err
    assert (sorted(shop.tables()), shop.sql("SELECT v FROM one.things")) == before


@pytest.mark.more
def test_an_env_that_makes_its_schema_first(pg: Rich) -> None:
    shop = pg
    shop.server.sql(f'CREATE DATABASE "{shop.name}"')
    body = (
        'connection.execute(text("CREATE SCHEMA IF NOT EXISTS app")); connection.commit()\n    '
        + RUN.format(options=', version_table_schema="app"')
    )
    env(shop, body)
    only(shop, "op.execute('CREATE TABLE app.things (v int)')")
    shop.psql("CREATE TABLE kept (v int); INSERT INTO kept VALUES (7)")
    assert shop.undrop("rehearse").code == 0
    done = shop.undrop("migrate")
    assert done.code == 0, done.err
    assert shop.sql("SELECT v FROM kept") == [(7,)]
    assert "app.things" in shop.tables()


@pytest.mark.more
def test_publications_are_altered_and_dropped(shop: Rich) -> None:
    shop.psql("CREATE PUBLICATION p FOR TABLE items; CREATE PUBLICATION q FOR ALL TABLES")
    shop.revise(
        "op.execute('ALTER PUBLICATION p ADD TABLE suppliers')", "op.execute('DROP PUBLICATION q')"
    )
    for command in ("rehearse", "migrate"):
        done = shop.undrop(command, "--accept-loss")
        assert done.code == 0, done.err
    assert shop.sql("SELECT pubname FROM pg_publication") == [("p",)]
    shop.ok("undrop", "undo")
    assert len(shop.sql("SELECT pubname FROM pg_publication")) == 2
