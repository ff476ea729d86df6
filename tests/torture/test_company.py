"""Locks and company: other programs hold the database, or write to it, while undrop works.

Each check was seen failing with the product broken on purpose: ``holders.describe`` says nothing
(holders); a lock is waited for without a deadline (holders); a rename instead of ``swap``
(holders); ``nuke`` without ``refuse_while_open`` (holders); the copy made without the pinned
transaction, or with ``shutil.copyfile`` (snapshot under a writer); ``Snapshot.unchanged`` always
true
(acknowledged commits); ``turn`` without ``flock`` (all at once); ``turn`` by a lock file that has
to be removed (killed while its turn).
"""

import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import crowd
import pytest
from shop import Project, add, content, make
from tally import FULL, Tally, sampled

Point = tuple[str, str, str]  # how it is held, journal mode, command

MODES = ("DELETE", "WAL")
COMMITS = 500 if FULL else 20  # of others, while one step after another goes on
EVERY: list[Point] = [(h, m, c) for h in crowd.HOLDS for m in MODES for c in crowd.COMMANDS]
ALWAYS = [("an idle connection", mode, "restore") for mode in MODES]
POINTS = sorted({*sampled(EVERY, 11), *ALWAYS})
GROUPS = sorted({(hold, mode) for hold, mode, _ in POINTS})


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, stocked_database: Path) -> crowd.Template:
    return crowd.Template(tmp_path_factory.mktemp("template") / "shop", stocked_database)


def broken_promises(
    template: crowd.Template, folder: Path, point: tuple[str, str, str]
) -> list[str]:
    """What ``command`` did wrong beside a process that has the database open."""
    hold, mode, command = point
    pending = crowd.HOLDS[hold].pending
    before = template.project.database
    wanted = template.becomes(command, folder / f"{command}-alone")
    project = template.copy(folder / command, mode)
    holder = crowd.Holder(project.database, crowd.HOLDS[hold])
    started = time.monotonic()
    done = crowd.impatient(project, *crowd.COMMANDS[command])
    took = time.monotonic() - started
    seen = holder.go_on()
    after = content(project.database) if project.database.exists() else []
    locked_out = hold == "locking_mode = EXCLUSIVE" or (
        hold in crowd.LOCKED_OUT and mode == "DELETE"
    )
    reading = hold == "an unfinished SELECT" and mode == "DELETE"
    refusal_is_fine = command == "nuke-db" or (
        locked_out if command == "backup" else hold in crowd.WRITING or reading
    )
    new = before if done.code else wanted
    problems = {
        "an exit code that is neither 0 nor 1": done.code not in {0, 1},
        "refused without need": done.code == 1 and not refusal_is_fine,
        "nuked under somebody": command == "nuke-db" and done.code == 0,
        "the holder is not named": done.code == 1 and f"pid {holder.process.pid}" not in done.err,
        "it does not say that nothing was changed": done.code == 1
        and "was not changed" not in done.err,
        f"took {took:.1f} s": took > crowd.DEADLINE + crowd.SLACK,
        "the holder sees something else": seen != crowd.with_sql(new, pending),
        "its commit is lost": after != crowd.with_sql(new, pending, crowd.AFTER),
        "a backup is not whole": bool(crowd.not_whole(project)),
        "litter": bool(project.litter()),
    }
    return [f"{point}: {what}: {done}" for what, is_so in problems.items() if is_so]


@pytest.mark.parametrize(("hold", "mode"), GROUPS)
def test_beside_any_holder_a_command_succeeds_or_names_it(
    template: crowd.Template, tmp_path: Path, tally: Tally, hold: str, mode: str
) -> None:
    points = [point for point in POINTS if point[:2] == (hold, mode)]
    with ThreadPoolExecutor(5 if FULL else 1) as pool:  # most of a full run is waiting
        found = list(pool.map(lambda point: broken_promises(template, tmp_path, point), points))
    tally("company: holders x commands", len(points), [what for each in found for what in each])


@pytest.mark.parametrize("mode", MODES)
def test_a_backup_under_a_writer_without_pause_ends_and_is_one_state(
    project: Project, tally: Tally, mode: str
) -> None:
    megabytes = 200 if FULL else 10
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA synchronous = OFF")
        count = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT {})"
        for table in ("a", "filler", "b"):  # the pair at the two ends of the file
            connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, v)")
            value, rows = ("randomblob(9500)", megabytes * 105) if table == "filler" else ("0", 100)
            connection.execute(f"INSERT INTO {table} {count.format(rows)} SELECT i, {value} FROM n")
        connection.commit()
    problems = []
    rounds = 5 if FULL else 2
    total = "SELECT sum(v), 0 FROM a"
    with crowd.running(
        crowd.PAIR_WRITER, str(project.database), stderr=project.root / "said"
    ) as writer:
        for number in range(rounds):
            first = crowd.numbers(project.database, total)
            done = project.run("timeout", "100", "undrop", "backup", f"round {number}")
            last = crowd.numbers(project.database, total)
            if done.code != 0:
                problems.append(f"{mode}: {done}")
                continue
            of_a, of_b, rows = crowd.numbers(
                Path(done.out.strip()),
                "SELECT (SELECT sum(v) FROM a), (SELECT sum(v) FROM b),"
                " (SELECT count(*) FROM filler)",
            )
            if of_a != of_b or rows != megabytes * 105 or not first[0] <= of_a <= last[0]:
                problems.append(f"{mode}: {of_a} and {of_b}, {rows} rows, {first} to {last}")
            if first == last:
                problems.append(f"{mode}: the writer was not writing")
        assert writer.poll() is None, (project.root / "said").read_text()
    tally("company: backup under a writer", rounds, problems + crowd.not_whole(project))


