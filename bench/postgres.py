"""``just bench --postgres``: a database on a private server, undrop next to the server's own tools.

What others do by hand is here as one would type it. The server keeps the settings it comes with
(fsync is on) but for autovacuum, which would strike whoever is measured just then.
"""

import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from clients import Watch
from measure import Place, disk_bytes, in_turn
from scenarios import CHEAP, Line
from server import Server, program, running

NAME = "shop"
OPTIONS = ("--fsync=on", "--shared_buffers=128MB", "--autovacuum=off", "--jit=on")
BARE, PER_MEGABYTE = 8, 2060  # megabytes with nothing in it; orders
CONTENDERS = {
    "pg_dump -Fc": "pg_dump -Fc -f copy shop",
    "pg_dump -Fd -j4": "pg_dump -Fd -j4 -f copy shop",
    "pg_dump -Fc, then pg_restore": "pg_dump -Fc -f copy shop && createdb tried"
    " && pg_restore -e -d tried copy && dropdb tried",
    "pg_dump -Fc | pg_restore": "createdb tried && pg_dump -Fc shop | pg_restore -e -d tried"
    " && dropdb tried",
}
NO_PROOF = ("pg_dump -Fc", "pg_dump -Fd -j4")
PENDING = "undrop backup, its proof pending"
OURS, APART = "undrop restore", "undrop restore, its safety backup apart"
BY_NAME = "pg_restore -j4, rename"


class Shop(NamedTuple):
    """A project with its database, the same without undrop in ``env.py``, and their server."""

    place: Place
    plain: Place
    server: Server
    size: str

    def line(self, what: str, value: float, unit: str = "s") -> Line:
        return Line(f"{self.size}: {what}", value, unit)

    def against(self, what: str, found: dict[str, float]) -> list[Line]:
        """All that was found, and ``what`` once more for each that it is compared with."""
        ours = found.pop(what)
        theirs = [self.line(name, seconds) for name, seconds in found.items()]
        return theirs + [
            self.line(what, ours)._replace(ratio=ours / seconds, of=name)
            for name, seconds in found.items()
        ]

    @property
    def turns(self) -> int:
        """How often everything is done: one turn of a gigabyte takes ten minutes."""
        return 3 if int(self.size.split()[0]) < 500 else 1

    def watch(self) -> Watch:
        return Watch(self.server, NAME, "orders")

    def waits(self, watch: Watch) -> list[Line]:
        return [self.line(what, seconds) for what, seconds in watch.waits().items()]

    def sql(self, statement: str) -> None:
        self.server.sql(statement, NAME)

    def locked(self, *command: str) -> float:
        """For how long an ``undrop`` command says that it locked others out."""
        return float(json.loads(self.place.run("undrop", *command, "--json"))["seconds_locked"])

    def clean(self) -> None:
        """Away with what the last one left, on the server's disk too."""
        for name in ("copy", "backups"):
            path = self.place.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.rmtree(self.place.environment["XDG_STATE_HOME"], ignore_errors=True)
        self.server.sql("CHECKPOINT")


def run(
    copied: Callable[[str], Place], sizes: list[int], show: Callable[[Line], None]
) -> list[Line]:
    """Everything, for databases of about so many megabytes, each on a server of its own.

    ``show`` is told each line as soon as it is known: it takes half an hour.
    """
    lines = []
    for megabytes in sizes:
        size = f"{megabytes} MB"
        with running(*OPTIONS, on_disk=True) as server:
            place, plain = (_on(server, copied(name)) for name in (size, f"{size} plain"))
            shop = Shop(place, plain, server, size)
            for each in (make, backups, unchanged, restores, migrations):
                print(f"{size}: {each.__name__}", file=sys.stderr)
                found = each(shop)
                for line in found:
                    show(line)
                lines += found
    return lines


def _on(server: Server, place: Place) -> Place:
    """The same project, on the server; its tools come from where the server does."""
    environment = {
        name: text for name, text in place.environment.items() if not name.startswith("PG")
    }
    first, rest = environment["PATH"].split(os.pathsep, 1)
    tools = str(Path(program("pg_dump")).parent)
    environment["PATH"] = os.pathsep.join([first, tools, rest])
    environment["QUARTERMASTER_DB_URL"] = server.url(NAME)
    environment.update(PGHOST=str(server.folder), PGUSER="postgres")
    return place._replace(environment=environment)


def make(shop: Shop) -> list[Line]:
    """Quartermaster's tables, for Alembic to be at home, and the big ones beside them."""
    env = shop.plain.folder / "alembic/env.py"
    env.write_text(env.read_text().replace("backup_before(context)\n", ""))
    shop.plain.run("createdb", NAME)
    shop.plain.run("alembic", "upgrade", "head")
    orders = max(1, int(shop.size.split()[0]) - BARE) * PER_MEGABYTE
    script = str(Path(__file__).with_suffix(".sql"))
    variables = ("-v", "ON_ERROR_STOP=1", "-v", f"orders={orders}")
    shop.plain.run("psql", "-X", "-q", *variables, "-d", NAME, "-f", script)
    shop.sql("VACUUM ANALYZE")
    [(count,)] = shop.server.sql("SELECT pg_database_size(current_database())", NAME)
    return [shop.line("the database", count / 1e6, "MB")]


