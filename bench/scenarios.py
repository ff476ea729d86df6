"""What is measured: each function returns lines for the table, and the bounds that must hold."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import contenders
from contenders import LIMIT
from measure import Place, disk_bytes, in_turn, peak_private, percentile

from undrop.compare import files
from undrop.values import quiet

PROJ = Path("/usr/share/proj/proj.db")  # of Debian's proj-data: many tables, old statistics
ROUNDS = {"5 MB": 15, "200 MB": 5, "1 GB": 3}
CHEAP = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("suppliers", sa.Column("rating", sa.Integer))
"""


class Line(NamedTuple):
    """One figure, and what it is of the baseline that ran beside it."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    of: str = ""


class Bound(NamedTuple):
    """What is asked of a figure."""

    what: str
    found: float
    most: float

    @property
    def holds(self) -> bool:
        return self.found <= self.most


Result = tuple[list[Line], list[Bound]]


def backups(place: Place, size: str) -> Result:
    """Every contender on one size, in turn."""
    there = [each for each in contenders.ALL if not each.missing]
    for each in contenders.ALL:
        if each.missing:
            print(f"  skipped: {each.name}, there is no {each.needs} on the PATH", file=sys.stderr)
    for each in there:
        each.before(place.folder)

    def clean() -> None:
        for path in place.folder.iterdir():
            if path.name in {"backups", ".snapback"}:
                shutil.rmtree(path)
            elif path.name.startswith(("copy.db", "quartermaster.db.")):
                path.unlink()
        shutil.rmtree(place.environment["XDG_STATE_HOME"], ignore_errors=True)

    clean()
    runs = {each.name: lambda each=each: place.seconds(*each.of(place.folder)) for each in there}
    found = in_turn(ROUNDS[size], runs, clean)  # type: ignore[arg-type]  # a lambda's default
    script = found[contenders.SCRIPT.name]
    lines = [
        Line(f"{size}: {name}", seconds, "s", seconds / script, "the shell script")
        for name, seconds in found.items()
    ]
    ours = found[contenders.OURS.name]
    bounds = []
    if size == "5 MB":
        bounds = [Bound("5 MB: just backup / shell script", ours / script, 2.3)]
    if size == "1 GB":
        bare = found[contenders.BARE.name]
        bounds = [
            Bound("1 GB: just backup / shell script", ours / script, 0.8),
            Bound("1 GB: just backup / .backup", ours / bare, 2.0),
        ]
    return lines, bounds


def growth(lines: list[Line]) -> Result:
    """What each further gigabyte costs, and 100 of them, from the two largest databases."""
    of = {line.what: line.value for line in lines}
    sizes = [size for size in ROUNDS if f"{size}: just backup" in of][-2:]
    if len(sizes) < 2:
        return [], []
    small, large = (of[f"{size}: the database"] / 1000 for size in sizes)
    quick, slow = (of[f"{size}: just backup"] for size in sizes)
    each = (slow - quick) / (large - small)
    return [
        Line("just backup: each further GB", each, "s"),
        Line("just backup of 100 GB, at that", each * 100 / 60, "min"),
    ], []


def memory(places: dict[str, Place]) -> Result:
    """Private memory of a backup, of the smallest and the largest database."""
    peaks = {size: peak_private(place, "undrop", "backup") for size, place in places.items()}
    sizes = list(peaks)
    lines = [Line(f"{size}: private memory", peaks[size] / 1e6, "MB") for size in sizes]
    largest, smallest = peaks[sizes[-1]], peaks[sizes[0]]
    return lines, [
        Bound(f"{sizes[-1]}: private memory, MB", largest / 1e6, 64),
        Bound(
            f"{sizes[-1]}: more private memory than {sizes[0]}, MB", (largest - smallest) / 1e6, 8
        ),
    ]


def restore(place: Place, size: str) -> Result:
    """FILE verified before and live checked after; the safety backup is taken off."""
    name = place.run("undrop", "backup", "to restore").strip()
    with closing(sqlite3.connect(place.database)) as connection, connection:
        connection.execute("UPDATE suppliers SET name = name || '!'")
    place.run("undrop", "backup", "before")

    def ours() -> float:
        phases = place.phases("restore", name)
        print(f"  {size} restore: {shown(phases)}", file=sys.stderr)
        with closing(sqlite3.connect(place.database)) as connection, connection:
            connection.execute("UPDATE suppliers SET name = name || '!'")
        return phases["all"] - phases["safety backup"]

    runs = {"restore": ours, LIMIT.name: lambda: place.seconds(*LIMIT.of(place.folder))}
    found = in_turn(3, runs, lambda: (place.folder / "copy.db").unlink(missing_ok=True))
    ratio = found["restore"] / (2 * found[LIMIT.name])
    line = Line(
        f"{size}: restore, its safety backup apart", found["restore"], "s", ratio, "2 cp + fsync"
    )
    return [line], [Bound(f"{size}: restore / (2 cp + fsync)", ratio, 3.0)]


def comparison(place: Place, size: str) -> Result:
    """A database against itself with one column added, next to copying it; PROJ's with one row."""
    changed = "ALTER TABLE stock_movements ADD COLUMN rating"
    result = _compared(
        f"{size}: compare, one column added", place.database, place.folder, changed, 1.0
    )
    if size == "1 GB" and PROJ.exists():
        changed = "UPDATE geodetic_crs SET name = name || '!' WHERE code = '4326'"
        more = _compared("proj.db: compare, one row changed", PROJ, place.folder, changed, 2.0)
        result = (result[0] + more[0], result[1] + more[1])
    return result


