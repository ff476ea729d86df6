"""``just sample`` fills the example, or says what to type; it never makes a database."""

import pytest
from shop import Project


def test_the_schema_comes_first_and_the_line_for_it_is_named(project: Project) -> None:
    done = project.just("sample")
    assert done.code == 1, done
    assert "Next: just migrate, then the same again" in done.err
    assert not project.exists()
    project.ok("just", "migrate")
    assert "\n20 stock movements added" in project.ok("just", "sample", "20")
    assert project.sql("SELECT count(*) FROM stock_movements") == [(20,)]


@pytest.mark.more
@pytest.mark.parametrize("word", ["abc", "-5", "0"])
def test_what_is_no_number_of_rows_is_wrong_usage(project: Project, word: str) -> None:
    done = project.just("sample", word)
    assert done.code == 2, done
    assert f"{word!r} is no number of rows" in done.err
    assert not project.exists()


@pytest.mark.more
def test_a_database_without_the_tables_is_left_as_it_is(project: Project) -> None:
    project.make()
    done = project.refused(1, "just", "sample")
    assert "no such table: items" in done.err
    assert "Next: just migrate" in done.err