@pytest.mark.parametrize("mode", MODES if FULL else ["WAL"])
def test_no_acknowledged_commit_is_lost_to_restores_and_migrations(
    template: crowd.Template, tmp_path: Path, tally: Tally, mode: str
) -> None:
    project = template.copy(tmp_path / "shop", mode)
    back, latest = ("restore", template.good.name), ("restore", "latest")
    steps = [back, ("migrate", "0006"), latest, ("migrate", "0005", "--accept-loss"), back][
        : 4 if FULL else 5
    ]
    steps *= 10 if FULL else 1
    problems, succeeded = [], 0
    said = {name: tmp_path / name for name in ("one", "two")}
    for file in said.values():
        file.touch()
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                crowd.running(
                    crowd.ACKNOWLEDGING_WRITER,
                    str(project.database),
                    name,
                    str(file),
                    stderr=file.with_suffix(".err"),
                )
            )
            for name, file in said.items()
        ]

        def acknowledged() -> set[str]:
            return {line for file in said.values() for line in file.read_text().splitlines()}

        tried = 0
        # All of them may fall into one pause of the writers: then there is more to come.
        while tried < len(steps) or len(acknowledged()) <= COMMITS:
            step = steps[tried % len(steps)]
            tried += 1
            done = project.undrop(*step)
            succeeded += done.code == 0
            gave_up = done.code == 1 and ("3 tries" in done.err or "locked" in done.err)
            if not gave_up and done.code != 0:
                problems.append(f"{mode} {step}: {done}")
        if any(writer.poll() is not None for writer in writers):
            problems += [file.with_suffix(".err").read_text() for file in said.values()]
    commits = acknowledged()
    problems += [f"{mode}: {name} is nowhere" for name in sorted(commits - crowd.kept(project))]
    assert succeeded >= tried // 5, "the writers left no room for any step"
    tally("company: acknowledged commits", len(commits), problems + crowd.not_whole(project))
    tally("company: steps under writers", tried, [])


def test_backup_restore_and_migrate_at_once_take_turns(
    template: crowd.Template, tmp_path: Path, tally: Tally
) -> None:
    rounds = 15 if FULL else 1
    problems = []
    migrated = template.becomes("migrate", tmp_path / "alone")
    expected = [content(path) for path in (template.good, template.project.database, migrated)]
    expected.append(crowd.with_sql(migrated, "DELETE FROM locations WHERE code = 'since'"))
    for number in range(rounds):
        project = template.copy(tmp_path / f"round {number}", MODES[number % 2])
        commands = [("backup", "mine"), ("restore", template.good.name), ("migrate",)]
        order = commands[number % 3 :] + commands[: number % 3]
        running = [
            subprocess.Popen(
                ["undrop", *command],
                cwd=project.root,
                env=project.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for command in order
        ]
        codes = [process.wait(120) for process in running]
        if codes != [0, 0, 0]:
            problems.append(f"{order} ended with {codes}")
        if content(project.database) not in expected:
            problems.append(f"{order}: the database is nothing that was asked for")
        if any(content(path) not in expected for path in project.saved()):
            problems.append(f"{order}: a backup of something that never was")
        problems += project.litter() + crowd.not_whole(project)
    tally("company: three at once", rounds, problems)


@pytest.mark.parametrize("command", ["backup", "restore", "migrate"])
def test_one_that_was_killed_in_its_turn_does_not_block_the_next(
    project: Project, tally: Tally, command: str
) -> None:
    make(project.database)
    project.ok("undrop", "backup")
    problems = []
    rounds = 5 if FULL else 1
    for _ in range(rounds):
        with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
            add(connection, 1)  # or `latest` would be in place already
            # A restore looks at the database before it takes its turn.
            connection.execute(f"BEGIN {'IMMEDIATE' if command == 'restore' else 'EXCLUSIVE'}")
            with subprocess.Popen(
                ["undrop", *crowd.COMMANDS[command]],
                cwd=project.root,
                env=project.environment,
                stderr=subprocess.DEVNULL,
            ) as process:
                crowd.wait_for_lock(project, process.pid)
                process.send_signal(signal.SIGKILL)
        started = time.monotonic()
        done = project.run("timeout", "30", "undrop", "backup", "next")
        if done.code != 0 or "waiting" in done.err or time.monotonic() - started > 8:
            problems.append(f"{command}: {done}")
    tally("company: killed in its turn", rounds, problems + project.litter())
