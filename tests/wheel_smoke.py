"""Run by CI with the built wheel's environment, far from the source tree: does it work alone?

``python wheel_smoke.py uvx --from WHEEL`` lets uvx run the adoption.
"""

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
    type_("undrop", "history", "--html", "page.html")
    assert (folder / "page.html").read_text().startswith("<!doctype html>")
    type_("just", "--version")

with tempfile.TemporaryDirectory() as name:  # somebody's project, adopted in one command
    folder = Path(name)
    with closing(sqlite3.connect(folder / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE t (v)")
        connection.execute("INSERT INTO t VALUES ('precious')")
    type_("alembic", "init", "migrations")
    ini = folder / "alembic.ini"
    ini.write_text(
        ini.read_text().replace("driver://user:pass@localhost/dbname", "sqlite:///app.db")
    )
    env = (folder / "migrations/env.py").read_text()
    type_(*sys.argv[1:], "undrop", "init")
    assert "backup_before(context)" in (folder / "migrations/env.py").read_text()
    type_("alembic", "stamp", "head")
    assert list((folder / "backups").glob("*-alembic.db"))
    type_("just", "nuke-db", "--help")
    assert (folder / "app.db").exists()
    type_("just", "nuke-db")
    type_("just", "undo")
    with closing(sqlite3.connect(folder / "app.db")) as connection:
        assert connection.execute("SELECT v FROM t").fetchall() == [("precious",)]
    type_("undrop", "init", "--remove")
    assert (folder / "migrations/env.py").read_text() == env
    assert not (folder / "undrop.just").exists()
print(f"the wheel works alone on Python {sys.version.split()[0]}")
