"""A real PostgreSQL server of the tests' own: on a private socket, as an ordinary user."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import memory
from leash import leashed

if TYPE_CHECKING:
    from psycopg import Connection

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


def program(name: str) -> str:
    """Where one of the server's programs is; empty when it is not installed."""
    root = Path("/")
    versions = [str(path) for place in PLACES for path in sorted(root.glob(place[1:]))]
    chosen = os.environ.get("UNDROP_POSTGRESQL", "")
    places = [chosen, *versions[::-1], os.environ["PATH"]]
    return shutil.which(name, path=os.pathsep.join(filter(None, places))) or ""


def lacking() -> str:
    """Why no server can be started here; empty when one can."""
    wanted = ("initdb", "postgres", "pg_dump", "pg_restore")
    missing = [name for name in wanted if not program(name)]
    if missing:
        return f"PostgreSQL's {', '.join(missing)} are not installed"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed"
    return ""


class Server:
    """A cluster in a folder of its own."""

    def __init__(self, *options: str, on_disk: bool = False) -> None:
        # Not below pytest's folders: they are closed to the user that a server has to run as when
        # we are root, and a socket's path has 107 bytes at most.
        place = memory.disk() if on_disk else None
        self.folder = Path(tempfile.mkdtemp(prefix="undrop-pg-", dir=place))
        self.folder.chmod(0o755)
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:
            somebody = pwd.getpwnam("nobody")
            os.chown(self.folder, somebody.pw_uid, somebody.pw_gid)
            self._user = {"user": somebody.pw_uid, "group": somebody.pw_gid, "extra_groups": []}
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None
        made = ["-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(
            [program("initdb"), "-D", str(self.folder / "data"), *made],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            **self._user,
        )
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "shared_buffers": "32MB",
            "jit": "off",
            "logging_collector": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            started = [program("postgres"), "-D", str(self.folder / "data")]
            self.process = subprocess.Popen(
                leashed(*started, *options, *self._options, signal="QUIT"),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                **self._user,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
            except Exception:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """End it as a loss of power would: every process of it, at once."""
        assert self.process is not None
        subprocess.run(["pkill", "-KILL", "-P", str(self.process.pid)], check=False)
        self.process.kill()
        self.process.wait()
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """End it for good and take its folder away."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str, user: str = "postgres") -> str:
        """SQLAlchemy's URL of a database."""
        return f"postgresql+psycopg://{user}@/{quote(name)}?host={self.folder}"

    def connect(self, name: str = "postgres", user: str = "postgres") -> "Connection[Any]":
        """A connection that commits every statement."""
        import psycopg

        return psycopg.connect(host=str(self.folder), dbname=name, user=user, autocommit=True)

    def sql(self, statement: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        with closing(self.connect(name)) as connection:
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def scratch(self) -> list[str]:
        """Scratch databases that are there: none may be when undrop has ended."""
        rows = self.sql("SELECT datname FROM pg_database WHERE datname LIKE 'undrop%'")
        return [row[0] for row in rows]


@contextmanager
def running(*options: str, on_disk: bool = False) -> Iterator[Server]:
    """A server for the block."""
    server = Server(*options, on_disk=on_disk)
    try:
        yield server
    finally:
        server.stop()
