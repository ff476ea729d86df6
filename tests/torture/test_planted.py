"""Files that somebody planted: records that lie, schemas that call, pipes and links in the way.

Each check was seen failing with the product broken on purpose: ``verify.verify`` without the
digest (lying records); ``record.read`` without its checks of types (nonsense); ``backup`` refusing
what has no table (empty databases); ``quick_check`` without ``trusted_schema = OFF`` (planted
schemas); ``catalog`` and ``record`` opening whatever bears the name (pipes).
"""

import json
import os
import shutil
import sqlite3
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import inside
import pytest
from shop import Project, add, content, is_a_fault, make
from tally import Tally, sampled, smoked

from undrop import cli, settings
from undrop.cli import commands
from undrop.errors import UndropError
from undrop.record import Record
from undrop.sqlitefile import connect
from undrop.steps import backup, status
from undrop.store import catalog
from undrop.store.lock import locked
from undrop.values import Session

REFUSED = (UndropError, OSError, sqlite3.Error)  # what the command line turns into three lines


def backed_up(project: Project) -> tuple[settings.Settings, catalog.Backup]:
    """A database and its backup, then five rows more."""
    make(project.database, 100)
    config = settings.load(project.root)
    with locked(config, print) as lock:
        taken = backup.take(lock, backup.Purpose("good", ""))
    assert taken is not None
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 5)
    return config, taken


def restored(config: settings.Settings, wanted: str) -> str:
    """``restored``, ``refused``, or the exception that nobody turns into a message."""
    try:
        with locked(config, print) as lock:
            inside.restored(lock, wanted, config.root)
    except REFUSED:
        return "refused"
    except Exception as error:  # noqa: BLE001 - the point of these tests
        return repr(error)
    return "restored"


@pytest.mark.smoke
def test_a_record_that_lies_puts_nothing_else_in_place(project: Project, tally: Tally) -> None:
    config, good = backed_up(project)
    assert good.record is not None
    with locked(config, print) as lock:
        later = backup.take(lock, backup.Purpose("later", ""))
    assert later is not None
    other = project.root / "other.db"
    make(other, 3)
    done = project.undrop("backup", QUARTERMASTER_DB_URL=f"sqlite:///{other}")
    others = Path(done.out.strip()).with_suffix(".json").read_text()
    live, found = project.database.read_bytes(), []
    assert later.record is not None
    lies: dict[str, Record | str] = {
        "the digest of another file": good.record._replace(digest=later.record.digest),
        "no digest": good.record._replace(digest=""),
        "a digest by another name": good.record._replace(
            digest=good.record.digest.replace("blake3:", "sha256:")
        ),
        "another database's record": others,
    }
    for name, record in lies.items():
        text = record.to_json() if isinstance(record, Record) else record
        good.path.with_suffix(".json").write_text(text)
        if (what := restored(config, good.path.name)) != "refused":
            found.append(f"{name}: {what}")
        if project.database.read_bytes() != live:
            found.append(f"{name}: the live database was changed")
    tally("input: lying records", len(lies), found)


NONSENSE: list[Any] = [
    *(None, True, -1, 0, 2**31, 2**70, 10**400, 1.5, [], {}, [1], {"a": 1}, [[]]),
    *(
        "",
        "x" * 10_000,
        "../../x",
        "\0",
        "\ud800",
        "9" * 30,
        "7" * 30,
        "-1",
        "7777",
        "9999-12-31T23:59:59",
    ),
]


