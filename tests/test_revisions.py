"""``just migrate REVISION``: it goes where Alembic would; what it cannot use is three lines."""

from pathlib import Path

import pytest
from alike_cases import OURS
from shop import Project

GRAPH: dict[str, tuple[str, str, str]] = {
    # down_revision, depends_on, branch_labels
    "a1": ("None", "None", "'A'"),
    "a2": ("'a1'", "'b1'", "None"),
    "a3": ("'a2'", "None", "None"),
    "b1": ("None", "None", "'B'"),
    "b2": ("'b1'", "None", "None"),
    "this_side": ("'b2'", "None", "None"),
    "that_side": ("'b2'", "None", "None"),
    "met": ("('this_side', 'that_side')", "None", "None"),
}
"""Two branches of which one needs the other, which parts and meets again."""


def lay(root: Path, graph: dict[str, tuple[str, str, str]] = GRAPH) -> None:
    """A project whose migrations each make a table."""
    (root / "pyproject.toml").write_text('[tool.undrop]\nurl = "sqlite:///quartermaster.db"\n')
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/alembic\n")
    for file in (root / "alembic/versions").glob("*.py"):
        file.unlink()
    (root / "alembic/env.py").write_text(OURS)
    for revision, (down, depends_on, labels) in graph.items():
        (root / f"alembic/versions/{revision}.py").write_text(
            f"from alembic import op\nrevision = {revision!r}\ndown_revision = {down}\n"
            f"depends_on = {depends_on}\nbranch_labels = {labels}\n"
            f"def upgrade(): op.execute('CREATE TABLE {revision} (v)')\n"
            f"def downgrade(): op.execute('DROP TABLE {revision}')\n"
        )


@pytest.fixture
def parted(project: Project) -> Project:
    """A project of two branches, no database yet."""
    lay(project.root)
    return project


def way(project: Project, *revisions: str) -> str:
    """Where the last of these leads."""
    for revision in revisions:
        done = project.done("undrop", "migrate", "--accept-loss", revision)
    return done.out.strip()


@pytest.mark.more
def test_it_goes_up_and_down_as_alembic_reads_what_is_typed(parted: Project) -> None:
    assert way(parted, "A@+1") == "no revision -> a1"
    assert way(parted, "+1") == "a1 -> a2"  # b1 first, which it depends on
    assert way(parted, "b1") == "a2 -> a2"  # that is there
    assert way(parted, "B@+1") == "a2 -> a2, b2"
    assert way(parted, "B@b1") == "a2, b2 -> a2"
    assert way(parted, "b1+1") == "a2 -> a2, b2"
    assert way(parted, "heads") == "a2, b2 -> a3, met"
    assert way(parted, "a3-1") == "a3, met -> a2, met"
    assert way(parted, "B@head") == "a2, met -> a2, met"
    assert way(parted, "this_side") == "a2, met -> a2, that_side, this_side"
    assert way(parted, "a1") == "a2, that_side, this_side -> a1, that_side, this_side"
    assert way(parted, "thi") == "a1, that_side, this_side -> a1, that_side, this_side"
    assert way(parted, "B@base") == "a1, that_side, this_side -> a1"
    assert way(parted, "-1") == "a1 -> no revision"
    assert way(parted, "base") == "no revision -> no revision"


WRONG = [
    ("migrate", "nosuch", "Can't locate revision identified by 'nosuch'"),
    (
        "migrate",
        "th",
        "Can't locate revision identified by 'th' (Multiple revisions start with 'th': 'th",
    ),
    ("migrate", "head", "Multiple head revisions are present for given argument 'head'"),
    ("rehearse", "head", "Multiple head revisions are present for given argument 'head'"),
    ("migrate", "C@b1", "Can't locate revision identified by 'C'"),
    ("migrate", "C@base", "Can't locate revision identified by 'C'"),
    ("migrate", "+9", "Ambiguous upgrade from multiple current revisions"),
    ("migrate", "A@+9", "Relative revision +9 didn't produce 9 migrations"),
    ("migrate", "A@-9", "Relative revision -9 didn't produce 9 migrations"),
    ("migrate", "a3-9", "Walked too far"),
    ("migrate", "a3+9", "Walked too far"),
    ("rehearse", "nosuch", "Can't locate revision identified by 'nosuch'"),
]


