"""Killed at any moment, undrop or the server: the content is the old or the new, never between."""

import itertools
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pg_rich import Rich
from server import Server, running
from tally import FULL, Tally

POINTS = 8 if FULL else 1
COMMANDS = ["backup", "restore", "migrate", "nuke-db", "reset-db", "undo"]
ALL = list(itertools.product(("undrop", "server"), COMMANDS))
SOME = [("undrop", "migrate"), ("undrop", "restore"), ("server", "migrate"), ("server", "reset-db")]
LASTS = 2.5  # seconds, about; most moments of a command are within


@pytest.fixture(scope="module")
def mortal() -> Iterator[Server]:
    """A server that will be killed."""
    with running("--fsync=on") as started:
        yield started


def prepared(shop: Rich, command: str) -> list[str]:
    """A project in which that command has something to do; its arguments."""
    shop.ok("undrop", "migrate", "0005")
    shop.psql("INSERT INTO suppliers (name) SELECT 'S' || g FROM generate_series(1, 2000) g")
    if command in {"restore", "undo"}:
        shop.ok("undrop", "backup")
        shop.psql("DELETE FROM suppliers WHERE id % 2 = 0")
    if command == "undo":  # of a step
        shop.ok("undrop", "restore", "latest")
    return ["restore", "latest"] if command == "restore" else [command]


def told(shop: Rich) -> list[str]:
    """What is there, but for where sequences stand.

    A server that was killed has lost up to 32 numbers of each (SEQ_LOG_VALS, sequence.c).
    """
    return [line for line in shop.exactly() if "_seq [(" not in line] if shop.exists() else []


def settled(shop: Rich) -> list[str]:
    """What is there once the server knows that the client is gone.

    In whatever database: a CREATE DATABASE that is under way goes on without its client.
    """
    deadline = time.monotonic() + 20
    sql = (
        "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND pid <> pg_backend_pid()"
    )
    while time.monotonic() < deadline and shop.server.sql(sql):
        time.sleep(0.05)
    return told(shop)


def aftermath(shop: Rich) -> None:
    """The next run finds its way, and leaves nothing behind."""
    shop.ok("undrop", "backup", "afterwards")
    if FULL:
        shop.ok("undrop", "verify")
    assert shop.server.scratch() == []
    assert shop.litter() == []


