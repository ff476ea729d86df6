"""``rehearse --markdown``: the loss report for a pull request, which shows nobody's values."""

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from shop import Project

HOSTILE = "a|b`<img src=x>_x_ www.evil.example @ann **b** [x](http://y) \\| #1 &amp; ü"


class Shown(HTMLParser):
    """What a browser makes of it: which elements, which texts in ``code``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: list[str] = []
        self.inside = False
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - as the parser calls it
        self.tags.add(tag)
        self.inside = tag == "code"
        self.names += [""] * self.inside

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.names[-1] += data


@pytest.fixture
def revised(stocked: Project) -> Project:
    """A migration is to come that loses rows, values and a table with any name."""
    stocked.sql(f'CREATE TABLE "{HOSTILE}" (id INTEGER PRIMARY KEY, v TEXT)')
    stocked.sql(f"INSERT INTO \"{HOSTILE}\" (v) VALUES ('for nobody to see')")
    stocked.sql("UPDATE stock_movements SET note = 'counted by ann'")
    drop = f'DROP TABLE "{HOSTILE}"'
    stocked.revise(
        "op.execute('UPDATE stock_movements SET note = NULL')",
        "op.execute('DELETE FROM supplier_contacts')",
        f"op.get_bind().exec_driver_sql({drop!r})",
        "op.create_table('colours', sa.Column('id', sa.Integer, primary_key=True))",
    )
    return stocked


def test_a_rehearsal_for_a_pull_request_has_names_and_counts_and_no_values(
    revised: Project,
) -> None:
    done = revised.just("rehearse", "--markdown")
    assert done.code == 4, done
    page = Shown(done.out)
    assert page.tags == {"h3", "code", "table", "thead", "tbody", "tr", "th", "td", "p"} | {
        *("strong", "ul", "li")
    }
    assert page.names[0] == "0006 -> 9001, 1 migration(s)"
    assert {"stock_movements.note", "became NULL", "rows supplier_contacts"} < {*page.names}
    assert f"table {HOSTILE}" in page.names
    assert "**3 loss(es) that nobody accepted.**" in done.out
    assert "300 of 300" in done.out
    assert "nobody to see" in revised.undrop("rehearse").out
    for value in ("nobody to see", "counted by ann", "@supplier-1"):
        assert value not in done.out + done.err
    accepted = revised.just("rehearse", "--markdown", "--accept-loss")
    assert accepted.code == 0
    assert "Every loss is accepted." in accepted.out


@pytest.mark.more
def test_markdown_and_json_are_not_both(stocked: Project) -> None:
    stocked.refused(2, "undrop", "rehearse", "--markdown", "--json")


@pytest.mark.more
def test_where_nothing_is_to_do_the_page_says_so(stocked: Project) -> None:
    done = stocked.done("undrop", "rehearse", "--markdown")
    assert Shown(done.out).names == ["nothing to do: the schema is there already"]
    assert "Nothing is lost." in done.out
