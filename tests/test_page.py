"""The page of ``just history --html``, looked at in a browser; and what it may overwrite."""

import os
import re
import shlex
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import browser
import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from shop import Project

SCRIPT = "</script><script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
HOSTILE = {
    "script": SCRIPT,
    "quotes": "\"'`><b onclick=alert(1)>${1 + 1}<% raise %>&amp;",
    "turned": "\u202egnp.exe\u2066",
    "long": "x" * 10_000,
}
TABLE = "<script>alert('t')</script> \"quoted\" 'x' \u202e"


def hostile(project: Project) -> Path:
    """A project with a life, whose names, rows, reasons and commands mean harm; its page."""
    quoted = TABLE.replace('"', '""')
    project.script(f'CREATE TABLE "{quoted}" (id INTEGER PRIMARY KEY, "{quoted}" TEXT, b)')
    project.ok("undrop", "backup", f"{SCRIPT} {HOSTILE['quotes']}")
    for text in HOSTILE.values():
        literal = text.replace("'", "''")
        project.sql(f"INSERT INTO \"{quoted}\" VALUES (NULL, '{literal}', x'00ff3c2f')")
    project.sql(
        f"INSERT INTO \"{quoted}\" VALUES (NULL, 'a' || char(0) || 'b', CAST(x'ff' AS TEXT))"
    )
    project.ok("undrop", "backup", "more & more\nlines")
    project.ok("undrop", "run", "--", "sh", "-c", f"true {shlex.quote(SCRIPT)}")
    project.script(
        f'DELETE FROM "{quoted}" WHERE id < 3; ALTER TABLE "{quoted}" ADD "<i>" DEFAULT 1'
    )
    project.ok("undrop", "backup", "gone")
    project.ok("undrop", "run", "--", *project.client(f'DELETE FROM "{quoted}" -- {SCRIPT}'))
    return Path(project.ok("undrop", "history", "--html", "page.html").strip())


def test_what_is_there_and_is_no_page_stays(stocked: Project) -> None:
    stocked.ok("undrop", "backup")
    (stocked.root / "notes.html").write_text("<!doctype html>\nmine")
    (stocked.root / "link.html").symlink_to("nowhere")
    kept = stocked.content()
    for name in ("notes.html", "link.html", stocked.database.name, "backups/page.html"):
        done = stocked.just("history", "--html", name)
        assert done.code == 2, done
        assert len(done.err.splitlines()) == 3
    assert (stocked.root / "notes.html").read_text().endswith("mine")
    assert stocked.content() == kept
    page = Path(stocked.ok("just", "history", "--html", "page.html").strip())
    first = page.read_text()
    stocked.ok("undrop", "backup", "after that")
    stocked.sql("DELETE FROM stock_movements")
    os.chmod(page, 0o644)  # noqa: PTH101 - as another program would
    stocked.ok("just", "history", "--html", "page.html")
    assert page.read_text() != first
    assert page.stat().st_mode & 0o777 == 0o600
    assert stocked.litter() == []
    assert stocked.just("history", "--no-values").code == 2


@pytest.mark.more
def test_the_pages_lines_bring_back_what_went(stocked: Project) -> None:
    """Also those of a page without values, in which names have no reasons."""
    stocked.ok("undrop", "backup", "for Mrs Mueller")
    before = stocked.content()
    time.sleep(1 - time.time() % 1)  # a name's time tells it from those of other seconds
    stocked.sql("DELETE FROM stock_movements WHERE id > 200")
    page = unescape(stocked.ok("undrop", "history", "--html", "--no-values"))
    assert "ueller" not in page
    lines = re.findall("<code>(just [^<]*)</code>", page)
    assert [line.split()[1] for line in lines] == ["backup", "recover", "restore"]
    for line in lines[:2]:
        stocked.ok(*shlex.split(line))
    assert sorted(stocked.content()) == sorted(before)
    stocked.sql("DELETE FROM stock_movements")
    stocked.ok(*shlex.split(lines[2]))
    assert sorted(stocked.content()) == sorted(before)


def test_no_value_is_in_a_page_without_values(project: Project) -> None:
    hostile(project)
    project.export(project.backups / "quartermaster-mueller.db")
    every = project.ok("undrop", "history", "--html")
    assert "quartermaster-mueller.db cannot be put back" in every
    assert "onerror=alert(1)" in every
    assert "<img" not in every
    assert "x'00ff3c2f'" in unescape(every)
    assert "10,000 characters" in every
    without = project.ok("undrop", "history", "--html", "--no-values")
    for value in (
        "owned",
        "onerror",
        "gnp.exe",
        "xxxxx",
        "00ff3c2f",
        "more-more",
        "-gone",
        "mueller",
    ):
        assert value not in without, value
    assert "<table>" not in without


