"""The fence around project code: it writes to no database but the one it was given.

Migrations, ``env.py`` and what they import are anybody's code, and an application's own engine
goes to the live database. In a process of its own that code may read any database, and write to
the work copy, to ``:memory:``, and to what it makes itself. What else it would write is refused
when the statement is prepared, before a byte is written (sqlite.org/c3ref/set_authorizer.html);
what an authorizer is not asked about is seen by audit events (docs.python.org/3/library/
audit_events.html) or by the connection's class. A driver that nobody knows and a program that is
started pass it: whoever starts this process compares the live database afterwards.

The standard library only: the project's own Python, which may have no undrop, loads it from here.
"""

import importlib.util
import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, unquote

MAGIC = b"SQLite format 3\0"
SIDECARS = re.compile(r"-(wal|shm|journal)$")
WAL = 2  # in the header's bytes 18 and 19 (sqlite.org/fileformat2.html, 1.3)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_CREAT
OK, DENY, IGNORE = 0, 1, 2
# sqlite.org/c3ref/c_alter_table.html
DELETE, INSERT, PRAGMA, UPDATE, ATTACH, DETACH, ALTER_TABLE = 9, 18, 19, 23, 24, 25, 26
CHANGES_ROWS = {DELETE, INSERT, UPDATE}
MAKES_TABLE = {2: "CREATE TABLE", 8: "CREATE VIEW"}
CHANGES = MAKES_TABLE | {
    1: "CREATE INDEX",
    7: "CREATE TRIGGER",
    DELETE: "DELETE",
    10: "DROP INDEX",
    11: "DROP TABLE",
    16: "DROP TRIGGER",
    17: "DROP VIEW",
    INSERT: "INSERT",
    UPDATE: "UPDATE",
    ALTER_TABLE: "ALTER TABLE",
    27: "REINDEX",
    28: "ANALYZE",
    29: "CREATE VIRTUAL TABLE",
    30: "DROP VIRTUAL TABLE",
}
SETTINGS = {
    *("application_id", "auto_vacuum", "default_cache_size", "incremental_vacuum"),
    *("schema_version", "user_version", "writable_schema"),
}
"""Pragmas that write to the file when they are given another value than it has."""
WORDS = {"none": "0", "full": "1", "incremental": "2"}  # of auto_vacuum
VACUUM = re.compile(r"\s*VACUUM\s*(?:[\"'`\[]?(\w+)[\"'`\]]?\s*)?;?\s*$", re.IGNORECASE)
UNSEEN = "a database that was attached by an expression (SQLite does not tell which)"
OURS = f"{Path(__file__).resolve().parents[2]}{os.sep}"


class RefusedError(PermissionError):
    """Project code would have changed a database that it was not given."""


