"""A project with databases in files and one on a server, all of which one env.py migrates."""

from pathlib import Path

import pytest
from pair import SECOND, SETTINGS, Pair
from served import Served
from server import Server


class Three(Pair):
    """``main`` and ``users`` are files, ``far`` is on a server; which is at the first revision."""

    def __init__(self, root: Path, server: Server) -> None:
        served = Served(root.parent / "served", server)
        self.server, self.name = server, served.name
        server.sql(f'CREATE DATABASE "{self.name}"')
        super().__init__(root, f'{SETTINGS}\n[databases.far]\nurl = "{served.url}"\n')
        self.environment["PATH"] = served.environment["PATH"]
        self.environment["PGPASSFILE"] = served.environment["PGPASSFILE"]
        ini = root / "alembic.ini"
        section = f"[far]\nsqlalchemy.url = {served.url.replace('%', '%%')}\n\n[loggers]"
        text = ini.read_text().replace("main, users", "main, users, far")
        ini.write_text(text.replace("[loggers]", section))
        for statement in (
            "CREATE TABLE far (id int PRIMARY KEY)",
            "CREATE TABLE alembic_version (version_num varchar(32))",
            "INSERT INTO alembic_version VALUES ('a1')",
        ):
            server.sql(statement, self.name)
        self.revise("a2", {**SECOND, "far": ["ALTER TABLE far ADD COLUMN b int"]})

    def at(self) -> str:
        """Where the one on the server stands."""
        [(revision,)] = self.server.sql("SELECT version_num FROM alembic_version", self.name)
        return str(revision)


@pytest.fixture
def three(tmp_path: Path, server: Server) -> Three:
    return Three(tmp_path / "shop", server)


def test_what_no_copy_is_lent_of_is_refused_and_alembics_own_command_guards_all(
    three: Three,
) -> None:
    before = three.contents()
    refused = three.run("just", "migrate")
    assert refused.code == 1
    assert "not to the work copy it was given" in refused.err
    assert "just run alembic upgrade head" in refused.err
    assert (three.contents(), three.at()) == (before, "a1")

    done = three.done("alembic", "upgrade", "head")
    assert "ANOTHER DATABASE" not in done.err
    assert (three.revisions(), three.at()) == (["a2", "a2"], "a2")
    three.ok("undrop", "undo", "--db", "far")
    assert (three.revisions(), three.at()) == (["a2", "a2"], "a1")
    three.ok("undrop", "undo")
    three.ok("undrop", "undo", "--db", "users")
    assert three.contents() == before


def test_looking_shows_those_on_servers_too(three: Three) -> None:
    three.ok("undrop", "run", "true")
    assert three.ok("undrop", "status").count("\ncovered    yes") == 3
    names = [line.split()[0] for line in three.ok("undrop", "list").splitlines()[1:]]
    assert names == ["default", "default", "users", "users", "far", "far"]


def test_the_guard_is_tried_and_nothing_is_written_on_the_server(three: Three) -> None:
    before = three.contents()
    told = three.done("undrop", "init", "--check")
    assert "Guarded: alembic" in told.out
    assert "read-only transaction" in told.err  # the migration's write
    assert (three.contents(), three.at()) == (before, "a1")
