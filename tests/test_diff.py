"""``just diff`` where SQLite has values that others have not; ``engines/`` has the rest."""

import json
import sqlite3
from contextlib import closing

from shop import Project


def write(project: Project, *statements: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_number_that_json_has_not_is_a_text(stocked: Project) -> None:
    stocked.ok("just", "backup")
    write(stocked, "INSERT INTO locations (code, description) VALUES (9e999, 9e999)")
    stocked.ok("just", "backup")
    found = stocked.ok("just", "diff", "latest", stocked.saved()[0].name, "--json")
    assert "Infinity" not in found
    assert json.loads(found)["same"] is False
