"""Real projects in temporary folders, driven through the real just, alembic and undrop."""

import copy
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from forks import Done, Forks

REPOSITORY = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

IMPATIENT = """
from functools import partial
from undrop import cli
cli.Session = partial(cli.Session, patience=0.5)
cli.launch()
"""

Ask = Callable[[str], list[tuple[Any, ...]]]
"""Runs a statement and gives its rows."""


class Runner:
    """Commands in a folder, with an environment of its own that finds undrop."""

    forks: ClassVar[Forks | None] = None
    """What forks our programs for whoever is not about processes; none: all are started."""

    def __init__(self, root: Path, state: Path) -> None:
        self.root = root
        self.environment = {
            key: value
            for key, value in os.environ.items()
            if key not in {"QUARTERMASTER_DB_URL", "NO_COLOR"}
            # `just test` hands on what its own recipes are told.
            and not key.startswith("UNDROP_")
        }
        self.environment["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        self.environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self.environment["XDG_STATE_HOME"] = str(state)

    def run(self, *command: str, cwd: Path | None = None, **variables: str) -> Done:
        return self._run(command, cwd, b"", variables)

    def told(self, said: bytes, *command: str, **variables: str) -> Done:
        """Run a command that reads ``said`` from its stdin."""
        return self._run(command, None, said, variables)

    def _run(
        self, command: tuple[str, ...], cwd: Path | None, said: bytes, variables: dict[str, str]
    ) -> Done:
        where, environment = cwd or self.root, {**self.environment, **variables}
        # Who sets these is about what is found, and gets it.
        if self.forks and not variables.keys() & {"PATH", "PYTHONPATH"}:
            environment = self.forks.environment(environment)
            if is_ours(*command):
                return self.forks.run(command, where, environment, said)
        done = subprocess.run(
            command, cwd=where, env=environment, capture_output=True, input=said, check=False
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def just(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Done:
        return self._run(("just", *arguments), cwd, b"", variables)

    def undrop(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Done:
        return self._run(("undrop", *arguments), cwd, b"", variables)

    def alembic(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Done:
        return self._run(("alembic", *arguments), cwd, b"", variables)

    def impatient(self, *arguments: str) -> Done:
        """Run ``undrop …`` that waits for a lock of others for half a second only."""
        return self.run(sys.executable, "-c", IMPATIENT, *arguments)

    def done(self, *command: str, cwd: Path | None = None, **variables: str) -> Done:
        """Run a command that must succeed."""
        done = self._run(command, cwd, b"", variables)
        assert done.code == 0, done
        return done

    def ok(self, *command: str, cwd: Path | None = None, **variables: str) -> str:
        """Run a command that must succeed; what it printed on stdout."""
        return self.done(*command, cwd=cwd, **variables).out


def is_ours(*command: str) -> bool:
    """Whether a command can be forked: it is ours, or a script for Python."""
    match command:
        case ("undrop" | "alembic", *_):
            return True
        case (sys.executable, "-c", *_):
            return True
        case (sys.executable, "-P", "-m", "undrop" | "alembic", *_):
            return True
    return False


class Project(Runner):
    """A copy of this repository's project, with a database of its own."""

    kind = "sqlite"
    suffix = ".db"

    def __init__(self, root: Path) -> None:
        super().__init__(root, root.parent / f"{root.name}-state")
        self.database = root / "quartermaster.db"
        self.backups = root / "backups"
        self.lay_out()

    def lay_out(self) -> None:
        """Put the project's files where they belong."""
        root = self.root
        root.mkdir(exist_ok=True)
        for name in ("justfile", "pyproject.toml", "alembic.ini"):
            shutil.copy(REPOSITORY / name, root / name)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / "alembic", root / "alembic", ignore=ignored)
        (root / "tools").symlink_to(REPOSITORY / "tools")

    def refused(self, code: int, *command: str, **variables: str) -> Done:
        """Run a command that ends with ``code``, and has changed nothing and left nothing."""
        live = self.exact()
        done = self._run(command, None, b"", variables)
        assert done.code == code, done
        assert "was not changed" in done.err
        assert self.exact() == live
        assert self.litter() == []
        return done

    def revise(self, *statements: str, head: str = "") -> None:
        """A migration after the newest: Python statements of its ``upgrade``, and of its module."""
        body = "".join(f"    {statement}\n" for statement in statements)
        (self.root / "alembic/versions/9001_test.py").write_text(
            "import os, pathlib, time\nimport sqlalchemy as sa\nfrom alembic import op\n"
            f"revision = '9001'\ndown_revision = '0006'\n{head}\n"
            f"def upgrade():\n{body}def downgrade():\n    pass\n"
        )

    def saved(self) -> list[Path]:
        """The backups, oldest first."""
        files = [*self.backups.glob(f"*{self.suffix}"), *self.backups.glob(f"*{self.suffix}.zst")]
        ages = {path.with_suffix("") if path.suffix == ".zst" else path: path for path in files}
        return sorted(ages, key=lambda path: ages[path].stat().st_mtime_ns)

    def exists(self) -> bool:
        """Whether there is a database."""
        return self.database.exists()

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on the live database, as another program would; its rows."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            return connection.execute(statement).fetchall()

    def content(self) -> list[str]:
        """Every definition and every row; nothing where there is no database."""
        return content(self.database) if self.exists() else []

    def lose(self) -> None:
        """Somebody removes the whole database."""
        self.database.unlink(missing_ok=True)

    def room(self) -> None:
        """See to it that Alembic, which makes no database on a server, can go to work."""

    def make(self, rows: int = 50) -> None:
        """A small database that Alembic knows nothing of."""
        make(self.database, rows)

    def add(self, rows: int) -> None:
        """Commit more rows into it."""
        with closing(sqlite3.connect(self.database)) as connection:
            add(connection, rows)

    def stock(self, other: "Project") -> None:
        """Have the content of another project's database."""
        shutil.copy(other.database, self.database)

    @property
    def stem(self) -> str:
        """What its backups' names begin with."""
        return self.database.stem

    @property
    def source(self) -> str:
        """What their records say that they are of."""
        return self.database.name

    @property
    def label(self) -> str:
        """How messages name the database."""
        return str(self.database)

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the database."""
        return f"sqlite:///{self.database}"

    def place(self) -> str:
        """What of its URL tells it from other databases."""
        return str(self.database)

    def another(self, root: Path) -> Self:
        """Another project of the same kind."""
        return type(self)(root)

    def beside(self) -> Self:
        """This project as somebody has it whose variable names another database."""
        other = copy.copy(self)
        other.database = self.root.parent / "somewhere else" / self.database.name
        other.database.parent.mkdir()
        other.environment = {**self.environment, "QUARTERMASTER_DB_URL": other.url}
        return other

    def script(self, statements: str) -> None:
        """Run a whole script on it, on a new one if there is none."""
        with closing(sqlite3.connect(self.database)) as connection:
            connection.executescript(statements)

    def holds(self, backup: Path) -> list[str]:
        """Every definition and every row in a backup, as ``content`` has it."""
        return content(backup)

    def exact(self) -> object:
        """What no step may touch that says that it changed nothing; ``content`` and more."""
        return self.database.read_bytes() if self.exists() else None

    def export(self, path: Path) -> Path:
        """A file that the database's own tools make of it, without undrop."""
        with closing(sqlite3.connect(self.database)) as one, closing(sqlite3.connect(path)) as two:
            one.backup(two)
        return path

    @contextmanager
    def connected(self) -> Iterator[tuple[Ask, int]]:
        """Another program that has it open: how to ask it, and its process, as undrop names it."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            yield lambda sql: connection.execute(sql).fetchall(), os.getpid()

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Somebody who lets nobody read the table ``t``, for the block."""
        with self.connected() as (ask, pid):
            ask("BEGIN EXCLUSIVE")
            yield pid

    def client(self, statement: str) -> tuple[str, ...]:
        """The command line of another program that runs a statement on the live database."""
        script = (
            "import sqlite3, sys\n"
            "connection = sqlite3.connect(sys.argv[1])\n"
            "connection.executescript(sys.argv[2])\nconnection.commit()"
        )
        return sys.executable, "-c", script, str(self.database), statement

    def stir(self) -> tuple[str, ...]:
        """The command line of what is written and changes nothing of the content."""
        return "touch", str(self.database)

    def remover(self) -> tuple[str, ...]:
        """The command line that takes the whole database away."""
        return "rm", str(self.database)

    def tree(self) -> dict[str, tuple[object, ...]]:
        """All that ``ls -lR`` shows of the project and the vault, and every byte.

        But for SQLite's own -shm and -wal.
        """
        seen: dict[str, tuple[object, ...]] = {}
        for root in (self.root, Path(self.environment["XDG_STATE_HOME"])):
            for path in root.rglob("*"):
                if not path.name.endswith(("-shm", "-wal")):
                    found, plain = path.lstat(), path.is_file() and not path.is_symlink()
                    facts = (found.st_mode, found.st_nlink, found.st_size, found.st_mtime_ns)
                    seen[str(path)] = (*facts, path.read_bytes() if plain else b"")
        return seen

    def litter(self) -> list[str]:
        """What no finished command leaves behind."""
        hidden = [*self.backups.glob(".*"), *self.root.glob(".*")]
        return [path.name for path in hidden if path.name not in {".lock", ".venv"}]


def drain(master: int) -> str:
    """All that is shown on a pseudo-terminal until its other side closes; closes it."""
    shown = b""
    ends = 0
    with os.fdopen(master, "rb", buffering=0) as terminal:
        # Linux says EIO when the other side is closed, and looks at that after it looked for
        # text: what came in between is there at the next read.
        while ends < 2:
            try:
                piece = terminal.read(65536)
            except OSError:
                piece = b""
            ends = 0 if piece else ends + 1
            shown += piece
    return shown.decode()


def shown(project: Project, *command: str) -> str:
    """What ``undrop run`` shows on the terminal that stderr is."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        ["undrop", "run", "--", *command],
        cwd=project.root,
        env={**project.environment, "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=slave,
    ):
        os.close(slave)
        text = drain(master)
    return text.replace("\r\n", "\n")


def is_a_fault(told: str) -> bool:
    """Whether a command says what it says where nobody has thought of the reason."""
    return "Traceback" in told or "a fault of undrop's own" in told


def python(script: str, *arguments: str) -> tuple[str, ...]:
    """The command line of a script."""
    return (sys.executable, "-c", script, *arguments)


def some(values: Iterable[Any]) -> list[Any]:
    """All of them as parameters, of which ``just test`` tries every third."""
    more = pytest.mark.more
    return [pytest.param(value, marks=more if n % 3 else ()) for n, value in enumerate(values)]


def half(values: Iterable[Any]) -> list[Any]:
    """All of them as parameters, every second of which only torture tries (the mark ``full``)."""
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=full)
        for n, value in enumerate(values)
        for full in [pytest.mark.full if n % 2 else ()]
    ]


def content(database: Path) -> list[str]:
    """Every definition and every row, as SQL."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def make(database: Path, rows: int = 50, *, wal: bool = False, page_size: int = 4096) -> None:
    """A small database that Alembic knows nothing of."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        add(connection, rows)


def add(connection: sqlite3.Connection, rows: int) -> None:
    """Commit more rows."""
    with connection:
        connection.executemany("INSERT INTO t (v) VALUES (?)", (("x" * 90,) for _ in range(rows)))


def wal_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


@contextmanager
def uncheckpointed(database: Path, rows: int = 50) -> Iterator[sqlite3.Connection]:
    """A connection whose commits are in the -wal and not in the file, open for the block."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        add(connection, rows)
        assert wal_of(database).stat().st_size > 0
        yield connection


def crash(database: Path, script: str) -> None:
    """Run ``script`` with ``c``, a connection, in a process that dies without closing it."""
    code = f"import os, sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n{script}\nos._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(database)], check=True)


def leave_wal(database: Path) -> None:
    """A -wal with one commit that is in no file, as a killed program leaves it."""
    crash(
        database,
        "c.execute('PRAGMA journal_mode = WAL')\n"
        "c.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "c.execute(\"INSERT INTO t (v) VALUES ('in the wal')\")\nc.commit()",
    )
    assert wal_of(database).stat().st_size > 0


def leave_hot_journal(database: Path) -> None:
    """Pages overwritten in the file and their originals in a hot -journal."""
    crash(
        database,
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('PRAGMA cache_spill = 1')\n"
        "c.execute(\"UPDATE t SET v = 'half done' || v\")",
    )
    journal = database.with_name(database.name + "-journal")
    assert journal.stat().st_size > 512