@pytest.mark.more
def test_a_long_comparison_is_given_up_and_said(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from undrop import settings
    from undrop.steps import history

    many = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) "
    project.script(f"CREATE TABLE t (v); {many} INSERT INTO t SELECT hex(randomblob(30)) FROM n")
    for name in ("one", "two", "three"):
        project.script("UPDATE t SET v = v || 'x'")
        project.ok("undrop", "backup", name)
    loaded = settings.load(project.root)
    shown = loaded.engine.session.progress
    found = history.look(loaded)
    monkeypatch.setattr(history, "PATIENCE", 0.3)
    changes = history.changes(loaded, found, values=True)
    assert [changes[at].why_not for at in sorted(changes)] == ["it took too long"] * 2
    assert loaded.engine.session.progress is shown
    monkeypatch.setattr(history, "PATIENCE", 60)
    monkeypatch.setattr(history, "NEWEST", 1)
    changes = history.changes(loaded, found, values=False)
    assert [changes[at].why_not for at in sorted(changes)] == ["it is one of the older ones", ""]


@pytest.fixture
def chrome(tmp_path: Path) -> Iterator[Chrome]:
    browser.required()
    with browser.opened(tmp_path) as driver:
        yield driver


def shown(chrome: Chrome, page: Path) -> list[WebElement]:
    """Open the page; its states, the newest first."""
    chrome.get(page.as_uri())
    return chrome.find_elements(By.CSS_SELECTOR, "details")


def is_open(state: WebElement) -> bool:
    return state.get_attribute("open") is not None


@pytest.mark.more
def test_nothing_in_a_page_runs_but_its_own_script(project: Project, chrome: Chrome) -> None:
    page = hostile(project)
    states = shown(chrome, page)
    for state in states:
        chrome.execute_script("arguments[0].open = true", state)
    assert chrome.title == "quartermaster.db: its history"
    assert [len(chrome.find_elements(By.TAG_NAME, tag)) for tag in ("script", "img")] == [1, 0]
    text = chrome.find_element(By.TAG_NAME, "body").text
    assert "<script>alert('t')</script> \"quoted\" 'x' \ufffd" in text
    assert "${1 + 1}<% raise %>&amp;" in text
    assert "\u202e" not in text
    assert "a\ufffdb" in text
    assert "more & more\u23celines" in text
    lines = [each.text for each in chrome.find_elements(By.CSS_SELECTOR, ".typed code")]
    assert lines
    assert not any("\ufffd" in line for line in lines)  # one that cannot be typed is none
    assert browser.complaints(chrome) == []


@pytest.mark.more
def test_a_click_or_the_keyboard_shows_what_changed(project: Project, chrome: Chrome) -> None:
    states = shown(chrome, hostile(project))
    assert not any(map(is_open, states))
    states[1].find_element(By.TAG_NAME, "summary").click()
    assert is_open(states[1])
    assert "2 removed" in states[1].text
    assert "+ column <i>" in states[1].text
    assert "just restore" in states[1].text or "undrop restore" in states[1].text
    assert chrome.switch_to.active_element == states[1].find_element(By.TAG_NAME, "summary")
    keys = ActionChains(chrome)
    keys.send_keys(Keys.ARROW_DOWN, Keys.ENTER).perform()
    assert is_open(states[2])
    keys.send_keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.ENTER).perform()
    assert is_open(states[0])
    bars = chrome.find_elements(By.CSS_SELECTOR, ".curve:first-child svg a rect")
    assert len(bars) == len(states)
    bars[0].click()  # the oldest
    assert is_open(states[-1])
    copy = states[1].find_element(By.TAG_NAME, "button")
    copy.click()
    chrome.execute_async_script("setTimeout(arguments[0], 50)")
    assert copy.text == "copied" or chrome.execute_script("return String(getSelection())")
    assert browser.complaints(chrome) == []


@pytest.mark.more
def test_it_fits_a_phone_is_dark_at_night_and_needs_no_script(
    project: Project, tmp_path: Path
) -> None:
    browser.required()
    page = hostile(project)
    papers = []
    with browser.opened(tmp_path) as chrome:
        for width, scheme in ((360, "light"), (360, "dark"), (1200, "dark")):
            browser.look(chrome, width, 800, scheme)
            for state in shown(chrome, page):
                chrome.execute_script("arguments[0].open = true", state)
            assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
            papers.append(
                chrome.execute_script("return getComputedStyle(document.body).backgroundColor")
            )
    assert papers[0] != papers[1] == papers[2]
    with browser.opened(tmp_path / "plain", scripts=False) as chrome:
        states = shown(chrome, page)
        assert all(state.find_element(By.CSS_SELECTOR, ".clock").text for state in states)
        states[1].find_element(By.TAG_NAME, "summary").click()
        assert is_open(states[1])
        assert "2 removed" in states[1].text
        assert not chrome.find_element(By.TAG_NAME, "button").is_displayed()
        chrome.find_elements(By.CSS_SELECTOR, "svg a rect")[0].click()
        assert is_open(states[-1])
