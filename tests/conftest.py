"""Fixtures: a project in a temporary folder, empty or stocked."""

import shutil
from pathlib import Path

import pytest
from shop import Project
from tally import pytest_terminal_summary, tally

__all__ = ["pytest_terminal_summary", "tally"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project: no database, no backups."""
    root = tmp_path / "shop"
    root.mkdir()
    return Project(root)


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
