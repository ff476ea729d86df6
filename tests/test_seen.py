"""What each command shows is what was looked at: on two terminals, without colours, in a pipe."""

import json
import re
import subprocess
import sys

import pytest
from seen import COMMANDS, FOLDER, MODES
from shop import REPOSITORY

pytestmark = pytest.mark.more


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """All of it; a process of its own forks the commands."""
    done = subprocess.run(
        [sys.executable, "tests/seen.py", "--json"], cwd=REPOSITORY, capture_output=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_what_was_looked_at(name: str, shown: dict[str, str]) -> None:
    """``python tests/seen.py`` writes it anew; then look at it (``git diff tests/seen``)."""
    assert shown[name] == (FOLDER / f"{name}.txt").read_text("utf-8")


def test_there_is_no_colour_where_none_is_wanted(shown: dict[str, str]) -> None:
    for text in shown.values():
        *_, plain, piped = re.split(r"^=== .*\n", text, flags=re.MULTILINE)
        assert "«" not in plain + piped
        assert "\x1b" not in text


def test_a_table_is_no_wider_than_the_terminal_but_for_a_name(shown: dict[str, str]) -> None:
    for name in ("list", "undo", "log", "log-row", "find", "audit", "recover", "history"):
        parts = re.split(r"^=== .*\n", shown[name], flags=re.MULTILINE)[1:]
        for size, text in zip(MODES.values(), parts, strict=True):
            table = text.partition("undrop: ")[0] if size else ""
            for line in re.sub("«\\d*»", "", table).splitlines():
                assert size
                assert len(line) <= size[0] or " " not in line.strip(), line
