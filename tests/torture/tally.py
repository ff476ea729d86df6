"""The torture suite counts what it tried: a sample by default, all of it with ``just torture``."""

import os
import shutil
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import pytest

FULL = os.environ.get("UNDROP_TORTURE") == "full"

Tally = Callable[[str, int, list[str]], None]


def sampled(points: list[Any], most: int) -> list[Any]:
    """All points in a full run, else at most ``most`` of them, evenly spread, ends included."""
    if FULL or len(points) <= most:
        return points
    step = (len(points) - 1) / (most - 1)
    return [points[round(number * step)] for number in range(most)]


def smoked(names: Iterable[str], *some: str) -> list[Any]:
    """The names as parameters; ``just test`` runs ``some`` of them."""
    marks = {name: [pytest.mark.smoke] for name in some}
    return [pytest.param(name, marks=marks.get(name, [])) for name in names]


def cannot(why: str) -> NoReturn:
    """Skip what this machine cannot do; on CI, which installs what is needed, fail."""
    if os.environ.get("UNDROP_CI"):
        pytest.fail(f"CI must be able to do this: {why}")
    pytest.skip(why)


@pytest.fixture
def strace() -> None:
    """For a test that traces system calls."""
    if shutil.which("strace") is None:
        cannot("strace is not installed")


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Count ``points`` tried under a suite's name, and fail on any violation."""

    def count(suite: str, points: int, violations: list[str]) -> None:
        request.node.user_properties.append(("torture", (suite, points, len(violations))))
        assert points, f"{suite}: nothing was tried"
        assert not violations, "\n".join(violations[:20])

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table: what was tried, how often, and how often a promise was broken.

    And, a line each, what tests have recorded otherwise (``record_property``).
    """
    table: dict[str, list[int]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == "torture" and report.when == "call":
                    suite, points, violations = value
                    row = table.setdefault(suite, [0, 0])
                    row[0] += points
                    row[1] += violations
                elif report.when == "call":
                    terminalreporter.write_line(f"{name}: {value}")
    if not table:
        return
    terminalreporter.section("torture" if FULL else "torture (a sample; all of it: just torture)")
    width = max(map(len, table))
    terminalreporter.write_line(f"{'suite'.ljust(width)}  {'points':>7}  {'violations':>10}")
    for suite, (points, violations) in sorted(table.items()):
        terminalreporter.write_line(f"{suite.ljust(width)}  {points:>7}  {violations:>10}")
