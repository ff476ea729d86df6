"""Who has read nothing finds the way back with ``just``, ``just status`` and what those print."""

import re
from collections.abc import Callable

import pytest
from shop import REPOSITORY, Project, content

PAGE = (REPOSITORY / "docs/way-back.md").read_text("utf-8")
LINES = {
    part.partition("\n")[0]: part.split("```")[1].split("\n")[1:-1]
    for part in PAGE.split("\n## ")[1:]
}
MOST = 4  # lines


def bad_migration(project: Project) -> None:
    project.revise("op.drop_column('supplier_contacts', 'kind')")
    project.ok("undrop", "migrate", "--accept-loss")
    project.sql("INSERT INTO locations (code) VALUES ('new')")


HAPPENS: dict[str, Callable[[Project], object]] = {
    "The file is gone": lambda project: project.database.unlink(),
    "Something else is in the file": lambda project: project.database.write_text("some notes"),
    "A table is gone": lambda project: project.sql("DROP TABLE supplier_contacts"),
    "A row is gone": lambda project: project.sql("DELETE FROM stock_movements WHERE id = 7"),
    "A migration was wrong, and people have worked since": bad_migration,
}
"""By the page's heading."""


def test_the_page_has_what_happens() -> None:
    assert LINES.keys() == HAPPENS.keys()


@pytest.mark.parametrize(
    "title",
    [pytest.param(t, marks=[pytest.mark.more] * (t != "A table is gone")) for t in HAPPENS],
)
def test_each_line_was_printed_before_it_is_typed(stocked: Project, title: str) -> None:
    stocked.ok("undrop", "backup", "before it")
    before = sorted(content(stocked.database))
    HAPPENS[title](stocked)
    lines, shown = LINES[title], "just"
    assert len(lines) <= MOST
    for typed in lines:
        [*_, name] = ["NAME", *re.findall(r"just restore (quartermaster\S+)", shown)]
        line = typed.replace("NAME", name)
        # `just` alone shows the recipes by their names.
        recipe = rf"^    {re.escape(line.removeprefix('just '))}\b"
        assert line in shown or re.search(recipe, shown, re.MULTILINE), line
        done = stocked.run("sh", "-c", line)
        shown += done.out + done.err
    assert done.code == 0, shown
    now = sorted(content(stocked.database))
    since = [line for line in now if "'new'" in line]
    assert [line for line in now if line not in since] == before, shown
    assert len(since) == (HAPPENS[title] is bad_migration)
