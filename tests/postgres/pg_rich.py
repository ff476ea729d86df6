"""A project on a server, whose whole database can be told in words."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from served import SEQUENCES, Served
from server import Server, program

HERE = Path(__file__).parent
ROLES = ("undrop_owner", "undrop_reader")


class Rich(Served):
    """A project whose whole database can be told in words."""

    def exactly(self) -> list[str]:
        """Every definition as pg_dump has it, owners, grants, rows, sequences, large objects."""
        command = [program("pg_dump"), "--schema-only", "-h", str(self.server.folder)]
        dumped = subprocess.run(
            [*command, "-U", "postgres", self.name], capture_output=True, check=True
        )
        text = re.sub(r"(?m)^\\(un)?restrict .{20,}\n", "", dumped.stdout.decode())
        said = text.splitlines()
        for table in self.tables():
            rows = self.sql(f"SELECT (t.*)::text FROM ONLY {table} t")
            said += sorted(f"{table} {row}" for (row,) in rows)
        for (name,) in self.sql(SEQUENCES):
            said.append(f"{name} {self.sql(f'SELECT last_value, is_called FROM {name}')}")
        sql = "SELECT oid, lomowner::regrole, lomacl::text, md5(lo_get(oid))"
        said += sorted(map(str, self.sql(f"{sql} FROM pg_largeobject_metadata")))
        return said

    def trust_code(self) -> None:
        """Have the project say that code of whatever role in the database may run."""
        settings = self.root / "pyproject.toml"
        text = settings.read_text().replace("[tool.undrop]", "[tool.undrop]\ntrust-code = true")
        settings.write_text(text)

    def psql(self, text: str) -> None:
        """A script, as a person would run it."""
        command = [program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-h", str(self.server.folder)]
        done = subprocess.run(
            [*command, "-U", "postgres", self.name],
            input=text.encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


def racing(shop: Rich, times: int) -> str:
    """A PATH on which a row comes in whenever a backup is being proved, that many times."""
    folder = shop.root.parent / "racing"
    folder.mkdir()
    insert = "INSERT INTO t (v) VALUES ('meanwhile')"
    (folder / "pg_restore").write_text(
        "#!/bin/sh\n"
        f'case "$*" in *--section=data*) n=$(cat {folder}/n 2>/dev/null || echo 0)\n'
        f"if [ $n -lt {times} ]; then echo $((n + 1)) > {folder}/n\n"
        f'psql -qX -h {shop.server.folder} -U postgres {shop.name} -c "{insert}"; fi;; esac\n'
        f'exec {shutil.which("pg_restore")} "$@"\n'
    )
    (folder / "pg_restore").chmod(0o755)
    head, _, rest = shop.environment["PATH"].partition(":")
    return f"{head}:{folder}:{rest}"


@pytest.fixture
def pg(tmp_path: Path, server: Server) -> Rich:
    """A project whose URL names a database that is not there yet."""
    return Rich(tmp_path / "served", server)


@pytest.fixture
def roles(server: Server) -> None:
    """Users of the server besides ours."""
    for role in ROLES:
        if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            # Their code may run as ours: what is to be proved has it.
            server.sql(f"CREATE ROLE {role} IN ROLE postgres")


@pytest.fixture
def rich(pg: Rich, roles: None) -> Rich:  # noqa: ARG001
    """One of everything that a database can hold."""
    pg.server.sql(f'CREATE DATABASE "{pg.name}"')
    number = "SELECT current_setting('server_version_num')::int / 10000"
    hstore = "SELECT 1 FROM pg_available_extensions WHERE name = 'hstore'"
    if pg.server.sql(number)[0][0] < 15 or not pg.server.sql(hstore):
        assert "UNDROP_CI" not in os.environ or "UNDROP_POSTGRESQL" in os.environ
        pytest.skip("it needs PostgreSQL 15 with its extensions")
    pg.psql((HERE / "everything.sql").read_text())
    return pg
