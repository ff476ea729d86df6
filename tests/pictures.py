"""Makes the pictures of the page of ``history --html`` in docs/: ``python tests/pictures.py``.

A week of Quartermaster, lived in a temporary folder by ``faketime`` (Debian's package of that name)
and looked at in Chromium.
"""

import shlex
import tempfile
from pathlib import Path

from browser import look, opened
from selenium.webdriver.common.by import By
from shop import REPOSITORY, Project

DOCS = REPOSITORY / "docs"
WIDE, HIGH = 960, 1180
SALES = "DELETE FROM stock_movements WHERE item_id % 9 = 4"
NEW = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {0}) "
    "INSERT INTO {1} FROM n"
)
MOVED = (
    "stock_movements (item_id, location_id, quantity, moved_at) "
    "SELECT 1 + i % 40, 1 + i % 12, 5 + i % 30, '2026-11-2' || (3 + i % 4)"
)
CAME = "items (sku, name, price_cents) SELECT '{0}-' || i, 'Hinge, ' || i || ' mm', 90 + 7 * i"
WEEK: tuple[tuple[str, str], ...] = (
    ("2026-11-23 08:40", "just migrate 0005"),
    ("2026-11-23 08:41", "just sample 900"),
    ("2026-11-23 08:55", "just backup stock taken"),
    ("2026-11-23 16:20", NEW.format(140, MOVED)),
    ("2026-11-23 16:21", NEW.format(12, CAME.format("H"))),
    ("2026-11-23 17:02", "just backup end of the day"),
    ("2026-11-24 09:12", "just migrate"),
    ("2026-11-24 15:30", NEW.format(230, MOVED)),
    ("2026-11-24 17:05", "just backup end of the day"),
    ("2026-11-25 11:48", SALES),
    ("2026-11-25 11:49", NEW.format(25, CAME.format("G"))),
    ("2026-11-25 14:03", "just recover 'rows stock_movements'"),
    ("2026-11-25 17:01", "just backup end of the day"),
    ("2026-11-26 10:15", "just run sqlite3 quartermaster.db 'DELETE FROM stock_movements'"),
    ("2026-11-26 10:16", "just undo"),
    ("2026-11-26 16:44", NEW.format(160, MOVED)),
    ("2026-11-27 08:19", "just nuke-db"),
    ("2026-11-27 08:20", "just undo"),
    ("2026-11-27 09:02", "UPDATE items SET price_cents = price_cents - 10 WHERE id % 5 = 0"),
    ("2026-11-27 09:10", "just backup prices of the winter sale"),
)


def live(project: Project) -> Path:
    """Live that week; the page of it."""
    for when, line in WEEK:
        if line.startswith("just "):
            project.ok("faketime", when, *shlex.split(line))
        else:
            project.sql(line)
    end, line = "2026-11-27 09:30", "undrop history --html history.html"
    return Path(project.ok("faketime", end, *line.split()).strip())


def main() -> None:
    """Write them."""
    with tempfile.TemporaryDirectory(prefix="undrop-pictures-") as name:
        folder = Path(name)
        page = live(Project(folder / "shop"))
        with opened(folder) as chrome:
            chrome.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
            for scheme in ("light", "dark"):
                look(chrome, WIDE, HIGH, scheme)
                chrome.get(page.as_uri())
                chrome.find_element(By.CSS_SELECTOR, "details.lost > summary").click()
                chrome.execute_script("scrollTo(0, 0)")
                chrome.save_screenshot(str(DOCS / f"history-{scheme}.png"))


if __name__ == "__main__":
    main()
