"""Migrations of every kind, run by Alembic alone and through undrop: is the database the same?

``python tests/alike.py`` prints the table that docs/guarantees.md shows; ``test_alike.py`` asserts
each line of it. With ``--postgres`` it is done on a server (``pg_alike``). A case is a project of
Alembic's own kind: its ``env.py`` knows nothing of undrop, its database is a copy of the same one.
After each leg its schema, the rows of every table and what else there is are compared.
"""

import re
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Protocol

from alike_cases import CASES, DATABASE, Case
from forks import forking
from shop import Runner

LAST = re.compile(r"\w*Error: .*|FAILED: .*|.*Alembic says: .*|.*refused: .*|.*failed: .*")
PRAGMAS = (
    *("journal_mode", "user_version", "application_id", "encoding", "auto_vacuum"),
    *("page_size", "integrity_check"),
)


class Leg(NamedTuple):
    """What became of one leg."""

    plain: str
    """``done``, or the last line that it said."""
    ours: str
    difference: str
    """Empty where they are alike."""


class Place(Protocol):
    """Where the database of a case is."""

    def lacks(self, case: Case) -> bool:
        """Whether it cannot be run here."""

    def runner(self, case: Case, root: Path) -> Runner:
        """The project of a case, and its database as it is at first."""

    def state(self, case: Case, root: Path) -> dict[str, object]:
        """All that is compared of it, by what it is called."""


class Files:
    """SQLite's, in the project's folder."""

    def lacks(self, _case: Case) -> bool:
        """Never."""
        return False

    def runner(self, case: Case, root: Path) -> Runner:
        """The project and its databases."""
        case.lay(root)
        for name, script in ((DATABASE, case.setup), ("other.db", case.other)):
            if script:
                with closing(sqlite3.connect(root / name)) as connection:
                    connection.executescript(script)
        return Runner(root, root.parent / f"{root.name}-state")

    def state(self, _case: Case, root: Path) -> dict[str, object]:
        """Of both."""
        return {
            f"{key} of {name}": value
            for name in (DATABASE, "other.db")
            for key, value in state(root / name).items()
        }


FILES = Files()


def state(database: Path) -> dict[str, object]:
    """All that is compared of a database; nothing where there is none."""
    if not database.exists():
        return {}
    with closing(sqlite3.connect(database)) as connection:
        connection.text_factory = bytes
        told: dict[str, object] = {
            name: connection.execute(f"PRAGMA {name}").fetchall() for name in PRAGMAS
        }
        schema = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master"
        ).fetchall()
        told["the schema"] = sorted(map(repr, schema))
        for kind, name, _, _ in schema:
            if kind == b"table":
                told[f"table {name.decode()}"] = rows(connection, name.decode())
        return told


def rows(connection: sqlite3.Connection, table: str) -> list[str]:
    """Every row, by its rowid where the table has that."""
    quoted = '"' + table.replace('"', '""') + '"'
    for columns in ("rowid, *", "*"):
        try:
            return sorted(map(repr, connection.execute(f"SELECT {columns} FROM {quoted}")))
        except sqlite3.OperationalError as error:
            said = [str(error)]
    return said


def legs(case: Case, folder: Path, place: Place = FILES) -> list[Leg]:
    """Run it one way and then the other in ``folder``, and compare after each leg."""
    plain, ours = (
        _way(case, place, place.runner(case, folder / name), name) for name in ("plain", "ours")
    )
    return [
        Leg(said, through, _difference(said, through, before, after))
        for (said, before), (through, after) in zip(plain, ours, strict=True)
    ]


def _way(
    case: Case, place: Place, runner: Runner, name: str
) -> list[tuple[str, dict[str, object]]]:
    """What each leg said, and the state after it."""
    told = []
    for leg in case.legs:
        command: tuple[str, ...] = ("alembic", *leg.split())
        if name == "ours" and command[1] in {"upgrade", "downgrade"}:
            command = ("undrop", "migrate", "--accept-loss", *command[2:])
        done = runner.run(*command)
        lines = [line for line in done.err.splitlines() if LAST.fullmatch(line)]
        said = "done" if done.code == 0 else (lines or [done.err])[-1].strip()
        told.append((said, place.state(case, runner.root)))
    return told


def _difference(plain: str, ours: str, before: dict[str, object], after: dict[str, object]) -> str:
    if (plain == "done") != (ours == "done"):
        return f"plain: {plain}; through undrop: {ours}"
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if one != other:
            if isinstance(one, list) and isinstance(other, list):
                one, other = ([v for v in a if v not in b] for a, b in ((one, other), (other, one)))
            return f"{key}: {str(one)[:300]} / {str(other)[:300]}"
    return ""


def is_meant(case: Case, told: list[Leg]) -> bool:
    """Whether Alembic alone fails where the case says so, and nowhere else."""
    *others, last = [leg.plain == "done" for leg in told]
    return all(others) and last != case.fails


def table(cases: list[Case], place: Place, folder: Path) -> int:
    """Print it; how many cases are unlike that must not be, or alike."""
    wrong, count = 0, 0
    print("| migration | Alembic alone | through undrop | alike |\n| --- | --- | --- | --- |")
    for number, case in enumerate(cases):
        if place.lacks(case):
            print(f"| {case.what} | | | it needs {case.needs} |")
            continue
        told = legs(case, folder / str(number), place)
        difference = next((leg.difference for leg in told if leg.difference), "")
        count += not difference
        wrong += bool(difference) != bool(case.why) or not is_meant(case, told)
        plain, ours = (
            "done" if text == "done" else "fails" for text in (told[-1].plain, told[-1].ours)
        )
        alike = f"no: {case.why or difference}" if difference else "yes"
        print(f"| {case.what} | {plain} | {ours} | {alike} |", flush=True)
    print(f"\n{count} of {len(cases)} alike")
    return wrong


def main() -> int:
    """Print the table of one engine; 1 where a case is unlike that must not be."""
    with (
        tempfile.TemporaryDirectory(prefix="undrop-") as folder,
        forking(Path(folder)) as Runner.forks,
    ):
        if sys.argv[1:] != ["--postgres"]:
            return int(bool(table(CASES, FILES, Path(folder))))
        sys.path.insert(0, str(Path(__file__).parent / "postgres"))
        import pg_alike
        from pg_alike_cases import CASES as SERVED
        from server import running

        with running() as server:
            return int(bool(table(SERVED, pg_alike.Database(server), Path(folder))))


if __name__ == "__main__":
    sys.exit(main())
