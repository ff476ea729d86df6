"""A project whose database is on a PostgreSQL server; ``shop.Project`` has the same for SQLite."""

import copy
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from server import Server, program
from shop import BIN, Ask, Project

SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences ORDER BY 1"
NUMBERS = itertools.count(1)


class Served(Project):
    """A copy of this repository's project, with a database of its own on a server."""

    kind = "postgresql"
    suffix = ".pgdump"

    def __init__(self, root: Path, server: Server) -> None:
        super().__init__(root)
        self.server = server
        self.name = f"shop_{next(NUMBERS)}_{root.parent.name}"[:54]
        self.scratch = set(server.scratch())
        """What others have left there."""
        self.environment["QUARTERMASTER_DB_URL"] = self.url
        # The very programs: Debian's of that name look for them first, each time.
        tools = Path(program("pg_dump")).parent
        self.environment["PATH"] = f"{BIN}{os.pathsep}{tools}{os.pathsep}{os.environ['PATH']}"
        # Nothing of the user's own may play a part.
        self.environment["PGPASSFILE"] = str(root / "no-pgpass")

    @property
    def stem(self) -> str:
        return self.name

    @property
    def source(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        return f"postgresql:///{quote(self.name)}?host={self.server.folder}"

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def place(self) -> str:
        return self.name

    def another(self, root: Path) -> Self:
        return type(self)(root, self.server)

    def beside(self) -> Self:
        other = copy.copy(self)
        other.name = f"{self.name} two"
        other.environment = {**self.environment, "QUARTERMASTER_DB_URL": other.url}
        return other

    def there(self) -> bool:
        """Whether there is a database of that name, be it empty."""
        found = self.server.sql(f"SELECT 1 FROM pg_database WHERE datname = '{self.name}'")
        return bool(found)

    def exists(self) -> bool:
        """Whether there is a database, and something in it."""
        return self.there() and bool(self.tables())

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

    def tool(self, name: str, *arguments: str) -> str:
        """What one of the server's own programs prints."""
        done = self.run(program(name), "-h", str(self.server.folder), "-U", "postgres", *arguments)
        assert done.code == 0, done.err
        return done.out

    def content(self) -> list[str]:
        """Every definition and every row, and where the sequences are."""
        if not self.exists():
            return []
        schema = self.tool("pg_dump", "--schema-only", self.name)
        lines = [line for line in schema.splitlines() if not line.startswith(("\\", "--"))]
        for table in self.tables():
            rows = self.sql(f"SELECT t::text FROM {table} t")
            lines += sorted(f"{table} {row}" for (row,) in rows)
        for (name,) in self.sql(SEQUENCES):
            lines.append(f"{name} {self.sql(f'SELECT last_value, is_called FROM {name}')}")
        return lines

    def lose(self) -> None:
        """Somebody drops the whole database."""
        self.server.sql(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    def room(self) -> None:
        if not self.there():
            self.server.sql(f'CREATE DATABASE "{self.name}"')

    def make(self, rows: int = 50) -> None:
        """A small database that Alembic knows nothing of."""
        self.script("CREATE TABLE t (id serial PRIMARY KEY, v text)")
        self.add(rows)

    def add(self, rows: int) -> None:
        self.sql(f"INSERT INTO t (v) SELECT repeat('x', 90) FROM generate_series(1, {rows})")

    def stock(self, other: Project) -> None:
        assert isinstance(other, Served)
        self.server.sql(f'CREATE DATABASE "{self.name}" TEMPLATE "{other.name}"')

    def script(self, statements: str) -> None:
        self.room()
        self.sql(statements)

    def holds(self, backup: Path) -> list[str]:
        """The content of a database that the backup was restored into, by PostgreSQL's program."""
        other = copy.copy(self)
        other.name = f"{self.name} read"
        self.server.sql(f'CREATE DATABASE "{other.name}" TEMPLATE template0')
        try:
            self.tool("pg_restore", "-d", other.name, "--exit-on-error", str(backup))
            return other.content()
        finally:
            other.lose()

    def exact(self) -> object:
        """The content, and where its files are: a table written anew has another."""
        if not self.exists():
            return None
        return self.content(), self.sql(
            "SELECT oid, relname, relfilenode FROM pg_class WHERE oid >= 16384 ORDER BY oid"
        )

    def export(self, path: Path) -> Path:
        self.tool("pg_dump", "--format=custom", f"--file={path}", self.name)
        return path

    @contextmanager
    def connected(self) -> Iterator[tuple[Ask, int]]:
        with closing(self.server.connect(self.name)) as connection:

            def ask(statement: str) -> list[tuple[Any, ...]]:
                cursor = connection.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []

            yield ask, connection.info.backend_pid

    @contextmanager
    def locked(self) -> Iterator[int]:
        with self.connected() as (ask, pid):
            ask("BEGIN")
            ask("LOCK TABLE t")
            yield pid

    def client(self, statement: str) -> tuple[str, ...]:
        script = (
            "import psycopg, sys\n"
            "with psycopg.connect(sys.argv[1], autocommit=True) as connection:\n"
            "    connection.execute(sys.argv[2])"
        )
        where = f"host={self.server.folder} user=postgres dbname='{self.name}'"
        return sys.executable, "-c", script, where, statement

    def stir(self) -> tuple[str, ...]:
        return self.client("CREATE TEMPORARY TABLE mine AS SELECT * FROM items")

    def remover(self) -> tuple[str, ...]:
        return "dropdb", "-h", str(self.server.folder), "-U", "postgres", self.name

    def litter(self) -> list[str]:
        return [*super().litter(), *(set(self.server.scratch()) - self.scratch)]
