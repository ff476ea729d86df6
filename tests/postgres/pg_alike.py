"""The database on a PostgreSQL server that ``alike.py`` compares after each leg."""

import os
import re
import subprocess
from pathlib import Path

from alike_cases import Case
from pg_alike_cases import ROLES, SHOP
from served import SEQUENCES
from server import Server, program
from shop import BIN, Runner

NAME = "app"
FILLED = "alike_filled"
RELATIONS = (
    "SELECT c.oid::int8, c.oid::regclass::text FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relkind IN ('r', 'm') "
    "AND relispopulated AND relpersistence <> 't' "
    "AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 2"
)
COLUMNS = (
    "SELECT attname::text, quote_ident(attname) FROM pg_attribute "
    "WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
BESIDE = {
    "large objects": "SELECT oid::int8, lomowner::regrole::text, lomacl::text, md5(lo_get(oid)) "
    "FROM pg_largeobject_metadata",
    "invalid indexes": "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid",
    "persistence": "SELECT oid::regclass::text, relpersistence::text FROM pg_class "
    "WHERE relkind IN ('r', 'p') AND oid >= 16384",
}
"""What no ``pg_dump --schema-only`` has."""


class Database:
    """One database of one name for either way, one way after the other: roles are the server's."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._clear()
        server.sql(f"DROP DATABASE IF EXISTS {FILLED}")
        for role in ROLES:
            server.sql(f"DROP ROLE IF EXISTS {role}")
            server.sql(f"CREATE ROLE {role}")
        server.sql(f"CREATE DATABASE {FILLED}")
        server.sql(SHOP, FILLED)

    def lacks(self, case: Case) -> bool:
        """Whether the server cannot run it."""
        found = f"SELECT 1 FROM pg_available_extensions WHERE name = '{case.needs}'"
        return bool(case.needs and not self._server.sql(found))

    def runner(self, case: Case, root: Path) -> Runner:
        """The project of a case, and its database as it is at first."""
        self._clear()
        self._server.sql(f"CREATE DATABASE {NAME} TEMPLATE {FILLED}")
        if case.setup:
            self._server.sql(case.setup, NAME)
        case._replace(url=self._server.url(NAME)).lay(root)
        runner = Runner(root, root.parent / f"{root.name}-state")
        tools = Path(program("pg_dump")).parent
        runner.environment["PATH"] = f"{BIN}{os.pathsep}{tools}{os.pathsep}{os.environ['PATH']}"
        runner.environment["PGPASSFILE"] = str(root / "no-pgpass")
        return runner

    def state(self, case: Case, _root: Path) -> dict[str, object]:
        """All that is compared: definitions, rows, and what is the whole server's."""
        server = self._tool("pg_dumpall", "--globals-only", "--no-role-passwords")
        told: dict[str, object] = {
            "definitions": self._tool("pg_dump", "--schema-only", "--create", NAME),
            "the server": server,
            "databases": self._server.sql("SELECT datname::text FROM pg_database ORDER BY 1"),
        }
        for name, sql in BESIDE.items():
            told[name] = sorted(map(str, self._server.sql(sql, NAME)))
        for oid, table in self._server.sql(RELATIONS, NAME):
            columns = self._server.sql(COLUMNS.format(oid), NAME)
            wanted = ", ".join(
                f"({quoted}) IS NULL" if f"{table}.{name}" in case.anew else quoted
                for name, quoted in columns
            )
            rows = self._server.sql(f"SELECT ROW({wanted})::text FROM ONLY {table}", NAME)
            told[f"rows of {table}"] = sorted(row for (row,) in rows)
        for (name,) in self._server.sql(SEQUENCES, NAME):
            sql = f"SELECT last_value, is_called FROM {name}"
            told[f"sequence {name}"] = self._server.sql(sql, NAME)
        return told

    def _tool(self, name: str, *arguments: str) -> list[str]:
        command = [program(name), "-h", str(self._server.folder), "-U", "postgres", *arguments]
        done = subprocess.run(command, capture_output=True, check=True)
        # A random word against injected commands, anew each time.
        return re.sub(r"(?m)^\\(un)?restrict .{20,}\n", "", done.stdout.decode()).splitlines()

    def _clear(self) -> None:
        """Neither the database nor anything on the server that a case has made."""
        for name in (NAME, "alike_beside"):
            self._server.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        for (role,) in self._server.sql("SELECT rolname FROM pg_roles WHERE rolname ^@ 'alike_'"):
            if role not in ROLES:
                self._server.sql(f"DROP ROLE {role}")
