"""Which backups a rule keeps, in the words of restic and borg: ``7d``, ``30 daily, 12 monthly``.

A backup that any part of a rule keeps is kept. A span counts from the newest one, as restic's
``--keep-within`` does, so that a project that rests loses nothing; days and the like are UTC's, as
in names. ``30 daily`` keeps the newest of each of the last thirty days that have one; where fewer
have, the oldest as well (restic.readthedocs.io/en/stable/060_forget.html, borg-prune(1)).
"""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from undrop.store.catalog import Backup

ALL = "all"
PERIODS = {"hourly": "%Y%m%d%H", "daily": "%Y%m%d", "weekly": "%G%V", "monthly": "%Y%m"}
PERIODS |= {"yearly": "%Y", "last": "%Y%m%d%H%M%S%f"}
"""What tells one period from others; of ``last`` each backup is one."""
SPAN = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
SPAN |= {"m": timedelta(days=31), "y": timedelta(days=366)}
MOST = 10_000
"""Of anything: a span must fit, and who wants more keeps all."""
FORMS = "a span (7d, 1y6m: h, d, w, m, y), or a number of last, hourly, daily, weekly, monthly, "
FORMS += "yearly, with commas between"


class Rule(NamedTuple):
    """What is kept of one kind of backups."""

    spans: tuple[timedelta, ...]
    counts: tuple[tuple[int, str], ...]
    """How many of which period."""


def rule(text: str, setting: str) -> Rule | None:
    """What ``text``, the value of a setting, says; None for all. Raises UsageError."""
    if text.strip() == ALL:
        return None
    spans, counts = [], []
    for part in text.split(","):
        words = part.lower().split()
        span = re.fullmatch(r"(\d{1,5}[hdwmy])+", words[0]) if len(words) == 1 else None
        if span:
            pieces = re.findall(r"(\d+)(\w)", words[0])
            if sum(int(count) for count, _ in pieces) <= MOST:
                spans.append(sum((int(n) * SPAN[unit] for n, unit in pieces), timedelta()))
                continue
        elif len(words) == 2 and words[0].isascii() and words[0].isdecimal():
            count = int(words[0][:9])
            if words[1] in PERIODS and 0 < count <= MOST:
                counts.append((count, words[1]))
                continue
        what = f"{part.strip()!r} in {setting}" if part.strip() else f"{setting} = {text!r}"
        raise UsageError(f"{what} is none of the rules: it takes {ALL}, or {FORMS}", "correct it")
    return Rule(tuple(spans), tuple(counts))


def kept(rule: Rule, backups: "Sequence[Backup]", now: "datetime") -> set[str]:
    """Names of those that it keeps.

    A time to come, by a clock that went wrong, is none that a span counts from.
    """
    newest_first = sorted(backups, key=lambda b: (b.created, b.sequence), reverse=True)
    names = set()
    past = [backup.created for backup in newest_first if backup.created <= now]
    for backup in newest_first:
        if not past or any(backup.created >= past[0] - span for span in rule.spans):
            names.add(backup.path.name)
    for count, period in rule.counts:
        newest: dict[str, str] = {}
        for backup in newest_first:
            of = backup.created.strftime(PERIODS[period])
            newest.setdefault(backup.path.name if period == "last" else of, backup.path.name)
        names.update(list(newest.values())[:count])
        if len(newest) < count:
            names.update(backup.path.name for backup in newest_first[-1:])
    return names
