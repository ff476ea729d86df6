"""What runs on the live database must be what was rehearsed."""

import pytest
from pg_rich import Rich


@pytest.fixture
def shop(pg: Rich, stocked_server: Rich) -> Rich:
    pg.stock(stocked_server)
    return pg


@pytest.mark.more
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM extra WHERE current_database() = '{}'", "table extra: 0 rows, 500"),
        ("UPDATE extra SET name = 'x' WHERE current_database() = '{}'", "table extra: other"),
        (
            "DO $$ BEGIN IF current_database() = '{}' THEN DROP TABLE extra; END IF; END $$",
            "table extra",
        ),
        (
            "UPDATE extra SET name = CASE WHEN current_database() = '{}' THEN NULL ELSE '' END",
            "table extra: 0 values of name, 500",
        ),
    ],
)
def test_what_live_alone_would_lose_is_rolled_back(shop: Rich, statement: str, said: str) -> None:
    shop.psql(
        "CREATE TABLE extra AS SELECT n AS id, 'name ' || n AS name FROM generate_series(1, 500) n"
    )
    before = shop.exactly()
    shop.revise(
        "op.execute('ALTER TABLE items ADD stamp timestamptz DEFAULT clock_timestamp()')",
        "op.execute('ALTER TABLE items ADD mark uuid DEFAULT gen_random_uuid()')",
        "op.execute('CREATE TABLE fresh AS SELECT now() AS at, random() AS n')",
        f"op.execute({statement.format(shop.name)!r})",
    )
    done = shop.undrop("migrate", "--accept-loss")
    assert done.code == 1, done
    assert said in done.err
    assert "was not changed" in done.err
    assert shop.exactly() == before
    migration = shop.root / "alembic/versions/9001_test.py"
    text = migration.read_text()
    migration.write_text(text.replace(f"op.execute({statement.format(shop.name)!r})", "pass"))
    assert shop.undrop("migrate", "--accept-loss").code == 0


def test_the_copy_has_owners_and_grants(shop: Rich) -> None:
    """Else what goes by them takes rows of live's alone, and no loss is said."""
    shop.server.sql("CREATE ROLE as_owner")
    shop.psql(
        "CREATE TABLE owned AS SELECT 1 AS id; ALTER TABLE owned OWNER TO as_owner;"
        "CREATE TABLE granted AS SELECT 1 AS id; GRANT SELECT ON granted TO as_owner"
    )
    before = shop.exactly()
    shop.revise(
        "op.execute(\"DELETE FROM granted WHERE has_table_privilege('as_owner', 'granted', "
        "'SELECT')\")",
        "op.execute('DROP OWNED BY as_owner')",
    )
    done = shop.undrop("migrate")
    assert done.code == 4, done
    assert "table owned" in done.err
    assert "granted" in done.err
    assert shop.exactly() == before
    assert shop.undrop("migrate", "--accept-loss").code == 0
    shop.ok("undrop", "undo")
    assert shop.exactly() == before