def backups(shop: Shop) -> list[Line]:
    """A backup that is proved in a scratch database, against dumps that are not, or by hand."""

    def run(*command: str) -> Callable[[], float]:
        return lambda: shop.place.seconds(*command)

    runs = {"undrop backup": run("undrop", "backup")}
    runs[PENDING] = run("undrop", "backup", "--before", "nuke-db", "before nuke-db")
    runs |= {name: run("sh", "-c", command) for name, command in CONTENDERS.items()}
    shop.clean()
    found = in_turn(shop.turns, runs, shop.clean)
    unproved = {PENDING: found.pop(PENDING), **{name: found[name] for name in NO_PROOF}}
    ours = [line for line in shop.against(PENDING, unproved) if line.ratio]
    return [*shop.against("undrop backup", found), *ours]


def unchanged(shop: Shop) -> list[Line]:
    """A second backup of the same content: a hard link; and an agent's call on it."""
    shop.place.run("undrop", "backup")
    call = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": str(shop.place.folder)}
    told = json.dumps({**call, "tool_input": {"command": "python x.py"}})
    (shop.place.folder / "call.json").write_text(told)
    hook = ("sh", "-c", "undrop agent-hook < call.json")
    shop.place.run(*hook)
    before = disk_bytes(shop.place.folder)

    def beside() -> float:
        shop.server.sql("CREATE TABLE IF NOT EXISTS beside (n int)")
        shop.server.sql("INSERT INTO beside VALUES (1)")
        return shop.place.seconds(*hook)

    runs = {"again": lambda: shop.place.seconds("undrop", "backup")}
    took = in_turn(shop.turns, runs, lambda: None)["again"]
    runs = {"hook": lambda: shop.place.seconds(*hook), "written": beside}
    hooked = in_turn(shop.turns, runs, lambda: None)
    grown = (disk_bytes(shop.place.folder) - before) / shop.turns / 1e6
    what = "undrop backup, nothing changed"
    agents = "an agent's call, nothing changed"
    return [
        shop.line(what, took),
        shop.line(f"{what}: on the disk", grown, "MB"),
        shop.line(agents, hooked["hook"]),
        shop.line(f"{agents} but for another database of the server", hooked["written"]),
    ]


def restores(shop: Shop) -> list[Line]:
    """In place, or into a new database that takes the old one's name."""
    shop.clean()
    path = shop.place.run("undrop", "backup").strip()
    turn = itertools.count(1)

    def change() -> None:  # to a state that no backup holds
        shop.sql(f"UPDATE orders SET note = 'change {next(turn)}' WHERE id % 10 = 0")

    def covered() -> None:
        change()
        shop.place.run("undrop", "backup")

    def in_place() -> float:
        return shop.locked("restore", "latest")

    def renamed() -> float:
        shop.place.run("createdb", "fresh")
        shop.place.run("pg_restore", "-e", "-j4", "-d", "fresh", path)
        began = time.perf_counter()
        # As long as a client is connected it cannot be renamed.
        for statement in (
            f"ALTER DATABASE {NAME} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{NAME}'",
            f"ALTER DATABASE {NAME} RENAME TO old; ALTER DATABASE fresh RENAME TO {NAME}",
        ):
            shop.server.sql(statement)
        return time.perf_counter() - began

    watch = shop.watch()
    runs = {
        OURS: watch.clocked(OURS, change, in_place),
        APART: shop.watch().clocked(APART, covered, in_place),
        BY_NAME: watch.clocked(BY_NAME, change, renamed),
    }

    def clean() -> None:
        shop.place.run("dropdb", "--if-exists", "old")

    found = in_turn(shop.turns, runs, clean)
    apart = shop.against(APART, {APART: found.pop(APART), BY_NAME: found[BY_NAME]})
    return [*shop.against(OURS, found), apart[-1], *shop.waits(watch)]


def migrations(shop: Shop) -> list[Line]:
    """One cheap migration, on its own and guarded."""
    for each in (shop.place, shop.plain):
        text = CHEAP.replace("suppliers", "orders")
        (each.folder / "alembic/versions/9001_cheap.py").write_text(text)
    watch = shop.watch()

    def back() -> None:
        shop.clean()
        shop.sql("ALTER TABLE orders DROP COLUMN IF EXISTS rating")
        shop.sql("UPDATE alembic_version SET version_num = '0006'")

    def alembic() -> float:
        shop.plain.run("alembic", "upgrade", "head")
        return 0.0  # it does not say

    runs = {
        "undrop migrate": watch.clocked("undrop migrate", back, lambda: shop.locked("migrate")),
        "alembic upgrade head": watch.clocked("alembic upgrade head", back, alembic),
    }
    found = in_turn(shop.turns, runs, lambda: None)
    return [*shop.against("undrop migrate", found), *shop.waits(watch)]
