"""What Alembic does alone and through undrop is alike on a server, or must not be, and why."""

import re
from pathlib import Path

import alike
import pytest
from alike_cases import Case, Revision
from pg_alike import Database
from pg_alike_cases import CASES
from server import Server
from shop import REPOSITORY

QUICK = {
    "columns added, with server defaults, and dropped again",
    "an index CONCURRENTLY in an autocommit_block",
    "partitions made, filled, detached, attached",
    "a role made, and given rights, on the server",
    "a migration that raises half-way",
}
"""Those that a test runs; the runner has all."""


@pytest.fixture(scope="module")
def place(server: Server) -> Database:
    return Database(server)


@pytest.mark.more
@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.what) for case in CASES if case.what in QUICK]
)
def test_alembic_alone_and_undrop_leave_the_same_database(
    case: Case, place: Database, tmp_path: Path
) -> None:
    told = alike.legs(case, tmp_path, place)
    assert alike.is_meant(case, told), told
    differences = [leg.difference for leg in told if leg.difference]
    assert bool(differences) == bool(case.why), differences


@pytest.mark.more
def test_a_difference_is_seen(place: Database, tmp_path: Path) -> None:
    """In rows, in a definition, in a sequence, on the server."""
    up = "op.execute(f'{0}' if '/plain/' in __file__ else 'SELECT 1')"
    statements = (
        "DELETE FROM items WHERE id = 1;",
        "COMMENT ON INDEX ix_items_name IS NULL; COMMENT ON VIEW cheap IS $$it$$;",
        "SELECT nextval($$makers_id_seq$$);",
        "CREATE ROLE alike_more;",
    )
    for number, statement in enumerate(statements):
        revisions = (Revision(up.replace("{0}", statement)),)
        case = CASES[0]._replace(revisions=revisions, legs=("upgrade head",))
        [leg] = alike.legs(case, tmp_path / str(number), place)
        assert leg.difference, statement


def test_there_are_at_least_forty_five_and_the_table_has_each() -> None:
    text = (REPOSITORY / "docs/guarantees.md").read_text()
    names = {case.what for case in CASES}
    assert len(names) == len(CASES) >= 45
    assert names >= QUICK
    for case in CASES:
        alike = f"no: {case.why}" if case.why else "yes"
        line = rf"^\| {re.escape(case.what)} \| \w+ \| \w+ \| {re.escape(alike)} \|$"
        assert re.search(line, text, re.MULTILINE), case.what
