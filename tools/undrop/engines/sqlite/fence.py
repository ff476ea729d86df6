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
from collections.abc import Callable, Iterator
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
DELETE, INSERT, PRAGMA, UPDATE, ATTACH, ALTER_TABLE = 9, 18, 19, 23, 24, 26
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
    *("application_id", "auto_vacuum", "default_cache_size", "encoding", "incremental_vacuum"),
    *("schema_version", "user_version", "writable_schema"),
}
"""Pragmas that write to the file when they are given a value."""
UNSEEN = "a database that was attached by an expression (SQLite does not tell which)"
OURS = f"{Path(__file__).resolve().parents[2]}{os.sep}"


class RefusedError(PermissionError):
    """Project code would have changed a database that it was not given."""


class Fence:
    """What may not be changed in this process, and what was refused."""

    def __init__(self, live: str, free: "list[str]", root: str) -> None:
        """``live``: the live database's file, or empty; ``free``: files that may be written.

        ``root``: the project's folder, whose lines are named.
        """
        self.live = os.path.realpath(live) if live else ""
        self.root = os.path.realpath(root)
        self.refused: list[str] = []
        self.step = ""
        """The file of the migration that runs now."""
        self.made: set[str] = set()
        """Files that this process has made."""
        self._free = {os.path.realpath(path) for path in free}
        self._databases: dict[str, bytes] = {}
        """Those that were there before, and how their files begin."""
        self._own = threading.local()

    def install(self) -> None:
        """Put it up, for as long as the process lives."""
        import sqlite3

        self._enclose(sqlite3, sqlite3.dbapi2)
        for name, enclose in (("pysqlite3", self._enclose_other), ("apsw", self._enclose_apsw)):
            # Loaded now: who imports it later finds it enclosed.
            with suppress(ImportError):
                if importlib.util.find_spec(name):
                    enclose(importlib.import_module(name))
        sys.addaudithook(self._audit)

    def enter(self, step: str) -> None:
        """Know which migration's file runs from now on; empty for none."""
        self.step = step

    def refuse(self, path: str, doing: str) -> str:
        """Note that something was refused, and where; returns what is said of it."""
        said = f"{self._where()} would change {path} ({doing}), not the database it was given"
        self.refused.append(said)
        return said

    def is_live(self, name: object) -> bool:
        """Whether that names the live database's file, or one beside it, there or not."""
        path = self.path(name)
        return bool(self.live) and self._is_live(path)

    def path(self, name: object, *, uri: bool = True) -> str:
        """The file that SQLite would open, links followed; empty when there is none."""
        text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
        if uri and text.startswith("file:"):
            text, _, query = text.removeprefix("file:").partition("#")[0].partition("?")
            if text.startswith("//"):
                text = f"/{text[2:].partition('/')[2]}"
            text = unquote(text)
            options = parse_qs(query)
            if options.get("mode") == ["memory"] or options.get("vfs") == ["memdb"]:
                return ""
        return "" if text in {"", ":memory:"} else os.path.realpath(text)

    def kept(self, path: str) -> str:
        """The database that may not be changed and to which ``path`` belongs; else empty."""
        base = SIDECARS.sub("", path)
        if not path or {path, base} & (self._free | self.made):
            return ""
        if self._is_live(path):
            self._begins(self.live)
            return self.live
        return base if self._begins(base) else ""

    def is_missing(self, path: str) -> bool:
        """Whether it is the live database, and opening it would make it."""
        return self._is_live(path) and not Path(path).exists()

    def is_wal(self, path: str) -> bool:
        """Whether a database that was there before is in WAL mode."""
        return self._begins(path)[18:19] == bytes([WAL])

    def _is_live(self, path: str) -> bool:
        if not self.live or not path:
            return False
        base = SIDECARS.sub("", path)
        if self.live in {path, base}:
            return True
        try:  # a hard link
            return Path(base).samefile(self.live)
        except OSError:
            return False

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

    def opening(self, name: object, *, uri: bool) -> str:
        """Called before a driver opens a file; which it may not change. Raises RefusedError."""
        path = self.path(name, uri=uri)
        if self.is_missing(path):
            raise RefusedError(self.refuse(path, "opening it would make it"))
        return self.admit(path)

    def admit(self, path: str) -> str:
        """Which database may not be changed though it is opened; what is none yet is free."""
        kept = self.kept(path)
        if path and not kept:
            (self._free if Path(path).exists() else self.made).add(path)
        return kept

    @contextmanager
    def connecting(self, name: object, *, uri: bool) -> "Iterator[str]":
        """The same, and the block opens it."""
        kept = self.opening(name, uri=uri)
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
            uri = bool(named.get("uri", arguments[URI - 1] if len(arguments) >= URI else False))
            with self.connecting(database, uri=uri) as kept:
                connection = connect(database, *arguments, **named)
            guarded.__base__.set_authorizer(connection, Judge(self, kept))
            return connection

        for module in modules:
            module.connect, module.Connection = connected, guarded

    def _enclose_apsw(self, apsw: Any) -> None:  # noqa: ANN401
        was_there = Path(self.live).exists()

        def hook(connection: Any) -> None:  # noqa: ANN401
            path = self.path(connection.filename)
            kept = self.admit(path)
            if kept and not connection.readonly("main"):
                if not was_there and self._is_live(path) and not Path(path).stat().st_size:
                    with self._ours():
                        Path(path).unlink()
                raise RefusedError(self.refuse(kept, "apsw opens it to be written"))
            connection.authorizer = Judge(self, kept)

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
        path = self.path(name, uri=False)
        if self.kept(path) or self.is_missing(path):
            raise RefusedError(self.refuse(self.kept(path) or path, "opened to be written"))
        if flags & os.O_CREAT and path and not Path(path).exists():
            self.made.add(path)

    def _renamed(self, event: str, arguments: tuple[Any, ...]) -> None:
        """``os.remove``, ``os.rename``, ``os.truncate``, ``shutil.rmtree``."""
        count = 2 if event == "os.rename" else 1
        for at, name in enumerate(arguments[:count]):
            folder = arguments[count + at] if len(arguments) > count + at else -1
            path = self._named(name, folder if event != "os.truncate" else -1)
            above = self.live.startswith(f"{path}{os.sep}")
            if kept := self.live if above else self.kept(path):
                raise RefusedError(self.refuse(kept, event))
        if event == "os.rename" and self._named(arguments[0], arguments[2]) in self.made:
            self.made.add(self._named(arguments[1], arguments[3]))

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
        text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
        kept = self.opening(name, uri=True)
        if kept and "mode=ro" not in text:
            raise RefusedError(self.refuse(kept, "opened by another way than connect()"))


