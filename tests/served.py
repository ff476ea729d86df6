"""A project whose database is on a PostgreSQL server; ``shop.Project`` has the same for SQLite."""

import itertools
import os
import shutil
from pathlib import Path
from typing import Any

from server import Server, program
from shop import BIN, Project

SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences ORDER BY 1"
NUMBERS = itertools.count(1)


class Served(Project):
    """A copy of this repository's project, with a database of its own on a server."""

    kind = "postgresql"
    suffix = ".pgdump"

    def __init__(self, root: Path, server: Server) -> None:
        super().__init__(root)
        self.server = server
        self.name = f"shop_{next(NUMBERS)}_{root.parent.name}"[:60]
        self.url = server.url(self.name)
        self.environment["QUARTERMASTER_DB_URL"] = self.url
        # The very programs: Debian's of that name look for them first, each time.
        tools = Path(program("pg_dump")).parent
        self.environment["PATH"] = f"{BIN}{os.pathsep}{tools}{os.pathsep}{os.environ['PATH']}"
        # Nothing of the user's own may play a part.
        self.environment["PGPASSFILE"] = str(root / "no-pgpass")

    def exists(self) -> bool:
        """Whether there is a database, and something in it."""
        there = self.server.sql(f"SELECT 1 FROM pg_database WHERE datname = '{self.name}'")
        return bool(there) and bool(self.tables())

    def tables(self) -> list[str]:
        """The user's tables, with their schemas."""
        rows = self.server.sql(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
            self.name,
        )
        return [row[0] for row in rows]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.sql(statement, self.name)

    def content(self) -> list[str]:
        """Every definition and every row, and where the sequences are."""
        if not self.exists():
            return []
        dump = shutil.which("pg_dump")
        assert dump
        schema = self.run(
            dump, "--schema-only", "-h", str(self.server.folder), "-U", "postgres", self.name
        )
        assert schema.code == 0, schema.err
        lines = [line for line in schema.out.splitlines() if not line.startswith(("\\", "--"))]
        for table in self.tables():
            rows = self.sql(f"SELECT t::text FROM {table} t")
            lines += sorted(f"{table} {row}" for (row,) in rows)
        for (name,) in self.sql(SEQUENCES):
            lines.append(f"{name} {self.sql(f'SELECT last_value, is_called FROM {name}')}")
        return lines

    def lose(self) -> None:
        """Somebody drops the whole database."""
        self.server.sql(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    def make(self, rows: int = 50) -> None:
        """A small database that Alembic knows nothing of."""
        self.server.sql(f'CREATE DATABASE "{self.name}"')
        self.sql("CREATE TABLE t (id serial PRIMARY KEY, v text)")
        self.add(rows)

    def add(self, rows: int) -> None:
        self.sql(f"INSERT INTO t (v) SELECT repeat('x', 90) FROM generate_series(1, {rows})")

    def stock(self, other: Project) -> None:
        assert isinstance(other, Served)
        self.server.sql(f'CREATE DATABASE "{self.name}" TEMPLATE "{other.name}"')
