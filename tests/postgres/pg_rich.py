"""A project on a server, whose whole database can be told in words."""

import re
import subprocess
from pathlib import Path

from served import SEQUENCES, Served
from server import program

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
            rows = self.sql(f"SELECT (t.*)::text FROM ONLY {table} t".replace("%", "%"))
            said += sorted(f"{table} {row}" for (row,) in rows)
        for (name,) in self.sql(SEQUENCES):
            said.append(f"{name} {self.sql(f'SELECT last_value, is_called FROM {name}')}")
        sql = "SELECT oid, lomowner::regrole, lomacl::text, md5(lo_get(oid)) FROM pg_largeobject_metadata"
        said += sorted(map(str, self.sql(sql)))
        return said

    def psql(self, text: str) -> None:
        """A script, as a person would run it."""
        done = subprocess.run(
            [program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-h", str(self.server.folder)]
            + ["-U", "postgres", self.name],
            input=text.encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
