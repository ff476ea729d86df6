"""What is brought back is what was there, whatever a database holds."""

from collections.abc import Callable

import pytest
from pg_rich import Rich
from shop import half


def nuke(rich: Rich) -> None:
    rich.ok("undrop", "nuke-db")


def drop_everything(rich: Rich) -> None:
    for schema in ("app", '"Odd ""schema"".%s"', "public"):
        rich.psql(f"DROP SCHEMA {schema} CASCADE")
    rich.psql("CREATE SCHEMA public; SELECT lo_unlink(oid) FROM pg_largeobject_metadata")


def wreck(rich: Rich) -> None:
    rich.psql(
        "DROP TABLE parent CASCADE; CREATE TABLE parent (other int); DROP EXTENSION hstore CASCADE;"
        "CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION ltree; CREATE SCHEMA more;"
        "CREATE TABLE more.t (v int); ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO undrop_owner;"
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO undrop_owner;"
        "GRANT ALL ON SCHEMA ext TO undrop_owner, PUBLIC; ALTER SCHEMA ext OWNER TO postgres;"
        "COMMENT ON SCHEMA public IS NULL; ALTER SCHEMA public OWNER TO undrop_owner;"
        "GRANT ALL ON SCHEMA public TO undrop_owner; SELECT setval('app.counter', 2);"
        "SELECT lo_unlink(4243), lo_create(77); CREATE TYPE mood AS ENUM ('x');"
    )


def drop_database(rich: Rich) -> None:
    rich.lose()


@pytest.mark.parametrize("loss", half([nuke, drop_everything, wreck, drop_database]))
def test_everything_comes_back(rich: Rich, loss: Callable[[Rich], None]) -> None:
    before = rich.exactly()
    name = rich.ok("undrop", "backup").strip()
    loss(rich)
    if loss is nuke:
        rich.ok("undrop", "undo")
    else:
        rich.ok("undrop", "restore", name)
    assert rich.exactly() == before
    assert rich.server.scratch() == []
    assert rich.ok("undrop", "list", "--json").count('"check": "ok"') >= 1
