"""A password is on no command line, in no message, no record and no log."""

import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from forks import Done
from pg_rich import Rich
from server import Server

# Nobody else's: every process of the machine is looked at, and somebody may be searching for the
# word just now.
OWN = secrets.token_hex(8)
SECRET = f"s3cret{OWN}%4/ö'x"
QUOTED = f"s3cret{OWN}%254%2F%C3%B6%27x"
USER = "undrop_secret"


@pytest.fixture
def locked(pg: Rich, server: Server) -> Rich:
    """A project whose user has to give a password, which nothing knows yet."""
    if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{USER}'"):
        quoted = SECRET.replace("'", "''")
        server.sql(
            "SET password_encryption = 'scram-sha-256';"
            f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{quoted}'"
        )
        rules = server.folder / "data/pg_hba.conf"
        rules.write_text(f"local all {USER} scram-sha-256\n{rules.read_text()}")
        server.sql("SELECT pg_reload_conf()")
    server.sql(f'CREATE DATABASE "{pg.name}" OWNER {USER}')
    pg.environment["QUARTERMASTER_DB_URL"] = pg.url.replace("postgres@", f"{USER}@")
    return pg


def with_password(project: Rich, word: str = QUOTED) -> str:
    return project.environment["QUARTERMASTER_DB_URL"].replace(f"{USER}@", f"{USER}:{word}@")


@contextmanager
def watched() -> Iterator[None]:
    """Every process's command line, looked at again and again while the block runs."""
    seen: list[str] = []
    end = threading.Event()

    def look() -> None:
        while not end.wait(0.01):
            for each in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    line = each.read_bytes().decode("utf-8", "replace")
                    seen.extend([line] if OWN in line else [])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    assert not seen


def slow(project: Rich, *names: str) -> str:
    """A PATH on which the server's tools take their time."""
    folder = project.root.parent / "slow"
    folder.mkdir(exist_ok=True)
    for name in names:
        file = folder / name
        file.write_text(f'#!/bin/sh\nsleep 0.3\nexec {shutil.which(name)} "$@"\n')
        file.chmod(0o755)
    head, _, rest = project.environment["PATH"].partition(":")
    return f"{head}:{folder}:{rest}"


def unseen(project: Rich, *said: Done) -> None:
    """Nothing in what was said, nor in any file of the project's backups."""
    texts = [text for each in said for text in (each.out, each.err)]
    folders = (project.backups, Path(project.environment["XDG_STATE_HOME"]))
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    texts += [path.read_bytes().decode("utf-8", "replace") for path in files]
    for text in texts:
        assert SECRET not in text
        assert QUOTED not in text
        assert "s3cret" not in text


def test_in_the_url(locked: Rich) -> None:
    url = with_password(locked)
    path = slow(locked, "pg_dump", "pg_restore")
    with watched():
        done = [
            locked.undrop("migrate", QUARTERMASTER_DB_URL=url, PATH=path),
            locked.undrop("backup", "--json", QUARTERMASTER_DB_URL=url, PATH=path),
            locked.undrop("nuke-db", QUARTERMASTER_DB_URL=url),
            locked.undrop("undo", "--json", QUARTERMASTER_DB_URL=url, PATH=path),
        ]
    done += [
        locked.undrop(*each.split(), QUARTERMASTER_DB_URL=url)
        for each in ("list --json", "status", "status --json", "verify")
    ]
    assert [each.code for each in done] == [0] * len(done), done
    unseen(locked, *done)


@pytest.mark.full("query")
@pytest.mark.parametrize("way", ["PGPASSWORD", ".pgpass", "service", "query"])
def test_from_elsewhere(locked: Rich, way: str) -> None:
    folder = locked.root.parent
    given: dict[str, Any] = {}
    url = locked.environment["QUARTERMASTER_DB_URL"]
    if way == "PGPASSWORD":
        given = {"PGPASSWORD": SECRET}
    elif way == ".pgpass":
        (folder / "pass").write_text(f"*:*:*:{USER}:{SECRET}\n")
        (folder / "pass").chmod(0o600)
        given = {"PGPASSFILE": str(folder / "pass")}
    elif way == "service":
        (folder / "services").write_text(
            f"[shop]\nhost={locked.server.folder}\nuser={USER}\npassword={SECRET}\ndbname={locked.name}\n"
        )
        given = {"PGSERVICEFILE": str(folder / "services")}
        url = "postgresql+psycopg:///?service=shop"
    else:
        url = f"{url}&password={QUOTED}"
    with watched():
        done = [
            locked.undrop(*command.split(), **given, QUARTERMASTER_DB_URL=url)
            for command in ("migrate", "backup", "reset-db", "undo", "status", "list")
        ]
    assert [each.code for each in done] == [0] * len(done), done
    assert locked.saved()[0].name.startswith(locked.name)
    unseen(locked, *done)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://undrop_secret:s3cret@/{name}?host={folder}",  # a wrong one
        "postgresql://undrop_secret:s3cret@localhost:notaport/{name}",
        "postgresql+psycopg://undrop_secret:s3cret@/{name}?host=/nowhere",
        "postgresql+psycopg://undrop_secret:s3cret@nowhere.invalid/{name}",
        "postgresql+psycopg://undrop_secret:s3cret@/{name}?host={folder}&sslmode=nonsense",
        "postgresql+nonsense://undrop_secret:s3cret@[/{name}",
    ],
)
def test_when_connecting_fails(locked: Rich, url: str) -> None:
    url = url.format(name=locked.name, folder=locked.server.folder)
    said = [
        locked.undrop(*command.split(), QUARTERMASTER_DB_URL=url)
        for command in ("backup", "status", "list", "migrate", "backup --json", "restore latest")
    ]
    said.append(locked.alembic("upgrade", "head", QUARTERMASTER_DB_URL=url))
    assert said[0].code in {1, 2}
    assert said[3].code in {1, 2}
    for each in said[:-1]:
        assert "Traceback" not in each.err, each.err
    unseen(locked, *said[:-1])


@pytest.mark.smoke
def test_a_migration_that_fails_and_says_the_url(locked: Rich) -> None:
    locked.revise(
        "url = op.get_bind().engine.url.render_as_string(hide_password=False)",
        "raise RuntimeError(f'{url} {op.get_bind().engine.url.password}')",
    )
    done = locked.undrop("migrate", QUARTERMASTER_DB_URL=with_password(locked))
    assert done.code == 1
    assert "***" in done.err
    unseen(locked, done)


def test_an_env_that_doubles_no_percent_sign(locked: Rich) -> None:
    env = locked.root / "alembic/env.py"
    env.write_text(
        "import os\nfrom alembic import context\n"
        "context.config.set_main_option('sqlalchemy.url', os.environ['QUARTERMASTER_DB_URL'])\n"
        + env.read_text()
    )
    done = locked.undrop("migrate", QUARTERMASTER_DB_URL=with_password(locked))
    assert done.code == 1
    unseen(locked, done)
