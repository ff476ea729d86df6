"""A migrated copy that takes the place of a server's database has all that was there."""

import sys

from pg_rich import Rich

TOOL = "import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])"


def test_what_a_command_migrates_keeps_owners_grants_and_publications(rich: Rich) -> None:
    before = rich.exactly()
    tool = (sys.executable, "-c", TOOL, "{url}")
    done = rich.done("undrop", "migrate", "--", *tool, "CREATE TABLE added (n int)")
    assert "LOSS" not in done.err
    after = rich.exactly()
    assert not [line for line in before if line not in after]
    assert "ALTER TABLE public.added OWNER TO postgres;" in after
    more = [line for line in after if line not in before and "added" not in line]
    assert more == ["    n integer"]
    rich.ok("undrop", "undo")
    assert rich.exactly() == before
