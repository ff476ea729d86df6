"""Run by CI with the built wheel's environment, far from the source tree: does it work alone?"""

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import undrop

assert "site-packages" in undrop.__file__, undrop.__file__
assert (Path(undrop.__file__).parent / "py.typed").is_file()


def type_(*command: str) -> str:
    print("$", *command)
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    print(done.stdout, end="")
    return done.stdout


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "pyproject.toml").write_text('[tool.undrop]\nurl = "sqlite:///app.db"\n')
    with closing(sqlite3.connect(folder / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE t (v)")
        connection.execute("INSERT INTO t VALUES ('precious')")
    saved = Path(type_("undrop", "backup", "smoke").strip())
    assert saved.is_file()
    type_("undrop", "nuke-db")
    assert not (folder / "app.db").exists()
    type_("undrop", "restore", "latest")
    with closing(sqlite3.connect(folder / "app.db")) as connection:
        assert connection.execute("SELECT v FROM t").fetchall() == [("precious",)]
    type_("undrop", "list")
    type_("just", "--version")
print(f"the wheel works alone on Python {sys.version.split()[0]}")