def _compared(what: str, source: Path, folder: Path, changed: str, most: float) -> Result:
    before, after = folder / "before.db", folder / "after.db"

    def copied() -> float:
        began = time.perf_counter()
        shutil.copyfile(source, before)
        return time.perf_counter() - began

    def ours() -> float:
        began = time.perf_counter()
        files.compare(before, after, quiet)
        return time.perf_counter() - began

    copied()
    shutil.copyfile(source, after)
    with closing(sqlite3.connect(after)) as connection, connection:
        connection.execute(changed)
    found = in_turn(3, {"compare": ours, "cp": copied}, lambda: None)
    before.unlink()
    after.unlink()
    line = Line(what, found["compare"], "s", found["compare"] / found["cp"], "copying the file")
    return [line], [Bound(f"{what}, seconds", found["compare"], most)]


def migrate(place: Place, size: str) -> Result:
    """One cheap migration, against Alembic on the file itself with nothing of ours."""
    plain = Place(place.folder.with_name(f"{place.folder.name} plain"), place.environment)
    shutil.copytree(
        place.folder, plain.folder, symlinks=True, ignore=shutil.ignore_patterns("*.db")
    )
    env = plain.folder / "alembic/env.py"
    env.write_text(env.read_text().replace("backup_before(context)\n", ""))
    for each in (place, plain):
        (each.folder / "alembic/versions/9001_cheap.py").write_text(CHEAP)
    kept = place.folder / "kept.db"
    shutil.copy(place.database, kept)

    def fresh(each: Place) -> None:
        shutil.copy(kept, each.database)
        subprocess.run(["sync", each.database], check=True)
        shutil.rmtree(each.folder / "backups", ignore_errors=True)

    def ours() -> float:
        fresh(place)
        return place.seconds("just", "migrate")

    def alembic() -> float:
        fresh(plain)
        return plain.seconds("alembic", "upgrade", "head")

    def limit() -> float:
        return place.seconds(*LIMIT.of(place.folder))

    runs = {"just migrate": ours, "alembic": alembic, LIMIT.name: limit}
    found = in_turn(
        3 if size == "1 GB" else 7, runs, lambda: (place.folder / "copy.db").unlink(missing_ok=True)
    )
    fresh(place)
    place.run("undrop", "backup")
    phases = place.phases("migrate")
    print(f"  {size} migrate: {shown(phases)}", file=sys.stderr)
    for each in (place, plain):
        (each.folder / "alembic/versions/9001_cheap.py").unlink()
    kept.rename(place.database)
    shutil.rmtree(plain.folder)
    ours_took, theirs = found["just migrate"], found["alembic"]
    lines = [
        Line(f"{size}: just migrate", ours_took, "s", ours_took / theirs, "alembic upgrade head"),
        Line(f"{size}: alembic upgrade head", theirs, "s"),
        Line(f"{size}: of just migrate, holding the state after", phases["state after"], "s"),
    ]
    if size == "1 GB":
        more = (ours_took - theirs) / found[LIMIT.name]
        return lines, [Bound("1 GB: (just migrate - alembic) / (cp + fsync)", more, 12)]
    return lines, [Bound(f"{size}: just migrate / alembic", ours_took / theirs, 1.5)]


@contextmanager
def writing(place: Place, rate: float) -> Iterator[Path]:
    """A writer in a process of its own; its commits' times are in the file."""
    times = place.folder / "times"
    script = str(Path(__file__).with_name("writer.py"))
    command = [sys.executable, script, str(place.database), str(times), str(rate)]
    with subprocess.Popen(command) as process:
        time.sleep(1)
        try:
            yield times
        finally:
            process.kill()


def changed(place: Place) -> float:
    """A backup of a state that no other has: that of one which is known is over sooner."""
    with closing(sqlite3.connect(place.database)) as connection, connection:
        connection.execute("UPDATE suppliers SET name = name || '!'")
    return place.seconds("undrop", "backup")


