"""What Alembic does alone and through undrop is alike, or must not be, and the case says why."""

import re
from pathlib import Path

import alike
import pytest
from alike_cases import CASES, Case, Revision
from shop import REPOSITORY
from tally import sampled

QUICK = {
    "depends_on: down to where another branch stands",
    "journal_mode DELETE asked of a database in WAL mode, transactional DDL",
    "relative: +2, -1, +1",
    "the version table of another name",
    "VACUUM in an autocommit_block",
}
"""Those that ``just test`` runs."""
MORE = [
    pytest.param(case, id=case.what, marks=pytest.mark.more)
    for case in sampled([case for case in CASES if case.what not in QUICK], 16)
]


@pytest.mark.parametrize(
    "case", [*(pytest.param(case, id=case.what) for case in CASES if case.what in QUICK), *MORE]
)
def test_alembic_alone_and_undrop_leave_the_same_database(case: Case, tmp_path: Path) -> None:
    told = alike.legs(case, tmp_path)
    assert alike.is_meant(case, told), told
    differences = [leg.difference for leg in told if leg.difference]
    assert bool(differences) == bool(case.why), differences


def test_there_are_at_least_sixty_and_each_name_is_one_cases() -> None:
    names = {case.what for case in CASES}
    assert len(names) == len(CASES) >= 60
    assert names >= QUICK


def test_the_table_in_the_documents_has_every_case_and_each_reason() -> None:
    text = (REPOSITORY / "docs/guarantees.md").read_text()
    for case in CASES:
        alike = f"no: {case.why}" if case.why else "yes"
        line = rf"^\| {re.escape(case.what)} \| \w+ \| \w+ \| {re.escape(alike)} \|$"
        assert re.search(line, text, re.MULTILINE), case.what
    unlike = sum(bool(case.why) for case in CASES)
    assert f"\n{len(CASES) - unlike} of {len(CASES)} alike\n" in text


def test_a_difference_is_seen(tmp_path: Path) -> None:
    """In rows, in the schema, in the header, in whether it fails."""
    case = CASES[0]._replace(why="")
    for up in (
        "op.execute(f\"INSERT INTO makers VALUES (99, '{__file__}')\")",
        "op.execute(f\"CREATE TABLE t{'plain' in __file__} (v)\")",
        'op.execute(f"PRAGMA user_version = {len(__file__)}")',
        "assert '/plain/' in __file__",
    ):
        revised = case._replace(revisions=(Revision(up),), legs=("upgrade head",))
        [leg] = alike.legs(revised, tmp_path / str(len(up)))
        assert leg.difference, up