FACTORY, URI = 5, 7  # places among the arguments of ``connect`` after the first
AUDITED: dict[str, Callable[[Fence, str, tuple[Any, ...]], None]] = {
    "open": Fence._opened,
    "os.remove": Fence._renamed,
    "os.rename": Fence._renamed,
    "os.truncate": Fence._renamed,
    "shutil.rmtree": Fence._renamed,
    "sqlite3.connect": Fence._connects,
}


class Judge:
    """One connection's authorizer: it may read all, and change what it was given."""

    def __init__(self, fence: Fence, kept: str) -> None:
        self._fence, self._main = fence, kept
        self._attached = ""
        """One of those that are attached and may not be changed."""
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

    def database(self, schema: str | None) -> str:
        """Which may not be changed, of that name in the connection; empty when it may."""
        if schema in {"temp", "vacuum_db"}:  # what VACUUM works in
            return ""
        return self._main if schema == "main" else self._attached

    def _answer(self, action: int, one: str | None, two: str | None, schema: str | None) -> int:
        if action == ATTACH:
            return self._attach(one)
        if action == PRAGMA:
            return self._pragma(str(one).lower(), two, schema)
        where, name = (one, two) if action == ALTER_TABLE else (schema, one)
        kept = self.database(where) if action in CHANGES else ""
        if not kept:
            return OK
        # A CREATE begins there, what it makes comes next; and so does reading a virtual table. Who
        # means it needs the pragma.
        begins = action in {INSERT, UPDATE} and name in {"sqlite_master", "sqlite_schema"}
        # IF NOT EXISTS; or else it is SQLite's own error.
        idle = action in MAKES_TABLE and self._is_there(kept, name)
        # An R*Tree prepares all that it might do to its tables when it is first read.
        virtual, _, _ = (name or "").rpartition("_")
        inner = action in CHANGES_ROWS and self._is_there(kept, virtual, "CREATE VIRTUAL TABLE%")
        denied = not (begins or idle or inner)
        return self._deny(kept, f"{CHANGES[action]} {name}") if denied else OK

    def _deny(self, kept: str, doing: str) -> int:
        self._fence.refuse(kept, doing)
        return DENY

    def _attach(self, name: str | None) -> int:
        if name is None:
            self._attached = self._attached or UNSEEN
            return OK
        path = self._fence.path(name)
        if not path:  # VACUUM attaches an empty name; so does who wants a temporary database
            return self._deny(self._main, "VACUUM") if self._main else OK
        if self._fence.is_missing(path):
            return self._deny(path, "ATTACH would make it")
        self._attached = self._fence.admit(path) or self._attached
        return OK

    def _pragma(self, name: str, value: str | None, schema: str | None) -> int:
        kept = self.database(schema) if schema else self._main or self._attached
        if kept and name == "optimize":
            return IGNORE  # many run it when they close, without a thought
        writes = name in SETTINGS and (value is not None or name == "incremental_vacuum")
        if name == "journal_mode" and value and kept not in {"", UNSEEN}:
            writes = self._fence.is_wal(kept) != (value.lower() == "wal")
        return self._deny(kept, f"PRAGMA {name}") if kept and writes else OK

    def _is_there(self, path: str, table: str | None, sql: str = "%") -> bool:
        import sqlite3

        with (
            self._fence._ours(),
            suppress(sqlite3.Error, ValueError),
        ):  # one that is not seen has no path
            uri = f"{Path(path).as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                found = connection.execute(
                    "SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE AND sql LIKE ?",
                    (table, sql),
                )
                return found.fetchone() is not None
        return False


def _guarded(fence: Fence, base: Any) -> Any:  # noqa: ANN401 - a driver's class
    """A driver's connections, each with a judge."""

    class Connection(base):  # type: ignore[misc]  # known when it runs
        def __init__(self, database: Any, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
            uri = bool(named.get("uri", arguments[URI - 1] if len(arguments) >= URI else False))
            with fence.connecting(database, uri=uri) as kept:
                super().__init__(database, *arguments, **named)
            self._judge = Judge(fence, kept)
            super().set_authorizer(self._judge)

        def set_authorizer(self, authorizer_callback: Any) -> None:  # noqa: ANN401
            self._judge.next = authorizer_callback

        def backup(self, target: Any, **named: Any) -> None:  # noqa: ANN401
            judge = getattr(target, "_judge", None)
            if judge and (kept := judge.database("main")):
                raise RefusedError(fence.refuse(kept, "backup() onto it"))
            super().backup(target, **named)

        def blobopen(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            kept = self._judge.database(named.get("name", "main"))
            if kept and not named.get("readonly", False):
                raise RefusedError(fence.refuse(kept, "blobopen() to be written"))
            return super().blobopen(*arguments, **named)

    Connection.__name__ = Connection.__qualname__ = base.__name__
    Connection.__module__ = base.__module__
    return Connection