def under_writers(place: Place, size: str) -> Result:
    """Our backup while somebody writes, in both modes; and what the writer feels of it."""
    lines, bounds = [], []
    for mode in ("WAL", "DELETE"):
        with closing(sqlite3.connect(place.database)) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        quiet = sorted(changed(place) for _ in range(3))[1]
        for name, rate in (("paced", 100.0), ("saturating", 0.0)):
            with writing(place, rate) as times:
                time.sleep(2)
                before = [float(line) for line in times.read_text().split()]
                took = sorted(place.seconds("undrop", "backup") for _ in range(3))[1]
                during = [float(line) for line in times.read_text().split()[len(before) : -1]]
            p99 = percentile(during, 0.99) / percentile(before, 0.99)
            what = f"{size}: backup under a {name} writer, {mode}"
            lines += [
                Line(what, took, "s", took / quiet, "quiet"),
                Line(f"{what}: its p99", percentile(during, 0.99) * 1000, "ms", p99, "quiet"),
            ]
            if (mode, name) == ("WAL", "saturating"):
                bounds = [
                    Bound(f"{what} / quiet", took / quiet, 2.0),
                    Bound(f"{what}: its p99 / quiet", p99, 3.0),
                ]
    return lines, bounds


def hook(place: Place) -> Result:
    """What an agent waits for before a call: one that only reads, and one behind a backup."""
    place.run("undrop", "backup")

    def call(command: str) -> float:
        given = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": str(place.folder)}
        text = json.dumps({**given, "tool_input": {"command": command}})
        return place.seconds("sh", "-c", 'printf %s "$1" | undrop agent-hook', "sh", text)

    time.sleep(0.1)  # a state that was written to just now is not known by its files' times
    call("make")
    runs = {
        "pass": lambda: place.seconds(sys.executable, "-c", "pass"),
        "ls": lambda: call("ls"),
        "make": lambda: call("make"),
    }
    found = in_turn(9, runs, lambda: None)
    due = 1.3 * found["pass"] + 0.030
    lines = [
        Line("python -c pass", found["pass"] * 1000, "ms"),
        Line("agent hook: ls, which only reads", found["ls"] * 1000, "ms"),
        Line("agent hook: make, nothing changed since", found["make"] * 1000, "ms"),
    ]
    what = "1.3 x python -c pass + 30 ms"
    return lines, [
        Bound(f"agent hook: ls / {what}", found["ls"] / due, 1.0),
        Bound("agent hook: make / that", found["make"] / due, 2.5),
    ]


def status(place: Place, size: str) -> Result:
    """Whether a backup holds the present state, some of which is in a program's -wal."""
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE suppliers SET name = name || '!'")
        connection.commit()
        place.run("undrop", "backup")
        runs = {"status": lambda: place.seconds("undrop", "status")}
        found = in_turn(5, runs, lambda: None)["status"]
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    line = Line(f"{size}: undrop status, a state that is held", found, "s")
    return [line], [Bound(line.what, found, 1.0)] if size == "200 MB" else []


def many(place: Place) -> Result:
    """A thousand backups listed, and a row looked up in each; a hundred of one state in bytes."""
    shutil.rmtree(place.folder / "backups", ignore_errors=True)
    before = disk_bytes(place.folder)
    for _ in range(100):
        place.run("undrop", "backup")
    grown = disk_bytes(place.folder) - before
    [first, *_] = sorted((place.folder / "backups").glob("*.db"))
    record = json.loads(first.with_suffix(".json").read_text())
    for number in range(900):
        path = first.with_name(f"quartermaster-20250101-{number:06}-x.db")
        path.hardlink_to(first)
        another = {**record, "digest": f"blake3:{number:064x}"}  # or it is opened once for all
        path.with_suffix(".json").write_text(json.dumps(another))
    opens = "for file in backups/*.db; do sqlite3 $file 'PRAGMA user_version'; done"
    runs = {
        "list": lambda: place.seconds("just", "list"),
        "log": lambda: place.seconds("just", "log", "items", "1"),
        "opens": lambda: place.seconds("sh", "-c", opens),
    }
    found = in_turn(3, runs, lambda: None)
    ratio, of_row = (found[name] / found["opens"] for name in ("list", "log"))
    shutil.rmtree(place.folder / "backups")
    size = place.database.stat().st_size
    return [
        Line("just list, 1,000 backups", found["list"], "s", ratio, "1,000 sqlite3 opens"),
        Line("just log of a row, 1,000 backups", found["log"], "s", of_row, "1,000 sqlite3 opens"),
        Line(
            "100 backups, unchanged: on the disk", grown / 1e6, "MB", grown / size, "the database"
        ),
    ], [
        Bound("just list / 1,000 sqlite3 opens", ratio, 0.5),
        Bound("just log of a row / 1,000 sqlite3 opens", of_row, 1),
    ]


def shown(phases: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.3f}" for name, seconds in phases.items())