class Fence:
    """What may not be changed in this process, and what was refused."""

    def __init__(
        self, live: str, free: "list[str]", root: str, others: "Collection[str]" = ()
    ) -> None:
        """``live``: the live database's file, or empty; ``free``: files that may be written.

        ``others``: those of the project's other databases. ``root``: the project's folder, whose
        lines are named.
        """
        self.live = os.path.realpath(live) if live else ""
        self._lives = [*filter(None, (self.live, *map(os.path.realpath, others)))]
        self.root = os.path.realpath(root)
        self._refused: list[str] = []
        self._pid, self._pipe = os.getpid(), os.pipe()
        self.step = ""
        """The file of the migration that runs now."""
        self.made: set[str] = set()
        """Files that this process has made."""
        self._opened_by_driver: set[str] = set()
        """Those of them that were to be databases."""
        self._free = {os.path.realpath(path) for path in free}
        self._databases: dict[str, bytes] = {}
        """Those that were there before, and how their files begin."""
        self._own = threading.local()

    def install(self) -> None:
        """Put it up, for as long as the process lives."""
        import sqlite3

        self._enclose(sqlite3, sqlite3.dbapi2)
        for name, enclose in (("pysqlite3", self._enclose_other), ("apsw", self._enclose_apsw)):
            # Loaded now: who imports it later finds it enclosed. One that fails is used by nobody.
            with suppress(Exception):
                if importlib.util.find_spec(name):
                    enclose(importlib.import_module(name))
        sys.addaudithook(self._audit)

    def enter(self, step: str) -> None:
        """Know which migration's file runs from now on; empty for none."""
        self.step = step

    def refuse(self, path: str, doing: str) -> str:
        """Note that something was refused, and where; returns what is said of it."""
        said = f"{self._where()} would change {path} ({doing}), not the database it was given"
        self._refused.append(said)
        if os.getpid() != self._pid:
            os.write(self._pipe[1], f"{said}\n".encode("utf-8", "replace"))
        return said

    def refused(self) -> list[str]:
        """What was refused here, and in processes that were forked from this one."""
        if os.getpid() == self._pid:
            os.set_blocking(self._pipe[0], False)
            with suppress(BlockingIOError):
                told = os.read(self._pipe[0], 1 << 16).decode("utf-8", "replace")
                self._refused += told.splitlines()
        return self._refused

    def has_kept_live(self) -> bool:
        """Whether what was refused first would have changed the live database."""
        first = "".join(self.refused()[:1])
        return any(f" would change {live} (" in first for live in self._lives)

    def is_live(self, name: object) -> bool:
        """Whether that names a live database's file, or one beside it, there or not."""
        return self.live_of(name) != ""

    def live_of(self, name: object) -> str:
        """The live database's file that is named, or has one beside it named; else empty."""
        return next(filter(None, map(self._live_of, self.paths(name))), "")

    def paths(self, name: object) -> list[str]:
        """The file that SQLite would open, links followed; none for one in memory.

        Whether ``file:`` begins a URI depends on how a library was built (sqlite.org/uri.html, 2):
        both files, then.
        """
        text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
        names = {text}
        if text.startswith("file:"):
            text, _, query = text.removeprefix("file:").partition("#")[0].partition("?")
            if text.startswith("//"):
                text = f"/{text[2:].partition('/')[2]}"
            options = parse_qs(query)
            if options.get("mode") == ["memory"] or options.get("vfs") == ["memdb"]:
                return []
            names.add(unquote(text))
        return [os.path.realpath(name) for name in sorted(names - {"", ":memory:"})]

    def kept(self, path: str) -> str:
        """The database that may not be changed and to which ``path`` belongs; else empty."""
        base = SIDECARS.sub("", path)
        if live := self._live_of(path):  # whatever else it is a name of
            self._begins(live)
            return live
        free = not path or {path, base} & (self._free | self.made)
        return base if not free and self._begins(base) else ""

    def is_missing(self, path: str) -> bool:
        """Whether it is a live database, and opening it would make it."""
        return self._live_of(path) != "" and not Path(path).exists()

    def is_wal(self, path: str) -> bool:
        """Whether a database that was there before is in WAL mode."""
        return self._begins(path)[18:19] == bytes([WAL])

    def _live_of(self, path: str) -> str:
        if not self._lives or not path:
            return ""
        base = SIDECARS.sub("", path)
        for live in self._lives:
            if live in {path, base}:
                return live
        for live in self._lives:
            with suppress(OSError):  # a hard link
                if Path(base).samefile(live):
                    return live
        return ""

    def _begins(self, path: str) -> bytes:
        """A database's first bytes, read once; none of what is no database.

        Not while SQLite has it open here: to close another descriptor drops the locks of its
        connections (howtocorrupt.html, 2.2).
        """
        if path not in self._databases:
            start = b""
            with self._ours(), suppress(OSError):
                if stat.S_ISREG(Path(path).stat().st_mode):
                    fd = os.open(path, os.O_RDONLY)
                    try:
                        start = os.read(fd, 20)
                    finally:
                        os.close(fd)
            if not start.startswith(MAGIC):
                return b""
            self._databases[path] = start
        return self._databases[path]

    @contextmanager
    def _ours(self) -> "Iterator[None]":
        """What this thread does in the block is the fence's own doing."""
        before = getattr(self._own, "busy", False)
        self._own.busy = True
        try:
            yield
        finally:
            self._own.busy = before

    def _where(self) -> str:
        """The project's file and line that is at work in this thread, and the migration."""
        frame = sys._getframe(1)
        found = ""
        while frame and not found:
            name = frame.f_code.co_filename
            file = os.path.realpath(name)
            foreign = "site-packages" in file or name[:1] == "<" or file.startswith(OURS)
            if not foreign and file.startswith(f"{self.root}{os.sep}"):
                found = f"{os.path.relpath(file, self.root)}, line {frame.f_lineno},"
            frame = frame.f_back  # type: ignore[assignment]  # None ends it
        step = os.path.relpath(self.step, self.root) if self.step else ""
        if step and not found.startswith(f"{step},"):
            return f"{found} in migration {step}" if found else f"migration {step}"
        return found or "project code"

    # Python's own drivers.

    def opening(self, name: object) -> str:
        """Called before a driver opens a file; which it may not change. Raises RefusedError."""
        paths = self.paths(name)
        for path in filter(self.is_missing, paths):
            raise RefusedError(self.refuse(path, "opening it would make it"))
        return next(filter(None, map(self.admit, paths)), "")

    def admit(self, path: str) -> str:
        """Which database may not be changed though it is opened; what is none yet is free."""
        kept = self.kept(path)
        if path and not kept:
            there = Path(path).exists()
            (self._free if there else self.made).add(path)
            self._opened_by_driver |= set() if there else {path}
        return kept

    def left(self) -> list[str]:
        """Files that were made here and may be databases, or were to be."""
        there = {path for path in self.made if os.path.isfile(path)}  # noqa: PTH113 - never raises
        return sorted(p for p in there if p in self._opened_by_driver or Path(p).stat().st_size)

    @contextmanager
    def connecting(self, name: object) -> "Iterator[str]":
        """The same, and the block opens it."""
        kept = self.opening(name)
        with self._ours():
            yield kept

    def _enclose_other(self, module: ModuleType) -> None:
        self._enclose(module, module.dbapi2)

    def _enclose(self, *modules: Any) -> None:  # noqa: ANN401 - the driver's modules
        guarded = _guarded(self, modules[0].Connection)
        connect = modules[0].connect

        def connected(database: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            if len(arguments) < FACTORY:
                named.setdefault("factory", guarded)
            factory = arguments[FACTORY - 1] if len(arguments) >= FACTORY else named["factory"]
            if isinstance(factory, type) and issubclass(factory, guarded):
                return connect(database, *arguments, **named)
            with self.connecting(database) as kept:
                connection = connect(database, *arguments, **named)
            if isinstance(connection, guarded.__base__):  # else one of those is inside
                guarded.__base__.set_authorizer(connection, Judge(self, kept))
            return connection

        for module in modules:
            module.connect, module.Connection = connected, guarded

    def _enclose_apsw(self, apsw: Any) -> None:  # noqa: ANN401
        were_there = {live for live in self._lives if Path(live).exists()}

        def hook(connection: Any) -> None:  # noqa: ANN401
            path = os.path.realpath(connection.filename) if connection.filename else ""
            kept = self.admit(path)
            if kept and not connection.readonly("main"):
                made = self._live_of(path) not in {"", *were_there}
                if made and not Path(path).stat().st_size:
                    with self._ours():
                        Path(path).unlink()
                raise RefusedError(self.refuse(kept, "apsw opens it to be written"))
            connection.authorizer = Judge(self, kept, attaches=False)

        apsw.connection_hooks.append(hook)

    # What is no statement.

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        judge = AUDITED.get(event)
        if judge is None or getattr(self._own, "busy", False):
            return
        judge(self, event, arguments)

    def _opened(self, _event: str, arguments: tuple[Any, ...]) -> None:
        name, _mode, flags = arguments
        if not flags & WRITING or isinstance(name, int):
            return
        path = os.path.realpath(os.fsdecode(name))
        if self.kept(path) or self.is_missing(path):
            raise RefusedError(self.refuse(self.kept(path) or path, "opened to be written"))
        if flags & os.O_CREAT and not Path(path).exists():
            self.made.add(path)

    def _renamed(self, event: str, arguments: tuple[Any, ...]) -> None:
        """``os.remove``, ``os.rename``, ``os.truncate``, ``shutil.rmtree``."""
        count = 2 if event == "os.rename" else 1
        for at, name in enumerate(arguments[:count]):
            folder = arguments[count + at] if len(arguments) > count + at else -1
            path = self._named(name, folder if event != "os.truncate" else -1)
            inside = (live for live in self._lives if live.startswith(f"{path}{os.sep}"))
            if kept := next(inside, "") or self.kept(path):
                raise RefusedError(self.refuse(kept, event))
        if event == "os.rename" and self._named(arguments[0], arguments[2]) in self.made:
            self.made.add(self._named(arguments[1], arguments[3]))

    def _linked(self, _event: str, arguments: tuple[Any, ...]) -> None:
        """``os.link``, ``os.symlink``: what is missing must not get another's content so."""
        path = self._named(arguments[1], -1)
        if self.is_missing(path):
            raise RefusedError(self.refuse(path, "linked to another file"))

    def _named(self, name: object, folder: int) -> str:
        """The file itself, were it a link; ``folder``: a descriptor, or -1."""
        if isinstance(name, int) or not isinstance(name, str | bytes | os.PathLike):
            return ""
        parent, last = os.path.split(os.fsdecode(name))
        if folder is not None and folder >= 0:
            parent = f"/proc/self/fd/{folder}/{parent}"
        return os.path.normpath(f"{os.path.realpath(parent)}/{last}")

    def _connects(self, _event: str, arguments: tuple[Any, ...]) -> None:
        """A connection that is not made by one of the drivers' functions."""
        name = arguments[0]
        kept = self.opening(name)
        query = os.fsdecode(name).partition("?")[2] if isinstance(name, str | bytes) else ""
        if kept and parse_qs(query).get("mode") != ["ro"]:
            raise RefusedError(self.refuse(kept, "opened by another way than connect()"))


FACTORY = 5  # its place among the arguments of ``connect`` after the first
AUDITED: dict[str, Callable[[Fence, str, tuple[Any, ...]], None]] = {
    "open": Fence._opened,
    "os.remove": Fence._renamed,
    "os.rename": Fence._renamed,
    "os.link": Fence._linked,
    "os.symlink": Fence._linked,
    "os.truncate": Fence._renamed,
    "shutil.rmtree": Fence._renamed,
    "sqlite3.connect": Fence._connects,
}


class Judge:
    """One connection's authorizer: it may read all, and change what it was given."""

    def __init__(self, fence: Fence, kept: str, *, attaches: bool = True) -> None:
        self._fence, self._kept = fence, {"main": kept, "temp": ""}
        self._attaches = attaches
        """Whether it may attach what must not be changed; a driver may write in ways of its own."""
        self._new = ""
        """What was attached since it was known by its name, and may not be changed."""
        self.stale = False
        """Whether anything was attached or detached since."""
        self.statement = ""
        """What runs, where that is one statement."""
        self._writable = False
        """Whether SQL may write to the schema."""
        self.warming = False
        """Whether the fence itself reads each virtual table once."""
        self.next: Callable[..., int] | None = None
        """Their own authorizer."""

    def __call__(
        self, action: int, one: str | None, two: str | None, schema: str | None, trigger: str | None
    ) -> int:
        """What SQLite is to do with a part of a statement that it prepares."""
        answer = self._answer(action, one, two, schema)
        if answer != OK or self.next is None:
            return answer
        return self.next(action, one, two, schema, trigger)

    def learn(self, databases: "list[tuple[str, str]]") -> None:
        """Know which file each name of the connection is now (``PRAGMA database_list``)."""
        self._new, self.stale = "", False
        main = self._kept["main"]
        self._kept = {name.lower(): self._fence.admit(_real(file)) for name, file in databases}
        self._kept |= {"main": main, "temp": ""}

    def database(self, schema: str | None) -> str:
        """Which may not be changed, of that name in the connection; empty when it may."""
        name = (schema or "main").lower()
        if name in self._kept:
            return self._kept[name]
        return "" if name.startswith("vacuum_") and not self._new else self._new

    def _any(self) -> str:
        return next(filter(None, (*self._kept.values(), self._new)), "")

    def _answer(self, action: int, one: str | None, two: str | None, schema: str | None) -> int:
        if action == ATTACH:
            return self._attach(one)
        if action == DETACH:
            self.stale = True
        if action == PRAGMA:
            return self._pragma(str(one).lower(), two, schema)
        where, name = (one, two) if action == ALTER_TABLE else (schema, one)
        kept = self.database(where) if action in CHANGES else ""
        return self._change(kept, action, str(name)) if kept else OK

    def _change(self, kept: str, action: int, name: str) -> int:
        # A CREATE or DROP begins there, what it is about comes next; and so does reading a virtual
        # table. Who means it needs a pragma.
        schema = action in CHANGES_ROWS and name in {"sqlite_master", "sqlite_schema"}
        # IF NOT EXISTS; or else it is SQLite's own error.
        idle = action in MAKES_TABLE and self._is_there(kept, name)
        if self.warming or idle or (schema and not self._writable):
            return OK
        return self._deny(kept, f"{CHANGES[action]} {name}")

    def _deny(self, kept: str, doing: str) -> int:
        self._fence.refuse(kept, doing)
        return DENY

    def _attach(self, name: str | None) -> int:
        if name == "":  # VACUUM does so; and who wants a temporary database
            vacuum = VACUUM.match(self.statement)
            kept = self.database(vacuum[1]) if vacuum else self._any()
            return self._deny(kept, "VACUUM") if kept else OK
        self.stale = True
        paths = self._fence.paths(name) if name is not None else []
        for path in filter(self._fence.is_missing, paths):
            return self._deny(path, "ATTACH would make it")
        kept = UNSEEN if name is None else next(filter(None, map(self._fence.admit, paths)), "")
        if kept and not self._attaches:
            return self._deny(kept, "ATTACH by a driver that may write to it")
        self._new = self._new or kept
        return OK

    def _pragma(self, name: str, value: str | None, schema: str | None) -> int:
        kept = self.database(schema) if schema else self._any()
        if name == "writable_schema" and value is not None:
            self._writable = True
        if kept and name == "optimize":
            return IGNORE  # many run it when they close, without a thought
        writes = name == "incremental_vacuum" or (name in SETTINGS and value is not None)
        if kept and name == "journal_mode" and value:
            writes = kept == UNSEEN or self._fence.is_wal(kept) != (value.lower() == "wal")
        elif kept and writes and value is not None and name != "writable_schema":
            same = self._ask(kept, f"PRAGMA {name}") == WORDS.get(value.lower(), value)
            # SQLite would write it anew.
            return IGNORE if same else self._deny(kept, f"PRAGMA {name}")
        return self._deny(kept, f"PRAGMA {name}") if kept and writes else OK

    def _is_there(self, path: str, table: str) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE"
        return bool(self._ask(path, sql, table))

    def _ask(self, path: str, sql: str, *values: str) -> str:
        """The first value, by a connection of our own; empty where there is none."""
        import sqlite3

        # What is not seen has no path.
        with self._fence._ours(), suppress(sqlite3.Error, ValueError):
            uri = f"{Path(path).as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                row = connection.execute(sql, values).fetchone()
                return str(row[0]) if row else ""
        return ""


def _real(file: str | None) -> str:
    return os.path.realpath(file) if file else ""


def _guarded(fence: Fence, base: Any) -> Any:  # noqa: ANN401 - a driver's class
    """A driver's connections, each with a judge."""
    module = sys.modules[base.__module__]

    class Cursor(module.Cursor):  # type: ignore[name-defined,misc]  # known when it runs
        def execute(self, *arguments: Any) -> Any:  # noqa: ANN401
            _learn(self.connection, *arguments)
            return super().execute(*arguments)

        def executemany(self, *arguments: Any) -> Any:  # noqa: ANN401
            _learn(self.connection, *arguments)
            return super().executemany(*arguments)

        def executescript(self, *arguments: Any) -> Any:  # noqa: ANN401
            _learn(self.connection)
            return super().executescript(*arguments)

    class Connection(base):  # type: ignore[misc]  # likewise
        def __init__(self, database: Any, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
            with fence.connecting(database) as kept:
                super().__init__(database, *arguments, **named)
            self._judge = Judge(fence, kept)
            super().set_authorizer(self._judge)
            if kept:
                self._warm()

        def _warm(self) -> None:
            """Read each virtual table: an R*Tree prepares all that it might do, once."""
            sql = "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
            self._judge.warming = True
            with suppress(module.Error):
                for (name,) in super().cursor().execute(sql).fetchall():
                    quoted = name.replace('"', '""')
                    with suppress(module.Error):
                        super().cursor().execute(f'SELECT 1 FROM "{quoted}" LIMIT 0')  # noqa: S608
            self._judge.warming = False

        def cursor(self, factory: Any = Cursor) -> Any:  # noqa: ANN401
            return super().cursor(factory)

        def execute(self, *arguments: Any) -> Any:  # noqa: ANN401
            _learn(self, *arguments)
            return super().execute(*arguments)

        def executemany(self, *arguments: Any) -> Any:  # noqa: ANN401
            _learn(self, *arguments)
            return super().executemany(*arguments)

        def executescript(self, *arguments: Any) -> Any:  # noqa: ANN401
            _learn(self)
            return super().executescript(*arguments)

        def set_authorizer(self, authorizer_callback: Any) -> None:  # noqa: ANN401
            self._judge.next = authorizer_callback

        def backup(self, target: Any, **named: Any) -> None:  # noqa: ANN401
            judge = getattr(target, "_judge", None)
            if judge and (kept := judge.database("main")):
                raise RefusedError(fence.refuse(kept, "backup() onto it"))
            super().backup(target, **named)

        def blobopen(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            _learn(self)
            kept = self._judge.database(named.get("name", "main"))
            if kept and not named.get("readonly", False):
                raise RefusedError(fence.refuse(kept, "blobopen() to be written"))
            return super().blobopen(*arguments, **named)

    def _learn(connection: Any, *statement: Any) -> None:  # noqa: ANN401
        """What an authorizer cannot ask, which is called meanwhile: which file each name is."""
        judge = connection._judge
        judge.statement = str(statement[0]) if statement else ""
        if judge.stale:
            ask = module.Cursor.execute
            databases = ask(base.cursor(connection, module.Cursor), "PRAGMA database_list")
            judge.learn([(row[1], row[2]) for row in databases.fetchall()])

    Connection.__name__ = Connection.__qualname__ = base.__name__
    Connection.__module__ = base.__module__
    return Connection