def test_nonsense_in_a_record_is_no_traceback(
    project: Project, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    _, good = backed_up(project)
    wanted = content(good.path)
    note = good.path.with_suffix(".json")
    fields = json.loads(note.read_text())
    texts = ["", "null", "[]", '"x"', "{}", "[" * 100_000, '{"a":' * 5000, "\ufeff{}", "1" * 5000]
    texts += [json.dumps({**fields, field: value}) for field in fields for value in NONSENSE]
    found: list[str] = []
    cases = sampled(texts, 12)
    for text in cases:
        note.write_text(text)
        project.database.unlink(missing_ok=True)
        for command in ("list", "verify", "status", "restore"):
            arguments = [command, good.path.name] if command == "restore" else [command]
            try:
                parsed = commands.parser().parse_args(arguments, Namespace(hold_lock=None))
                cli._show(cli._answer(parsed, Session()), parsed)
                if command == "restore" and content(project.database) != wanted:
                    found.append(f"{text[:300]}: something else was restored")
            except REFUSED:
                continue
            except Exception as error:  # noqa: BLE001 - the point of the test
                found.append(f"{command}: {error!r}: {text[:300]}")
    tally("input: nonsense in records", 4 * len(cases), found)


@pytest.mark.parametrize("how", ["touched", "vacuumed", "emptied"])
def test_a_backup_of_an_empty_database_is_as_good_as_any(
    project: Project, tally: Tally, how: str
) -> None:
    project.database.touch()
    if how != "touched":
        with closing(sqlite3.connect(project.database)) as connection:
            connection.executescript(
                "VACUUM" if how == "vacuumed" else "CREATE TABLE x (y); DROP TABLE x"
            )
    before = content(project.database)
    config = settings.load(project.root)
    with locked(config, print) as lock:
        backup.take(lock, backup.Purpose("empty", ""))
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        add(connection, 10)
    what = restored(config, "latest")
    good = what == "restored" and content(project.database) == before
    tally("input: empty databases", 1, [] if good else [f"{how}: {what}"])


VERSION = "version_num VARCHAR(32) NOT NULL"  # by this Alembic's table is known
PLANTED = {
    "a view": "CREATE VIEW alembic_version AS SELECT canary(1)",
    "a trigger": "CREATE TRIGGER g BEFORE INSERT ON t BEGIN SELECT canary(1); END",
    "a check": "CREATE TABLE c (v CHECK (canary(v))); INSERT INTO c VALUES (1)",
    "a generated column": "CREATE TABLE g (v, w NOT NULL AS (canary(v))); INSERT INTO g VALUES (1)",
    "a generated revision": f"CREATE TABLE g (v, {VERSION} AS (canary(v)));"
    "INSERT INTO g VALUES (1)",
    "an index": "CREATE INDEX i ON t (canary(v))",
    "a partial index": "CREATE INDEX i ON t (v) WHERE canary(v)",
    "an unknown module": "PRAGMA writable_schema = ON; INSERT INTO sqlite_master VALUES"
    "('table', 'm', 'm', 0, 'CREATE VIRTUAL TABLE m USING nosuch(canary)')",
    "a schema that is no SQL": "PRAGMA writable_schema = ON;"
    "UPDATE sqlite_master SET sql = 'CREATE TABLE t (canary('",
    "Alembic's words in a comment": f"CREATE TABLE z (v /* {VERSION} */)",
}


@pytest.mark.parametrize("kind", smoked(PLANTED, *list(PLANTED)[::3]))
def test_nothing_in_a_planted_schema_is_run(
    project: Project, tally: Tally, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    config, good = backed_up(project)
    found: list[str] = []
    calls: list[str] = []
    original = connect.connect

    def canary(*_: object) -> int:
        calls.append(kind)
        return 1

    def armed(path: Path, mode: str) -> sqlite3.Connection:
        connection = original(path, mode)
        connection.create_function("canary", -1, canary, deterministic=True)
        return connection

    for call in ("canary", "load_extension", "nosuch"):
        planted = project.root / f"{call}.db"
        make(planted, 5)
        with closing(sqlite3.connect(planted)) as connection:
            connection.create_function(call, 1, lambda _: 1, deterministic=True)
            connection.executescript(PLANTED[kind].replace("canary", call))
            connection.commit()
        monkeypatch.setattr(connect, "connect", armed if call == "canary" else original)
        live = content(project.database)
        what = restored(config, planted.name)
        if what not in {"restored", "refused"}:
            found.append(f"{kind}, {call}: {what}")
        if what == "refused" and content(project.database) != live:
            found.append(f"{kind}, {call}: refused, and the live database was changed")
        for look in (
            lambda _lock: status.look(config),
            lambda lock: backup.take(lock, backup.Purpose("x", "")),
        ):
            try:
                with locked(config, print) as lock:
                    look(lock)
            except REFUSED:
                continue
            except Exception as error:  # noqa: BLE001 - the point of the test
                found.append(f"{kind}, {call}: {error!r}")
        if what == "restored":
            assert restored(config, good.path.name) == "restored"
    tally("input: planted schemas", 3, found + [f"{call} was run" for call in calls])


IN_THE_WAY: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("suffix", [".db", ".json", ".damaged", ".db-wal"])
@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_is_no_file_in_backups_stops_nothing(
    project: Project, tally: Tally, kind: str, suffix: str
) -> None:
    make(project.database)
    saved = Path(project.ok("undrop", "backup", "good").strip())
    before = content(saved)
    name = "quartermaster-20260101-000000-odd"
    IN_THE_WAY[kind](project.backups / f"{name}{suffix}")
    if suffix != ".db":
        shutil.copy(saved, project.backups / f"{name}.db")
    found = []
    commands = [("list",), ("verify",), ("status",), ("backup",), ("restore", saved.name)]
    commands += [("restore", f"{name}.db"), ("restore", name + suffix)]
    commands = sampled(commands, 2)
    for command in commands:
        done = project.run("timeout", "10", "undrop", *command)
        fine = {0} if command in {("list",), ("backup",), ("restore", saved.name)} else {0, 1, 2, 4}
        if done.code not in fine or is_a_fault(done.err):
            found.append(f"{kind} {suffix} {command}: {done.code} {done.err[-300:]}")
    if content(project.database) != before:
        found.append(f"{kind} {suffix}: the database was changed")
    tally("input: in the way in backups/", len(commands), found)
