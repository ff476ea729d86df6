"""Fixtures: a project in a temporary folder, empty or stocked."""

import compileall
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import memory
import pytest
from forks import forking
from pg_rich import pg, rich, roles
from served import Served
from server import Server, lacking, running
from shop import REPOSITORY, Project, Runner
from tally import FULL, pytest_terminal_summary, strace, tally

# These install others' applications: `just wild` asks for them.
collect_ignore = [] if "UNDROP_WILD" in os.environ else ["wild"]

SLOW = {"torture", "test_pg_kill", "test_litestream", "test_litestream_core"}
"""Folders and modules of tests."""

__all__ = ["pg", "pytest_terminal_summary", "rich", "roles", "strace", "tally"]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have temporary folders in memory, where there is room, and the package compiled once.

    Thousands of commands, told to write no bytecode, would compile it each.
    """
    if hasattr(config, "workerinput"):  # one of xdist's: the first process has done it
        return
    compileall.compile_dir(REPOSITORY / "tools", quiet=1)
    stack = ExitStack()
    config.add_cleanup(stack.close)
    if made := stack.enter_context(memory.held()):
        memory.enter(made)
        config.option.basetemp = config.option.basetemp or str(made / "pytest")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what ``just test`` leaves to ``just test-all``, and leave out repeats.

    The first is what needs a server or a daemon or is torture, unless it bears the mark ``smoke``;
    the others are those of the mark ``full``.
    """
    repeats = [] if FULL else [item for item in items if is_repeat(item)]
    config.hook.pytest_deselected(items=repeats)
    items[:] = [item for item in items if item not in repeats]
    for item in items:
        parameters = parameters_of(item)
        slow = (
            SLOW & {*item.path.parts, item.path.stem}
            or parameters.get("each") == "postgresql"
            or "server" in getattr(item, "fixturenames", ())
        )
        if slow and not item.get_closest_marker("smoke"):
            item.add_marker("more")


def parameters_of(item: pytest.Item) -> dict[str, object]:
    return getattr(getattr(item, "callspec", None), "params", {})


def is_repeat(item: pytest.Item) -> bool:
    values = parameters_of(item).values()
    return any(all(value in values for value in mark.args) for mark in item.iter_markers("full"))


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[None]:
    """What commands are forked from, one for each worker."""
    with (
        tempfile.TemporaryDirectory(prefix="undrop-") as folder,
        forking(Path(folder)) as Runner.forks,
    ):
        yield


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The test's own folder: in memory, unless the test has the mark ``disk``."""
    if not request.node.get_closest_marker("disk"):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="undrop-", dir=memory.disk()) as folder:
        yield Path(folder)


@pytest.fixture(scope="session", autouse=True)
def no_real_vault(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that runs inside the tests' own process writes into this user's vault."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project: no database, no backups."""
    root = tmp_path / "shop"
    root.mkdir()
    made = Project(root)
    monkeypatch.setenv("XDG_STATE_HOME", made.environment["XDG_STATE_HOME"])
    return made


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server, started once for each worker; CI must have one."""
    if reason := lacking():
        assert "UNDROP_CI" not in os.environ, reason
        pytest.skip(reason)
    with running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def each(request: pytest.FixtureRequest, project: Project) -> Project:
    """An empty project on either engine."""
    if request.param == "sqlite":
        return project
    return Served(project.root.parent / "served", request.getfixturevalue("server"))


@pytest.fixture
def each_served(project: Project, server: Server) -> Served:
    """An empty project on PostgreSQL alone."""
    return Served(project.root.parent / "served", server)


@pytest.fixture(scope="session")
def stocked_server(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Quartermaster at head with 300 movements in it, on the server."""
    made = Served(tmp_path_factory.mktemp("stocked") / "served", server)
    made.ok("just", "migrate")
    made.ok("just", "--no-deps", "sample", "300")
    return made


@pytest.fixture
def filled(each: Project, request: pytest.FixtureRequest) -> Project:
    """A project whose database is filled Quartermaster, on either engine."""
    if isinstance(each, Served):
        each.stock(request.getfixturevalue("stocked_server"))
    else:
        shutil.copy(request.getfixturevalue("stocked_database"), each.database)
    return each


@pytest.fixture(scope="session")
def stocked_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quartermaster at head with 300 movements in it, made once for each worker."""
    root = tmp_path_factory.mktemp("stocked")
    made = Project(root)
    made.ok("just", "migrate")
    made.ok("just", "sample", "300")
    return made.database


@pytest.fixture
def stocked(project: Project, stocked_database: Path) -> Project:
    """A project whose database is filled Quartermaster."""
    shutil.copy(stocked_database, project.database)
    return project
