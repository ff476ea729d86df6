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


@pytest.mark.more
def test_numbers_that_live_alone_would_give_out_again_are_not(shop: Rich) -> None:
    """setval survives a rollback, so that one goes on where it stood; others' numbers count."""
    shop.psql(
        "CREATE SEQUENCE up; SELECT setval('up', 500); CREATE SEQUENCE on_live;"
        "CREATE SEQUENCE down INCREMENT -1; SELECT setval('down', -50); CREATE SEQUENCE kept"
    )
    here = f"IF current_database() = '{shop.name}' THEN"
    alone = (
        f"DO $$ BEGIN {here} PERFORM setval('up', 1); END IF; END $$",
        f"DO $$ BEGIN {here} PERFORM setval('down', -1); END IF; END $$",
        f"DO $$ BEGIN {here} ELSE PERFORM setval('on_live', 70); END IF; END $$",
    )
    before = shop.exactly()
    for statement, said in zip(
        alone,
        (
            "sequence up: set back to 1, 500 where",
            "sequence down: set back to -1, -50 where",
            "sequence on_live: set back to 0, 70 where",
        ),
        strict=True,
    ):
        shop.revise(f"op.execute({statement!r})")
        done = shop.undrop("migrate")
        assert done.code == 1, done
        assert said in done.err
        assert "was not changed" in done.err
        assert shop.exactly() == before
    asked = f"DO $$ BEGIN {here} PERFORM nextval('kept'); END IF; END $$"
    shop.revise("op.execute(\"SELECT setval('up', 9)\")", f"op.execute({asked!r})")
    assert "counter up" in shop.undrop("migrate").err
    shop.ok("undrop", "migrate", "--accept-loss")
    assert shop.sql("SELECT last_value FROM up") == [(9,)]


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