@pytest.mark.parametrize(
    ("command", "typed", "says"),
    WRONG[:4] + [pytest.param(*wrong, marks=pytest.mark.more) for wrong in WRONG[4:]],
)
def test_a_revision_typed_wrong_is_three_lines(
    parted: Project, command: str, typed: str, says: str
) -> None:
    way(parted, "heads")
    done = parted.refused(2, "just", command, typed)
    assert "Traceback" not in done.err
    lines = done.err.splitlines()
    at = next(number for number, line in enumerate(lines) if says in line)
    what, changed, following = lines[at:]
    assert what.startswith(f"undrop: Alembic says: {says}")
    assert changed == "        The live database was not changed."
    line = following.removeprefix("        Next: ").removesuffix("  shows them all")
    assert line == (f"just {command} heads" if typed == "head" else "just run alembic history")
    assert parted.run("/bin/sh", "-c", line).code == 0


def test_where_alembics_configuration_lies_elsewhere_the_line_names_it(parted: Project) -> None:
    way(parted, "a1")
    below = parted.root / "below"
    below.mkdir()
    done = parted.just("rehearse", "nosuch", cwd=below)
    assert f"Next: just run alembic -c {parted.root}/alembic.ini history" in done.err


def test_a_configuration_that_alembic_cannot_use_is_three_lines(parted: Project) -> None:
    for text, says in [
        ("[alembic]\n", "No 'script_location' key found in configuration"),
        ("[alembic]\nscript_location = nowhere\n", "Path doesn't exist"),
        ("no section\n", "File contains no section headers., file:"),
    ]:
        (parted.root / "alembic.ini").write_text(text)
        done = parted.refused(2, "undrop", "migrate")
        assert "Traceback" not in done.err
        what, _, following = done.err.splitlines()[-3:]
        assert what.startswith(f"undrop: Alembic says: {says}"), what
        assert following.endswith("correct that, then the same command again")


def test_what_env_py_says_as_alembic_does_is_three_lines_too(parted: Project) -> None:
    file = parted.root / "alembic/env.py"
    file.write_text(
        f"from alembic.util import CommandError\nraise CommandError('no stage')\n{OURS}"
    )
    done = parted.refused(2, "undrop", "migrate")
    assert done.err.splitlines()[-3:-1] == [
        "undrop: Alembic says: no stage",
        "        The live database was not changed.",
    ]


def test_an_env_py_that_resolves_the_revision_itself_is_told_alike(parted: Project) -> None:
    file = parted.root / "alembic/env.py"
    file.write_text(f"from alembic import context\ncontext.get_revision_argument()\n{OURS}")
    done = parted.refused(2, "undrop", "migrate", "nosuch")
    assert "Alembic says: Can't locate revision identified by 'nosuch'" in done.err
    assert "history" in done.err


def test_what_fails_inside_a_migration_is_one_line_and_its_place(parted: Project) -> None:
    raises = "from alembic.util import CommandError; raise CommandError('mine')"
    file = parted.root / "alembic/versions/a1.py"
    file.write_text(file.read_text().replace("op.execute('CREATE TABLE a1 (v)')", raises))
    done = parted.refused(1, "undrop", "migrate", "a1")
    assert "Traceback" not in done.err
    where = "(alembic/versions/a1.py, line "
    assert f"the migration failed: CommandError: mine {where}" in done.err
    assert "Traceback" in parted.refused(1, "just", "migrate", "a1", "--verbose").err
