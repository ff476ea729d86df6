"""What the tests of the PostgreSQL engine share: a project, and a database with everything."""

from pathlib import Path

import pytest
from pg_rich import HERE, ROLES, Rich
from server import Server


@pytest.fixture
def pg(tmp_path: Path, server: Server) -> Rich:
    """A project whose URL names a database that is not there yet."""
    return Rich(tmp_path / "served", server)


@pytest.fixture
def roles(server: Server) -> None:
    """Users of the server besides ours."""
    for role in ROLES:
        if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            server.sql(f"CREATE ROLE {role}")


@pytest.fixture
def rich(pg: Rich, roles: None) -> Rich:  # noqa: ARG001
    """One of everything that a database can hold."""
    pg.server.sql(f'CREATE DATABASE "{pg.name}"')
    pg.psql((HERE / "everything.sql").read_text())
    return pg
