"""What commands take in a project with thousands of backups and a long log."""

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from measure import Place, in_turn
from scenarios import Bound, Line, Result, changed

from quartermaster.sample import fill

ROWS = 500  # of stock movements
BACKUPS, LINES = 5000, 50_000
AGED = str(Path(__file__).with_name("aged.py"))


def commands(young: Place, old: Place) -> Result:
    """Each in a project with a few backups and in one with thousands, in turn."""
    for place in (young, old):
        place.run("undrop", "migrate")
        fill(f"sqlite:///{place.database}", ROWS)
        for number in range(5):
            _change(place)
            place.run("undrop", "backup", f"number {number}")
    old.run(sys.executable, AGED, str(BACKUPS), str(LINES))
    found = {}
    for place in (young, old):
        place.run("undrop", "run", "--", sys.executable, "-c", RUN)
        time.sleep(0.1)  # a state that was written to just now is not known by its files' times
        _call(place)
        found[place.folder] = in_turn(3, _runs(place), lambda: None)
    lines, bounds = [], []
    for name, of_young in found[young.folder].items():
        of_old = found[old.folder][name]
        what = f"{name}, {BACKUPS:,} backups, {LINES:,} lines"
        lines.append(Line(what, of_old, "s", of_old / of_young, "5 backups"))
        if most := MOST.get(name):
            bounds.append(Bound(f"{what}, seconds", of_old, most))
    return lines, bounds


CHANGE = "UPDATE suppliers SET name = name || '!'"
RUN = f"import sqlite3; c = sqlite3.connect('quartermaster.db'); c.execute({CHANGE!r}); c.commit()"
MOST = {
    "undrop list": 0.5,
    "undrop status": 1,
    "undrop backup": 1,
    "undrop backup of a change": 1,
    "agent hook": 1,
    "agent hook behind a backup": 1,
}


def _change(place: Place) -> None:
    with closing(sqlite3.connect(place.database)) as connection, connection:
        connection.execute(CHANGE)


def _call(place: Place) -> float:
    given = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": str(place.folder)}
    text = json.dumps({**given, "session_id": "s", "tool_input": {"command": "make"}})
    return place.seconds("sh", "-c", 'printf %s "$1" | undrop agent-hook', "sh", text)


def _behind_a_backup(place: Place) -> float:
    _change(place)
    return _call(place)


def _runs(place: Place) -> dict[str, Callable[[], float]]:
    def typed(*words: str) -> Callable[[], float]:
        return lambda: place.seconds("undrop", *words)

    return {
        "undrop undo": typed("undo"),
        "undrop list": typed("list"),
        "undrop status": typed("status"),
        "undrop backup": typed("backup"),
        "undrop backup of a change": lambda: changed(place),
        "agent hook behind a backup": lambda: _behind_a_backup(place),
        "agent hook": lambda: _call(place),
        "undrop find": typed("find", "Aisle 1"),
        "undrop log of a row": typed("log", "items", "1"),
        "undrop history": typed("history"),
        "undrop audit": typed("audit"),
    }
