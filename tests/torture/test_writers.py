"""A busy application: steps beside a program that goes on committing, so many times a second.

Every step has to succeed, the program has to be let in before its busy timeout is over, and each
commit that it was told of has to be in the live database or in a backup.

Each check was seen failing with the product broken on purpose: the last try takes no lock (steps);
the replacement does not wait for whoever is just committing (steps, in rollback mode);
``Snapshot.unchanged`` always true (acknowledged commits).
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import crowd
import pytest
from shop import half
from tally import FULL, Tally, sampled

from quartermaster.sample import fill

Point = tuple[str, str, int]  # journal mode, step, commits a second

ROWS = 5000  # of stock movements: 450 kB
ROUNDS = 20 if FULL else 2
EVERY: list[Point] = [
    (mode, step, rate)
    for mode in ("DELETE", "WAL")
    for step in ("restore", "migrate")
    for rate in (2, 10, 50)
]
POINTS = [pytest.param(*point) for point in sampled(EVERY, 4)]
POINTS[-1] = pytest.param(*EVERY[-1], marks=pytest.mark.smoke)


FEW, MANY = 3, 2000
"""Rows: so few come back in live itself, so many with the whole file."""
BACK: list[tuple[str, str, int]] = [
    (mode, step, rows)
    for mode in ("DELETE", "WAL")
    for step in ("undo", "recover")
    for rows in (FEW, MANY)
]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, stocked_database: Path) -> crowd.Template:
    folder = tmp_path_factory.mktemp("busy")
    stocked = Path(shutil.copy(stocked_database, folder / "stocked.db"))
    fill(f"sqlite:///{stocked}", ROWS)
    return crowd.Template(folder / "shop", stocked)


@pytest.mark.parametrize(("mode", "step", "rate"), POINTS)
def test_each_step_succeeds_beside_a_program_that_goes_on_writing(
    template: crowd.Template, tmp_path: Path, tally: Tally, mode: str, step: str, rate: int
) -> None:
    project = template.copy(tmp_path / "shop", mode)
    assert project.database.stat().st_size > 400_000
    commands: list[tuple[str, ...]] = [("restore", template.good.name)]
    if step == "migrate":
        commands = [("migrate", "0006"), ("migrate", "0005", "--accept-loss")]
    acknowledged, said = tmp_path / "acknowledged", tmp_path / "said"
    acknowledged.touch()
    problems = []
    writer = (crowd.STEADY_WRITER, str(project.database), str(rate), str(acknowledged))
    with crowd.running(*writer, stderr=said) as process:
        for number in range(ROUNDS):
            done = project.just(*commands[number % len(commands)])
            if done.code != 0:
                problems.append(f"{mode} {step} {rate}: {done}")
        if process.poll() is not None:
            problems.append(f"{mode} {step} {rate}: the writer was not let in: {said.read_text()}")
    commits = set(acknowledged.read_text().split())
    problems += [f"{mode} {step}: {name} is nowhere" for name in commits - crowd.kept(project)]
    tally(f"writers: {step} beside {rate} commits a second", ROUNDS, problems)
    tally("writers: acknowledged commits", len(commits), crowd.not_whole(project))


@pytest.mark.parametrize(("mode", "step", "rows"), half(BACK))
def test_rows_come_back_beside_a_program_that_goes_on_writing(
    template: crowd.Template, tmp_path: Path, tally: Tally, mode: str, step: str, rows: int
) -> None:
    project = template.copy(tmp_path / "shop", mode)
    acknowledged, said = tmp_path / "acknowledged", tmp_path / "said"
    acknowledged.touch()
    problems = []
    writer = (crowd.STEADY_WRITER, str(project.database), "10", str(acknowledged))
    loss = f"DELETE FROM stock_movements WHERE id <= {rows}"
    [(there,)] = project.sql("SELECT count(*) FROM stock_movements")
    with crowd.running(*writer, stderr=said) as process:
        for _ in range(ROUNDS):
            if step == "undo":
                project.ok("undrop", "run", "--", *project.client(loss))
                command: tuple[str, ...] = ("undo", "--keep")
            else:
                lose(project.database, loss)
                command = ("recover", "rows stock_movements", "--from", template.good.name)
            done = project.just(*command)
            if done.code != 0:
                problems.append(f"{mode} {step} {rows}: {done}")
        if process.poll() is not None:
            problems.append(f"{mode} {step} {rows}: the writer was not let in: {said.read_text()}")
    commits = set(acknowledged.read_text().split())
    if project.sql("SELECT count(*) FROM stock_movements") != [(there,)]:
        problems.append(f"{mode} {step} {rows}: not all rows are back")
    problems += [f"{mode} {step}: {name} is nowhere" for name in commits - crowd.kept(project)]
    if step == "recover":
        live = {name for (name,) in project.sql("SELECT id FROM acked")}
        problems += [f"{mode} {step}: {name} is not in live" for name in commits - live]
    tally(f"writers: {step} of rows beside 10 commits a second", ROUNDS, problems)
    tally("writers: acknowledged commits", len(commits), crowd.not_whole(project))


def lose(database: Path, sql: str) -> None:
    """Somebody else's hand, patient with the writer."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute(sql)
