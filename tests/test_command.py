"""Any other migration tool: how it is led to the work copy, and what init finds and proves."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from shop import Project, Runner, content, make

from undrop import settings
from undrop.adopt import known
from undrop.errors import UsageError

TOOL = """
import os, pathlib, sqlite3, sys
path = os.environ.get("DATABASE_URL", "file:elsewhere.db").removeprefix("file:")
with sqlite3.connect(path) as connection:
    connection.executescript(pathlib.Path("migration.sql").read_text())
pathlib.Path("schema.sql").write_text("\\n".join(connection.iterdump()))
"""
FORMS = [
    ("", "sqlite:///db/app.db"),
    ("", "sqlite+aiosqlite:///db/app.db"),
    ("file:{path}", "file:./db/app.db"),
    ("file:{path}", "file:db/app.db?connection_limit=1"),
    ("sqlite:{path}", "sqlite:db/app.db"),
    ("sqlite://{path}", "sqlite://db/app.db"),
    ("{path}", "./db/app.db"),
    ("{path}", "sqlite:///db/app.db"),
    ("file:{path}", "sqlite:///db/app.db"),
]


class Shop(Runner):
    """A project without Alembic, whose tool takes ``file:…``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "shop", folder / "state")
        self.root.mkdir()
        self.database = self.root / "shop.db"
        make(self.database, 3)
        self.write("tool.py", TOOL)
        self.write("migration.sql", "CREATE TABLE IF NOT EXISTS notes (id INTEGER)")
        self.write(".env", "DATABASE_URL=file:./shop.db\n")

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def set(self, **lines: str) -> None:
        lines = {
            "url-variable": "DATABASE_URL",
            "env-file": ".env",
            "migrate-url": "file:{path}",
            **{name.replace("_", "-"): text for name, text in lines.items()},
        }
        self.write("undrop.toml", "".join(f"{name} = '{text}'\n" for name, text in lines.items()))

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Every file and its mode; not the backups, nor the database."""
        files = (path for path in self.root.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.root)): (path.stat().st_mode, path.read_bytes())
            for path in files
            if "backups" not in path.parts and not path.name.startswith("shop.db")
        }


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def of(root: Path, **table: str) -> settings.Settings:
    return settings.of(root, {name.replace("_", "-"): text for name, text in table.items()})


@pytest.mark.parametrize(("form", "given"), FORMS)
def test_the_variable_may_name_the_database_as_the_tool_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, given: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", given)
    found = of(tmp_path, url_variable="DATABASE_URL", migrate_url=form).engine.file
    assert found == tmp_path / "db/app.db"


def test_a_path_in_a_url_is_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "file:one%20%3F.db?cache=shared")
    found = of(tmp_path, url_variable="DATABASE_URL", migrate_url="file:{path}").engine.file
    assert found == tmp_path / "one ?.db"


def test_a_server_is_named_in_either_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for given, label in (
        ("postgres://me@there:7/shop?sslmode=disable", "postgresql://there:7/shop"),
        ("psql://me:secret@there/shop", "postgresql://there/shop"),
        ("postgres://me@%2Ftmp%2Fserver/shop", "postgresql:///shop?host=/tmp/server"),
    ):
        monkeypatch.setenv("DATABASE_URL", given)
        found = of(tmp_path, url_variable="DATABASE_URL", migrate_url="file:{path}")
        assert found.engine.label == label


def test_a_wrong_url_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "libsql://there")
    with pytest.raises(UsageError):
        of(tmp_path, url_variable="DATABASE_URL", migrate_url="file:{path}")


def test_init_proves_that_the_command_goes_where_it_is_led(shop: Shop) -> None:
    shop.set(migrate_command="python tool.py")
    shop.write("schema.sql", "-- of old\n")
    before, rows = shop.tree(), content(shop.database)
    done = shop.done("undrop", "init")
    assert "Guarded: python tool.py" in done.out
    assert "it writes files of the project, on rehearse too: schema.sql" in done.err
    assert "typed alone takes no backup: just migrate does" in done.err
    assert (shop.root / "schema.sql").read_text() == "-- of old\n", "it was a copy's"
    assert content(shop.database) == rows
    adopted = shop.tree()
    assert "nothing to change" in shop.done("undrop", "init").err
    assert "Guarded: python tool.py" in shop.ok("undrop", "init", "--check")
    assert shop.tree() == adopted
    done = shop.done("just", "rehearse")
    assert "written meanwhile, in the project: schema.sql" in done.err
    assert content(shop.database) == rows
    shop.ok("just", "migrate")
    assert content(shop.database) != rows
    shop.ok("just", "undo")
    assert content(shop.database) == rows
    shop.write("schema.sql", "-- of old\n")
    shop.ok("undrop", "init", "--remove")
    assert shop.tree() == before


def test_a_command_that_makes_nothing_where_it_is_led_is_not_guarded(shop: Shop) -> None:
    shop.set(migrate_command="python tool.py")
    shop.write("tool.py", TOOL.replace("DATABASE_URL", "ANOTHER"))
    done = shop.undrop("init")
    assert done.code == 4
    assert "NOT guarded: python tool.py, because it made nothing in the empty database" in done.out
    assert "elsewhere.db" in done.out, "where it went instead"
    assert not (shop.root / "elsewhere.db").exists()
    assert shop.undrop("init", "--check").code == 4
    assert "NOT guarded: python tool.py" in shop.undrop("status").out


def test_a_command_that_fails_while_it_is_tried_is_not_guarded(shop: Shop) -> None:
    shop.set(migrate_command="python tool.py")
    shop.write("tool.py", "import sys; sys.exit('no such thing')")
    done = shop.undrop("init")
    assert done.code == 4
    assert "ended with 1: no such thing" in done.out


def test_a_command_that_goes_to_live_while_it_is_tried_is_caught_and_undone(shop: Shop) -> None:
    shop.set(migrate_command="python tool.py")
    text = TOOL.replace("DATABASE_URL", "ANOTHER").replace("elsewhere.db", str(shop.database))
    shop.write("tool.py", text)
    rows = content(shop.database)
    done = shop.undrop("init")
    assert done.code == 4
    assert "NOT guarded: python tool.py, because" in done.out
    assert "the schema of the live database itself was changed" in done.out
    assert content(shop.database) != rows
    shop.ok("undrop", "undo")
    assert content(shop.database) == rows


def test_nothing_is_run_that_nothing_leads_to_the_copy(shop: Shop) -> None:
    shop.write("undrop.toml", "url = 'sqlite:///shop.db'\n")
    done = shop.undrop("migrate", "--", "python", "tool.py")
    assert done.code == 2
    assert "nothing leads `python tool.py` to the work copy" in done.err
    assert not (shop.root / "schema.sql").exists()
    done = shop.undrop("migrate", "--", "no-such-command")
    assert done.code == 2
    assert "there is no command no-such-command" in done.err


def test_words_of_the_command_can_be_led_instead_of_a_variable(shop: Shop) -> None:
    shop.write("undrop.toml", "url = 'sqlite:///shop.db'\n")
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE a (b)')"
    line = ("migrate", "--", "python", "-c", script, "{path}")
    assert "table a added" in shop.ok("undrop", *line)
    script = script.replace("sys.argv[1]", "sys.argv[1].partition('///')[2]").replace(" a ", " c ")
    assert "table c added" in shop.ok("undrop", "migrate", "--", "python", "-c", script, "{url}")


def test_a_tool_that_takes_no_empty_file_has_a_database_made_for_it(shop: Shop) -> None:
    shop.write(
        "managed.py",
        "import os, sqlite3, sys\n"
        "if sys.argv[1] == 'create':\n"
        "    assert not os.path.exists(sys.argv[2])\n"
        "    sqlite3.connect(sys.argv[2]).execute('CREATE TABLE _meta (v)')\n"
        "else:\n"
        "    sqlite3.connect(sys.argv[2]).execute('SELECT * FROM _meta')\n"
        "    sqlite3.connect(sys.argv[2]).execute('CREATE TABLE made (v)')\n",
    )
    shop.set(
        migrate_command="python managed.py migrate {path}",
        migrate_create="python managed.py create {path}",
    )
    assert "Guarded: python managed.py migrate" in shop.ok("undrop", "init")
    shop.ok("just", "reset-db")
    assert "CREATE TABLE made (v);" in content(shop.database)
    assert "CREATE TABLE _meta (v);" in content(shop.database)


def test_a_revision_and_a_command_are_told_apart(project: Project) -> None:
    """What begins with ``-`` is a revision, as ever."""
    project.ok("just", "migrate")
    newest = project.content()
    project.ok("just", "migrate", "--accept-loss", "--", "-1")
    assert project.content() != newest
    done = project.undrop("migrate", "head", "--", "python", "tool.py")
    assert done.code == 2
    assert "head, and a command as well" in done.err
    assert project.undrop("migrate", "--help").code == 0


def test_a_backup_that_another_recipe_asks_for_knows_a_command(shop: Shop) -> None:
    shop.set()
    shop.ok("undrop", "backup", "--before=migrate", "--", "-- python tool.py --help")
    assert [*shop.root.glob("backups/*before-migrate.db")]


def test_without_any_tool_nothing_is_promised(shop: Shop) -> None:
    (shop.root / ".env").unlink()
    done = shop.done("undrop", "init")
    assert "nothing is known here that migrates" in done.err
    recipes = (shop.root / "undrop.just").read_text()
    assert "\nrun +command" in recipes
    for name in ("migrate", "rehearse", "reset-db"):
        assert f"\n{name} " not in recipes
        assert name not in (shop.root / "CLAUDE.md").read_text()
        assert name not in shop.undrop("status").out
    done = shop.undrop("migrate")
    assert done.code == 2
    assert "about to" not in done.err
    assert "nothing is known here that migrates" in done.err
    assert 'set `migrate-command = "COMMAND"` in undrop.toml' in done.err
    assert "undrop migrate -- COMMAND…" in done.err
    assert shop.undrop("reset-db").code == 2
    text = (shop.root / "undrop.toml").read_text()
    shop.write("undrop.toml", text.replace("url =", "migrate-command = 'python x {path}'\nurl ="))
    shop.undrop("init")
    assert "\nmigrate " in (shop.root / "undrop.just").read_text(), "with the next init it is there"
    assert "just migrate" in (shop.root / "CLAUDE.md").read_text()


def test_the_command_ends_with_undrop_however_that_ends(shop: Shop) -> None:
    shop.set()
    script = "import time; print('at work', flush=True); time.sleep(600)"
    line = ["-m", "undrop", "migrate", "--", "sh", "-c", f'{sys.executable} -c "{script}" & wait']
    with subprocess.Popen(
        [sys.executable, "-P", *line],
        cwd=shop.root,
        env=shop.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stderr is not None
        assert any(line.strip() == "at work" for line in started.stderr)
        started.send_signal(signal.SIGKILL)
        started.communicate(timeout=60)  # ends when nobody has its stderr open any more


def test_one_that_is_stopped_after_it_went_to_live_is_caught_and_undone(shop: Shop) -> None:
    shop.set()
    rows = content(shop.database)
    script = "import sqlite3, time; sqlite3.connect('shop.db').execute('DROP TABLE t')"
    script += "; print('at work', flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "undrop", "migrate", "--", sys.executable, "-c", script],
        cwd=shop.root,
        env=shop.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stderr is not None
        assert any(line.strip() == "at work" for line in started.stderr)
        started.send_signal(signal.SIGTERM)
        _, said = started.communicate(timeout=60)
    assert started.returncode == 3
    assert "The live database was changed." in said
    shop.ok("undrop", "undo")
    assert content(shop.database) == rows


FOUND = [
    ("dbmate", {"dbmate": "2"}, {".env": "DATABASE_URL=sqlite:db/app.db"}, "npx dbmate up"),
    (
        "dbmate by a script",
        {"dbmate": "2"},
        {
            ".env": "DATABASE_URL=sqlite:db/app.db",
            "package.json": json.dumps(
                {"devDependencies": {"dbmate": "2"}, "scripts": {"db:up": "dbmate -e X up"}}
            ),
        },
        "npm run --silent db:up",
    ),
    (
        "drizzle",
        {"drizzle-kit": "1"},
        {".env": "DB_URL=file:db/app.db", "drizzle.config.ts": "url: process.env.DB_URL!"},
        "npx drizzle-kit migrate",
    ),
    (
        "prisma",
        {"prisma": "6"},
        {".env": "DATABASE_URL=file:./db/app.db", "schema.prisma": 'url = env("DATABASE_URL")'},
        "npx prisma migrate deploy",
    ),
    (
        "knex",
        {"knex": "3"},
        {".env": "DB_FILE=db/app.db", "knexfile.js": "filename: process.env.DB_FILE"},
        "npx knex migrate:latest",
    ),
    (
        "sequelize",
        {"sequelize-cli": "6"},
        {".env": "DB_URL=sqlite:db/app.db", "config/config.js": "use_env_variable: 'DB_URL'"},
        "npx sequelize-cli db:migrate",
    ),
    (
        "aerich",
        {},
        {
            ".env": "DATABASE_URL=sqlite://db/app.db",
            "pyproject.toml": "[tool.aerich]\ntortoise_orm = 'conf.ORM'\n",
            "conf.py": "ORM = {'connections': {'default': os.environ['DATABASE_URL']}}",
        },
        "aerich upgrade",
    ),
]
APART = """module.exports = {client: process.env.DB_CLIENT || 'pg', connection: {
  host: process.env.DB_HOST, filename: process.env.DB_FILENAME || process.env.DB_FILE_NAME,
  database: process.env.DB_NAME}}"""
LED_BY_WORDS = [
    ("yoyo.ini", "[DEFAULT]\n", "yoyo apply --batch --database {url}"),
    ("requirements.txt", "peewee_migrate==1\n", "pw_migrate migrate --database {url}"),
    ("requirements.txt", "fastmigrate>=0.5\n", "fastmigrate_run_migrations --db {path}"),
]


@pytest.mark.parametrize(
    ("packages", "files", "command"), [row[1:] for row in FOUND], ids=[row[0] for row in FOUND]
)
def test_a_known_tool_is_found_with_the_variable_that_leads_it(
    tmp_path: Path, packages: dict[str, str], files: dict[str, str], command: str
) -> None:
    if packages:
        (tmp_path / "package.json").write_text(json.dumps({"dependencies": packages}))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = known.find(tmp_path)
    assert found is not None
    url = found.url.replace("/./", "/")
    assert (found.command, url, found.env_file) == (command, "sqlite:///db/app.db", ".env")
    given = files[".env"].partition("=")[2]
    prefix = given.partition("db/app.db")[0].removesuffix("./")
    assert found.form == f"{prefix}{{path}}"
    assert found.variable == files[".env"].partition("=")[0]


def test_prisma_takes_a_path_from_the_folder_of_its_schema(tmp_path: Path) -> None:
    """So that no variable is read by us from the root: the URL is written down."""
    (tmp_path / "package.json").write_text('{"dependencies": {"prisma": "6"}}')
    (tmp_path / "prisma").mkdir()
    (tmp_path / "prisma/schema.prisma").write_text('url = env("DATABASE_URL")')
    (tmp_path / ".env").write_text("DATABASE_URL=file:./dev.db\n")
    found = known.find(tmp_path)
    assert found is not None
    assert (found.url, found.env_file) == (f"sqlite:///{tmp_path}/prisma/dev.db", "")
    (tmp_path / "dev.db").touch()  # where a newer Prisma takes it from
    found = known.find(tmp_path)
    assert found is not None
    assert found.env_file == ".env"


@pytest.mark.parametrize(("name", "text", "command"), LED_BY_WORDS)
def test_a_known_tool_that_takes_the_database_as_a_word_gets_it_so(
    tmp_path: Path, name: str, text: str, command: str
) -> None:
    (tmp_path / name).write_text(text)
    found = known.find(tmp_path)
    assert found is not None
    assert (found.command, found.variable) == (command, "")


def test_a_tool_that_nothing_leads_is_not_guarded(shop: Shop) -> None:
    shop.write("package.json", '{"dependencies": {"knex": "3"}}')
    shop.write("knexfile.js", "filename: './shop.db'")
    (shop.root / ".env").unlink()
    done = shop.undrop("init")
    assert done.code == 4
    assert "NOT guarded: what migrates it" in done.out
    assert "\nmigrate " not in (shop.root / "undrop.just").read_text()


@pytest.mark.parametrize("line", ["python tool.py && true", "python tool.py; true", "tool >out"])
def test_what_wants_a_shell_is_refused(shop: Shop, line: str) -> None:
    shop.set(migrate_command=line)
    told = shop.run("undrop", "migrate")
    assert told.code == 2, told
    assert "no shell reads it" in told.err


@pytest.mark.more
def test_a_command_that_is_typed_runs_where_it_is_typed(shop: Shop) -> None:
    shop.set()
    (shop.root / "below").mkdir()
    shop.write("below/own.py", TOOL.replace("migration.sql", "../migration.sql"))
    shop.ok("undrop", "migrate", "--", sys.executable, "own.py", cwd=shop.root / "below")
    assert "notes" in "".join(content(shop.database))


@pytest.mark.more
def test_a_folder_that_a_command_leaves_beside_the_copy_is_in_nobodys_way(shop: Shop) -> None:
    shop.set()
    locks = "import os, sys; os.mkdir(sys.argv[1] + '.lock')"
    for _ in range(2):
        shop.ok("undrop", "migrate", "--", sys.executable, "-c", locks, "{path}")
    left = [path for path in shop.root.iterdir() if ".undrop-work" in path.name]
    assert len(left) == 1  # of the last one, which the next step sweeps


@pytest.mark.parametrize(
    ("dotenv", "variable"),
    [
        ("DB_CLIENT=better-sqlite3\nDB_FILENAME=./dev.sqlite3\nDB_NAME=shop\n", "DB_FILENAME"),
        ("DB_CLIENT=better-sqlite3\nDB_FILE_NAME=file:dev.db\n", "DB_FILE_NAME"),
        ("DB_CLIENT=pg\nDB_HOST=localhost\nDB_NAME=shop\nDB_FILENAME=a\nDB_FILE_NAME=b\n", ""),
    ],
)
def test_of_a_configuration_of_several_variables_the_one_that_names_the_database_is_taken(
    tmp_path: Path, dotenv: str, variable: str
) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"devDependencies": {"knex": "3"}}))
    (tmp_path / "knexfile.js").write_text(APART)
    (tmp_path / ".env").write_text(dotenv)
    found = known.find(tmp_path)
    assert found
    assert found.variable == variable
