"""What a thousand automatic backups of a 30 MB database cost, and whether each is what it was.

Between each two of them one page in a hundred changes: an integer in it, or a text of 900 bytes.
"""

import hashlib
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from measure import Place, disk_bytes
from scenarios import Bound, Line, Result

from undrop import settings
from undrop.steps import backup, pack
from undrop.store import catalog, unpacked
from undrop.store.lock import locked

ROWS = 30_000  # of about 950 bytes: four a page
PART = 100  # of the pages change
BY_HAND = 20  # are unpacked with the zstd command alone
ROUNDS = 7
MOST = 5  # times one plain backup, besides the plain newest, where integers change


def packing(place: Place, states: int) -> Result:
    """Both kinds of change, one after the other."""
    numbers = _taken(place, states, "an integer", "UPDATE t SET number = number + 1 WHERE id = ?")
    texts = _taken(place, states, "900 bytes of text", "UPDATE t SET text = ?2 WHERE id = ?1")
    most = Bound(f"{states:,} packed, an integer in 1 % of the pages / plain", numbers[0], MOST)
    lines = [*numbers[1], *texts[1], *_answers(place)]
    return lines, [most]


def _taken(place: Place, states: int, what: str, change: str) -> tuple[float, list[Line]]:
    """How many times a plain backup they take; lines that say what was seen."""
    for folder in (place.folder / "backups", place.environment["XDG_STATE_HOME"]):
        shutil.rmtree(folder, ignore_errors=True)
    place.database.unlink(missing_ok=True)
    os.environ["XDG_STATE_HOME"] = place.environment["XDG_STATE_HOME"]
    chance = random.Random(1)  # noqa: S311 - the same each time
    loaded = settings.load(place.folder)
    taken: dict[str, str] = {}
    seconds: list[float] = []
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, number INTEGER, text TEXT)")
        rows = ((chance.randrange(10**6), _text(chance)) for _ in range(ROWS))
        connection.executemany("INSERT INTO t (number, text) VALUES (?, ?)", rows)
        connection.commit()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        for _ in range(states):
            ids = [1 + chance.randrange(ROWS) for _ in range(pages // PART)]
            if "?2" in change:
                connection.executemany(change, [(each, _text(chance)) for each in ids])
            else:
                connection.executemany(change, [(each,) for each in ids])
            connection.commit()
            with locked(loaded, print) as lock:
                purpose = backup.Purpose("before an agent's call", "agent")
                with backup.covered(lock, purpose) as state:
                    taken[state.name] = _sum(loaded.backups / state.name)
                began = time.perf_counter()
                pack.pack(lock)
                seconds.append(time.perf_counter() - began)
    plain = place.database.stat().st_size
    newest = [path for path in (place.folder / "backups").glob("*.db") if _is_newest(loaded, path)]
    told = place.seconds("undrop", "log", "t", "1")
    kept = disk_bytes(place.folder / "backups") - sum(path.stat().st_size for path in newest)
    unpack = _each_is_what_it_was(loaded, taken)
    _by_hand(loaded, taken, chance)
    return kept / plain, [
        Line(f"{states:,} backups, {what}: one plain", plain / 1e6, "MB"),
        Line(
            f"{states:,} backups, {what}: besides the newest",
            kept / 1e6,
            "MB",
            kept / plain,
            "plain",
        ),
        Line(f"{states:,} backups, {what}: packing one", statistics.median(seconds), "s"),
        Line(f"{states:,} backups, {what}: unpacking one", unpack, "s"),
        Line(f"{states:,} backups, {what}: undrop log of a row", told, "s"),
    ]


def _text(chance: random.Random) -> str:
    return chance.randbytes(450).hex()


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_other(path: Path, wanted: str) -> None:
    if _sum(path) != wanted:
        sys.exit(f"{path} is not what was backed up")


def _is_newest(loaded: settings.Settings, path: Path) -> bool:
    """Whether a plain file is one of the newest states, and not the base that stays plain."""
    known = catalog.at(path)
    return bool(known and known.record and not known.record.packed and loaded.plain)


def _each_is_what_it_was(loaded: settings.Settings, taken: dict[str, str]) -> float:
    """Seconds that it takes to have one again; all must have their exact bytes."""
    seconds = []
    with closing(loaded.engine.session):
        for each in catalog.backups(loaded):
            began = time.perf_counter()
            plain = unpacked.plain(loaded, each)
            seconds.append(time.perf_counter() - began)
            _refuse_other(plain, taken[each.path.name])
    return statistics.median(seconds)


def _by_hand(loaded: settings.Settings, taken: dict[str, str], chance: random.Random) -> None:
    """Some are had with the zstd command alone, by the lines in the records."""
    packed = [each for each in catalog.backups(loaded) if each.packed]
    folder = loaded.root / "by-hand"
    for each in chance.sample(packed, BY_HAND):
        folder.mkdir()
        chain = [each]
        while chain[-1].record and (base := str(chain[-1].record.packed.get("base", ""))):
            chain.append(catalog.named(loaded, base))
        for one in reversed(chain):
            (folder / one.file.name).hardlink_to(one.file)
            if one.packed and one.record:
                line = str(one.record.packed["unpack"])
                subprocess.run(["sh", "-ec", line], cwd=folder, check=True, capture_output=True)
        _refuse_other(folder / each.path.name, taken[each.path.name])
        shutil.rmtree(folder)


def _change(place: Place) -> None:
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("UPDATE t SET number = number + 1 WHERE id % 400 = 0")
        connection.commit()


def _answers(place: Place) -> list[Line]:
    """How early a backup's answer is there, and its end, with states to be packed and without."""
    found: dict[str, list[float]] = {"plain": [], "packs": [], "end": []}
    pyproject = place.folder / "pyproject.toml"
    text = pyproject.read_text()
    never = text.replace("[tool.undrop]", "[tool.undrop]\nplain = 1000000", 1)
    for _ in range(ROUNDS):
        for name in ("plain", "packs"):
            pyproject.write_text(never if name == "plain" else text)
            _change(place)
            place.run("undrop", "backup", "--before", "nuke-db", "")  # one to be packed
            _change(place)
            began = time.perf_counter()
            with subprocess.Popen(
                ["undrop", "backup"],
                cwd=place.folder,
                env=place.environment,
                stdout=subprocess.PIPE,
            ) as process:
                next(iter(process.stdout or ()))
                found[name].append(time.perf_counter() - began)
            if name == "packs":
                found["end"].append(time.perf_counter() - began)
    plain, packs, end = (statistics.median(found[name]) for name in ("plain", "packs", "end"))
    of = "without packing"
    return [
        Line("the answer of a backup, many packed: without packing", plain, "s"),
        Line("the answer of a backup, many packed: before it packs", packs, "s", packs / plain, of),
        Line("the end of a backup, many packed", end, "s", end / plain, of),
    ]
