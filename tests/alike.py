"""Migrations of every kind, run by Alembic alone and through undrop: is the database the same?

``python tests/alike.py`` prints the table that docs/guarantees.md shows; ``test_alike.py`` asserts
each line of it. A case is a project of Alembic's own kind: its ``env.py`` knows nothing of undrop,
its database is a copy of the same one. After each leg its schema, the rows of every table and what
else is in the file are compared.
"""

import re
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from alike_cases import CASES, DATABASE, ENV, Case
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


def lay(case: Case, root: Path) -> None:
    """The project of a case, and its database."""
    versions, more = root / "alembic/versions", root / "more"
    versions.mkdir(parents=True)
    more.mkdir()
    for number, revision in enumerate(case.revisions):
        far = "version_locations" in case.ini and number
        (more if far else versions).joinpath(f"{revision.id}_.py").write_text(revision.text())
    (root / "alembic/env.py").write_text(
        case.env.format(before=case.before, options=case.options)
        if case.env is ENV or "{options}" in case.env
        else case.env
    )
    (root / "alembic.ini").write_text(
        f"[alembic]\nscript_location = %(here)s/alembic\nsqlalchemy.url = {case.url}\n{case.ini}\n"
    )
    (root / "pyproject.toml").write_text(
        f'[tool.undrop]\nurl = "{case.url}"\nurl-variable = "APP_URL"\n'
    )
    for name, script in ((DATABASE, case.setup), ("other.db", case.other)):
        if script:
            with closing(sqlite3.connect(root / name)) as connection:
                connection.executescript(script)


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


def legs(case: Case, folder: Path) -> list[Leg]:
    """Run it both ways in ``folder``, and compare after each leg."""
    runners = []
    for name in ("plain", "ours"):
        lay(case, folder / name)
        runners.append(Runner(folder / name, folder / "state"))
    told = []
    for leg in case.legs:
        words = leg.split()
        moves = words[0] in {"upgrade", "downgrade"}
        through = (
            ("undrop", "migrate", "--accept-loss", *words[1:]) if moves else ("alembic", *words)
        )
        said = []
        for runner, command in zip(runners, (("alembic", *words), through), strict=True):
            done = runner.run(*command)
            lines = [line for line in done.err.splitlines() if LAST.fullmatch(line)]
            said.append("done" if done.code == 0 else (lines or [done.err])[-1].strip())
        told.append(Leg(said[0], said[1], _difference(said, runners)))
    return told


def _difference(said: list[str], runners: list[Runner]) -> str:
    failed = [text != "done" for text in said]
    if failed[0] != failed[1]:
        return f"plain: {said[0]}; through undrop: {said[1]}"
    for name in (DATABASE, "other.db"):
        plain, ours = (state(runner.root / name) for runner in runners)
        for key in plain.keys() | ours.keys():
            if plain.get(key) != ours.get(key):
                return f"{key} of {name}: {str(plain.get(key))[:300]} / {str(ours.get(key))[:300]}"
    return ""


def is_meant(case: Case, told: list[Leg]) -> bool:
    """Whether Alembic alone fails where the case says so, and nowhere else."""
    *others, last = [leg.plain == "done" for leg in told]
    return all(others) and last != case.fails


def main() -> int:
    """Print the table; 1 where a case is unlike that must not be."""
    wrong, count = 0, 0
    print("| migration | Alembic alone | through undrop | alike |\n| --- | --- | --- | --- |")
    with (
        tempfile.TemporaryDirectory(prefix="undrop-") as folder,
        forking(Path(folder)) as Runner.forks,
    ):
        for number, case in enumerate(CASES):
            told = legs(case, Path(folder, str(number)))
            difference = next((leg.difference for leg in told if leg.difference), "")
            count += not difference
            wrong += bool(difference) != bool(case.why) or not is_meant(case, told)
            plain, ours = (
                "done" if text == "done" else "fails" for text in (told[-1].plain, told[-1].ours)
            )
            alike = f"no: {case.why or difference}" if difference else "yes"
            print(f"| {case.what} | {plain} | {ours} | {alike} |", flush=True)
    print(f"\n{count} of {len(CASES)} alike")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