def killed(shop: Rich, command: list[str], after: float, victim: Server | None) -> None:
    with subprocess.Popen(
        ["undrop", *command],
        cwd=shop.root,
        env=shop.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(after)
        if victim:
            victim.kill()
            process.wait()
            victim.start()
        else:
            process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("number", range(POINTS))
@pytest.mark.parametrize("victim_and_command", ALL if FULL else SOME, ids="-".join)
def test_killed(
    tmp_path: Path,
    mortal: Server,
    request: pytest.FixtureRequest,
    tally: Tally,
    victim_and_command: tuple[str, str],
    number: int,
) -> None:
    who, command = victim_and_command
    violations = []
    try:
        kill_and_look(tmp_path, mortal, request, victim_and_command, number)
    except AssertionError as wrong:
        violations.append(str(wrong))
    tally(f"PostgreSQL: killed in {command}: {who}", 1, violations)


def kill_and_look(
    tmp_path: Path,
    mortal: Server,
    request: pytest.FixtureRequest,
    victim_and_command: tuple[str, str],
    number: int,
) -> None:
    """Fails where a promise is broken."""
    who, command = victim_and_command
    victim = mortal if who == "server" else None
    server = victim or request.getfixturevalue("server")
    project = Rich(tmp_path / "served", server)
    arguments = prepared(project, command)
    before = told(project)
    seed = f"{who} {command} {number} {os.environ.get('UNDROP_SEED', '')}"
    killed(project, arguments, random.Random(seed).uniform(0.2, LASTS), victim)  # noqa: S311
    found = settled(project)
    if found == before:
        aftermath(project)
        if FULL:  # it is as if it had not begun: it can be done now
            project.ok("undrop", *arguments)
        return
    assert command != "backup"
    aftermath(project)
    if command == "nuke-db":
        assert found == []
        return
    # What it leads to, from the same state, tried without anybody killing it.
    kept = [path.name for path in project.saved() if "before-" in path.name]
    [saved] = [path.name for path in project.saved() if "-manual" in path.name] or [""]
    # What undo starts from is held by that backup already.
    project.ok("undrop", "restore", saved if command == "undo" else kept[-1])
    assert told(project) == before
    project.ok("undrop", *arguments[:1], *([saved] if command == "restore" else []))
    assert sorted(told(project)) == sorted(found)


MAKING = {
    "made": "SELECT 1 FROM pg_stat_activity WHERE query ^@ 'CREATE DATABASE' AND state = 'active'",
    "there": "SELECT 1 FROM pg_database WHERE datname ^@ 'undrop_scratch'",
}


@pytest.mark.parametrize("moment", MAKING)
def test_killed_while_a_scratch_database_is(pg: Rich, tally: Tally, moment: str) -> None:
    """It is made while the dump is written; the server makes it although nobody waits any more."""
    pg.make(2000)
    before = told(pg)
    with (
        closing(pg.server.connect()) as watching,
        subprocess.Popen(["undrop", "backup"], cwd=pg.root, env=pg.environment) as process,
    ):
        while not watching.execute(MAKING[moment]).fetchone():
            assert process.poll() is None, "it had ended"
        process.send_signal(signal.SIGKILL)
    assert settled(pg) == before
    assert pg.saved() == []
    aftermath(pg)
    tally(f"PostgreSQL: killed while a scratch database is {moment}", 1, [])


KEEP = [("undrop", "undo"), ("server", "recover")]


@pytest.mark.parametrize("number", range(POINTS))
@pytest.mark.parametrize(
    "victim_and_command",
    list(itertools.product(("undrop", "server"), ("undo", "recover"))) if FULL else KEEP,
    ids="-".join,
)
def test_killed_while_rows_come_back(
    tmp_path: Path,
    mortal: Server,
    request: pytest.FixtureRequest,
    tally: Tally,
    victim_and_command: tuple[str, str],
    number: int,
) -> None:
    """What came since is there in any case."""
    who, command = victim_and_command
    server = mortal if who == "server" else request.getfixturevalue("server")
    shop = Rich(tmp_path / "served", server)
    shop.ok("undrop", "migrate")
    shop.psql("INSERT INTO suppliers (name) SELECT 'S' || g FROM generate_series(1, 2000) g")
    shop.ok("undrop", "backup")
    shop.psql("INSERT INTO locations (code) VALUES ('new'); DELETE FROM suppliers WHERE id = 1")
    wanted = sorted(told(shop))
    shop.psql("INSERT INTO suppliers (id, name) VALUES (1, 'S1')")
    delete = shop.client("DELETE FROM suppliers WHERE id % 2 = 0")
    shop.ok("undrop", "run", "--", *delete)
    shop.psql("DELETE FROM suppliers WHERE id = 1")
    before = sorted(told(shop))
    arguments = ["undo", "--keep"] if command == "undo" else ["recover", "suppliers", "--where"]
    arguments += ["id <> 1"] if command == "recover" else []
    seed = f"keep {who} {command} {number} {os.environ.get('UNDROP_SEED', '')}"
    after = random.Random(seed).uniform(0.2, LASTS)  # noqa: S311
    killed(shop, arguments, after, mortal if who == "server" else None)
    settled(shop)
    violations = [] if sorted(told(shop)) in (before, wanted) else [f"{seed}: neither old nor new"]
    aftermath(shop)
    if sorted(told(shop)) == before:
        shop.ok("undrop", *arguments)
    violations += [f"{seed}: not done then"] * (sorted(told(shop)) != wanted)
    tally(f"PostgreSQL: killed in {command} that keeps others' work: {who}", 1, violations)
