"""The tour: lose a database in three ways, and some rows in a fourth; every row comes back.

Runs the project's own recipes on a copy of the project in a temporary folder. Exits with 1 when
a row is missing. What stays is one page, of what happened.
"""

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PARTS = ("justfile", "pyproject.toml", "alembic.ini", "alembic", "tools")
ROWS = 2000
ROWS_OF = tuple(
    f'INSERT INTO "{table}" ' for table in ("items", "locations", "stock_movements", "suppliers")
)
CASCADING = '''"""Items get a colour; batch mode rebuilds the table for it."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "0006"


def upgrade() -> None:
    with op.batch_alter_table("items", recreate="always") as batch:
        batch.add_column(sa.Column("colour", sa.Text))


def downgrade() -> None:
    pass
'''
ENFORCED = """
    @sqlalchemy.event.listens_for(engine, "connect")
    def _enforce(connection, _record):
        connection.execute("PRAGMA foreign_keys = ON")

"""


class Tour:
    """A throw-away project and the shell to use it from."""

    def __init__(self, folder: Path) -> None:
        for part in PARTS:
            source = PROJECT / part
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / part, ignore=ignored)
            else:
                shutil.copy(source, folder / part)
        self.folder = folder
        self.database = folder / "quartermaster.db"
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment.pop("QUARTERMASTER_DB_URL", None)
        self.environment["XDG_STATE_HOME"] = str(folder / "state")  # a vault of its own

    def type(self, *command: str, ends: int = 0) -> None:
        """Run a command as a person would type it; show it and what it says."""
        print(f"\n$ {shlex.join(command)}", flush=True)
        done = subprocess.run(  # noqa: S603 - the commands stand below
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for line in done.stdout.splitlines():
            if not line.startswith("INFO"):
                print(f"  {line}".replace(f"{self.folder}/", ""), flush=True)
        if done.returncode != ends:
            sys.exit(f"The tour stops: {shlex.join(command)} ended with {done.returncode}.")
        if ends:
            print(f"  # exit code {ends}", flush=True)

    def content(self) -> list[str]:
        """Every row and every definition in the database, as SQL."""
        connection = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)
        try:
            return list(connection.iterdump())
        finally:
            connection.close()

    def sql(self, statement: str) -> None:
        """Somebody's own hand."""
        print(f"\n$ sqlite3 {self.database.name} {shlex.quote(statement)}", flush=True)
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement)

    def expect_and_new(self, wanted: list[str], count: int) -> None:
        """End the tour unless it holds what is ``wanted`` and that many rows more."""
        before, now = (
            [line for line in lines if line.startswith(ROWS_OF)]  # not how full text is kept
            for lines in (wanted, self.content())
        )
        if not {*before} <= {*now} or len(now) != len(before) + count:
            sys.exit("The tour failed: the rows are not back, or others are gone.")
        print(f"  # every row is back, and the {count} new ones are there", flush=True)

    def expect(self, wanted: list[str]) -> None:
        """End the tour unless the database holds exactly ``wanted``."""
        if self.content() != wanted:
            sys.exit("The tour failed: the database is not what it was.")
        print(f"  # every row is back ({len(wanted)} statements compared)", flush=True)


def say(text: str) -> None:
    """A heading."""
    print(f"\n# {text}", flush=True)


def walk(tour: Tour, page: Path) -> None:
    """The tour itself; ``page`` is where the history of it goes."""
    say("Quartermaster, a shop's inventory: build the schema, fill it, back it up.")
    tour.type("just", "migrate")
    tour.type("just", "sample", str(ROWS))
    tour.type("just", "backup", "stock taken")
    everything = tour.content()

    say("1. A migration that rebuilds a table, with foreign keys on, as many applications run:")
    say("   dropping the old table deletes the rows that point to it.")
    enforce_foreign_keys(tour.folder / "alembic/env.py")
    (tour.folder / "alembic/versions/9999_colour.py").write_text(CASCADING)
    tour.type("just", "migrate", ends=4)
    tour.expect(everything)
    say("   Let it happen, look, and take it back.")
    tour.type("just", "migrate", "head", "--accept-loss")
    tour.type("just", "diff")
    tour.type("just", "undo")
    tour.expect(everything)
    (tour.folder / "alembic/versions/9999_colour.py").unlink()

    say("2. The whole database removed.")
    tour.type("just", "nuke-db")
    tour.type("just", "undo")
    tour.expect(everything)

    say("3. rm, with the -wal of a program that crashed left behind.")
    leave_stale_wal(tour.database)
    tour.type("rm", tour.database.name)
    tour.type("just", "restore", "latest")
    tour.expect(everything)

    say("4. A bad DELETE, noticed a hundred new rows later: the rows come back, the hundred stay.")
    tour.sql("DELETE FROM stock_movements WHERE item_id % 7 = 0")
    tour.sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
        "INSERT INTO items (sku, name) SELECT 'NEW-' || i, 'a new one' FROM n"
    )
    tour.type("just", "recover", ends=4)
    tour.type("just", "recover", "rows", "stock_movements")
    tour.expect_and_new(everything, 100)

    say("All of it is still there.")
    tour.type("just", "list")
    tour.type("just", "verify")
    say("And what happened, as a page: each state, what changed in it, the line that goes back.")
    tour.type("just", "history", "--html", str(page))


def enforce_foreign_keys(env: Path) -> None:
    """Have the throw-away project's engine switch them on in every connection."""
    before, engine, after = env.read_text().partition("    transactional_ddl(engine)\n")
    env.write_text(f"import sqlalchemy.event\n\n{before}{ENFORCED}{engine}{after}")


def leave_stale_wal(database: Path) -> None:
    """Commit into a -wal and die without closing it, as a crashing program does."""
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute('PRAGMA journal_mode = WAL');"
        "c.execute(\"INSERT INTO locations (code) VALUES ('lost in the crash')\");"
        "c.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(database)], check=True)  # noqa: S603
    wal = database.with_name(database.name + "-wal")
    if not wal.stat().st_size:
        sys.exit("The tour failed: there is no -wal to be in the way.")
    print(f"  # {wal.name} holds {wal.stat().st_size} bytes", flush=True)


def main() -> None:
    """Walk through it all and say how it ended."""
    page = Path(tempfile.mkdtemp(prefix="undrop-tour-page-")) / "history.html"
    with tempfile.TemporaryDirectory(prefix="undrop-tour-") as name:
        walk(Tour(Path(name).resolve()), page)
    print("\nThe tour is over: four losses, and not one row missing.", flush=True)
    print(f"A browser shows what happened: {page}", flush=True)


if __name__ == "__main__":
    main()
