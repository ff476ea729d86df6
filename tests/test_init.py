"""``undrop init`` puts the guard into somebody's project in one command, and takes it out again."""

import json
import os
import sqlite3
import tempfile
import tomllib
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from server import Server
from shop import Runner, content

from undrop.adopt import blocks, envpy, jsontext

TEMPLATES = {
    "generic": "sqlite:///./app.db",
    "async": "sqlite+aiosqlite:///app.db",
    "pyproject": "sqlite:///app.db",
}
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "1", None


def upgrade():
    key = sa.Column("id", sa.Integer, primary_key=True)
    op.create_table("notes", key, sa.Column("text", sa.Text))


def downgrade():
    op.drop_table("notes")
"""


@cache
def alembic_project(template: str, url: str) -> list[tuple[str, bytes]]:
    """The files of a project, made once for a worker."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "made")
        maker = Elsewhere(home)
        maker.ok("alembic", "init", "-t", template, "migrations")
        ini = home / "alembic.ini"
        lines = ini.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("sqlalchemy.url")]
        at = next(n for n, line in enumerate(kept) if line.startswith("[alembic]")) + 1
        ini.write_text("".join([*kept[:at], f"sqlalchemy.url = {url}\n", *kept[at:]]))
        (home / "migrations/versions").mkdir(exist_ok=True)
        (home / "migrations/versions/1_notes.py").write_text(MIGRATION)
        maker.ok("alembic", "upgrade", "head")
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(home / "app.db")) as connection, connection:
                connection.execute("INSERT INTO notes (text) VALUES ('one'), ('two')")
        made = (path for path in home.rglob("*") if path.is_file())
        return [(str(path.relative_to(home)), path.read_bytes()) for path in made]


class Elsewhere(Runner):
    """Somebody's project, with nothing of ours in it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, root.parent / "state")
        root.mkdir()

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def with_alembic(self, template: str, url: str, folder: str = ".") -> None:
        """What ``alembic init`` makes, with one migration and a database that has two rows."""
        home = self.root / folder
        for name, data in alembic_project(template, url):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(data)

    def tree(self) -> dict[str, bytes | str]:
        """Every file but the database, its backups and what Python compiled."""
        found: dict[str, bytes | str] = {}
        for parent, folders, names in os.walk(self.root):
            folders[:] = [
                each for each in folders if each not in {"backups", "__pycache__", ".git"}
            ]
            for name in names:
                path = Path(parent, name)
                if not name.endswith(".db"):
                    link = path.is_symlink()
                    found[str(path.relative_to(self.root))] = (
                        str(path.readlink()) if link else path.read_bytes()
                    )
        return found


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "theirs")


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_is_adopted_and_every_recipe_works(elsewhere: Elsewhere, template: str) -> None:
    elsewhere.with_alembic(template, TEMPLATES[template])
    elsewhere.ok("undrop", "init")
    rows = content(elsewhere.root / "app.db")
    assert "covered    yes" in elsewhere.ok("just", "status")
    assert len(list((elsewhere.root / "backups").glob("*-undrop-init.db"))) == 1
    elsewhere.ok("just", "migrate", "base", "--accept-loss")
    assert content(elsewhere.root / "app.db") != rows
    elsewhere.ok("just", "undo")
    assert content(elsewhere.root / "app.db") == rows
    elsewhere.ok("just", "nuke-db")
    elsewhere.ok("just", "restore", "latest")
    assert content(elsewhere.root / "app.db") == rows
    elsewhere.ok("just", "run", "rm", "app.db")
    elsewhere.ok("just", "undo")
    assert content(elsewhere.root / "app.db") == rows


@pytest.mark.parametrize("template", TEMPLATES)
def test_alembics_own_commands_take_a_backup_from_then_on(
    elsewhere: Elsewhere, template: str
) -> None:
    elsewhere.with_alembic(template, TEMPLATES[template])
    elsewhere.ok("undrop", "init")
    rows = content(elsewhere.root / "app.db")
    elsewhere.ok("alembic", "downgrade", "base")
    assert content(elsewhere.root / "app.db") != rows
    elsewhere.ok("undrop", "undo")
    assert content(elsewhere.root / "app.db") == rows


def decorate(elsewhere: Elsewhere, kind: str) -> None:
    """Files as projects have them, in shapes that are easily spoilt."""
    if kind == "bare":
        return
    end = "" if kind == "no last newline" else "\n"
    line = "\r\n" if kind == "windows" else "\n"
    elsewhere.write("pyproject.toml", line.join(["[project]", 'name = "x"', "# é"]) + end)
    elsewhere.write(".gitignore", line.join(["*.pyc", "*.db"]) + end)
    elsewhere.write(
        "justfile", "set dotenv-load\n\ndefault:\n    @just --list\n\nmigrate:\n    true" + end
    )
    elsewhere.write("CLAUDE.md", line.join(["# Rules", "", "Be kind."]) + end)
    (elsewhere.root / "AGENTS.md").symlink_to("CLAUDE.md")
    hooks = '{"hooks" :\t{"PreToolUse":[ {"matcher": "Bash", "hooks": []} ]},\n "x": [1,2 ]}'
    elsewhere.write(".claude/settings.json", hooks + end)
    if kind == "empty files":
        for name in ("pyproject.toml", ".gitignore", "CLAUDE.md"):
            elsewhere.write(name, "")
        elsewhere.write(".claude/settings.json", "{}")


@pytest.mark.parametrize("kind", ["bare", "plain", "no last newline", "windows", "empty files"])
def test_init_twice_changes_nothing_and_remove_gives_every_byte_back(
    elsewhere: Elsewhere, kind: str
) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    decorate(elsewhere, kind)
    before = elsewhere.tree()
    shown = elsewhere.done("undrop", "init", "--dry-run")
    assert "+    backup_before(context)" in shown.out
    assert "+import 'undrop.just'" in shown.out
    assert elsewhere.tree() == before
    assert not (elsewhere.root / "backups").exists()
    elsewhere.ok("undrop", "init")
    adopted = elsewhere.tree()
    assert adopted != before
    assert elsewhere.ok("undrop", "init", "--dry-run").strip() == ""
    elsewhere.ok("undrop", "init")
    assert elsewhere.tree() == adopted
    assert json.loads(adopted[".claude/settings.json"])["hooks"]["SessionStart"]
    elsewhere.ok("undrop", "init", "--remove", "--dry-run")
    assert elsewhere.tree() == adopted
    elsewhere.ok("undrop", "init", "--remove")
    assert elsewhere.tree() == before
    assert list((elsewhere.root / "backups").glob("*.db"))  # backups are kept


def test_a_recipe_of_theirs_stays_what_it_is(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.write("justfile", "backup:\n    @echo theirs\n\nalias undo := backup\n")
    said = elsewhere.done("undrop", "init").err
    assert "ours is undrop-backup" in said
    assert elsewhere.ok("just", "backup") == "theirs\n"
    assert Path(elsewhere.ok("just", "undrop-backup").strip()).is_file()
    elsewhere.ok("just", "nuke-db")  # its dependency is ours, not theirs
    elsewhere.ok("just", "undrop-undo")
    assert (elsewhere.root / "app.db").is_file()


def test_a_project_without_alembic_gets_everything_but_migrate(elsewhere: Elsewhere) -> None:
    with closing(sqlite3.connect(elsewhere.root / "data.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE t (v)")
        connection.execute("INSERT INTO t VALUES ('precious')")
    done = elsewhere.done("undrop", "init")
    assert "everything but migrate" in done.err
    rows = content(elsewhere.root / "data.sqlite3")
    elsewhere.ok("just", "nuke-db")
    elsewhere.ok("just", "undo")
    assert content(elsewhere.root / "data.sqlite3") == rows


def test_where_no_database_is_found_it_says_the_line_to_type(elsewhere: Elsewhere) -> None:
    done = elsewhere.run("undrop", "init")
    assert done.code == 2
    assert "undrop init --url sqlite:///FILE.db" in done.err
    assert elsewhere.tree() == {}
    elsewhere.ok("undrop", "init", "--url", "sqlite:///later.db")
    assert 'url = "sqlite:///later.db"' in (elsewhere.root / "undrop.toml").read_text()


def test_a_file_of_any_name_is_written_down_as_toml_has_it(elsewhere: Elsewhere) -> None:
    name = "größe 😀 \N{DELETE}\"'\\.db"
    elsewhere.ok("undrop", "init", "--url", f"sqlite:///{name}")
    written = (elsewhere.root / "undrop.toml").read_text("utf-8")
    assert tomllib.loads(written) == {"url": f"sqlite:///{name}"}


def test_another_engine_is_refused_and_nothing_is_written(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    ini = elsewhere.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("sqlite:///app.db", "mysql://me:se/secret@host/db"))
    before = elsewhere.tree()
    done = elsewhere.run("undrop", "init")
    assert done.code == 2
    assert "secret" not in done.err + done.out
    assert elsewhere.tree() == before


ENVIRON = """import os
config.set_main_option("sqlalchemy.url", os.environ.get("APP_DB", "sqlite:///app.db"))
"""
SETTINGS = """
import os


class Settings:
    database_url: str = "sqlite:///app.db"

    def __init__(self) -> None:
        for name in self.__annotations__:
            setattr(self, name, os.environ.get(name.upper(), getattr(self, name)))
"""


@pytest.mark.parametrize("kind", ["environ", "settings"])
def test_the_variable_that_moves_the_database_is_found(elsewhere: Elsewhere, kind: str) -> None:
    """By trying it: ``just migrate`` needs it to lead ``env.py`` to the work copy."""
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    env = elsewhere.root / "migrations/env.py"
    added = ENVIRON
    if kind == "settings":
        elsewhere.write("app/__init__.py", "")
        elsewhere.write("app/config.py", SETTINGS)
        added = (
            "import sys\nsys.path.insert(0, '.')\nfrom app.config import Settings\n"
            "config.set_main_option('sqlalchemy.url', Settings().database_url)\n"
        )
    text = env.read_text().replace("target_metadata = None", f"{added}\ntarget_metadata = None")
    env.write_text(text)
    elsewhere.ok("undrop", "init")
    name = {"environ": "APP_DB", "settings": "DATABASE_URL"}[kind]
    assert f'url-variable = "{name}"' in (elsewhere.root / "undrop.toml").read_text()
    elsewhere.ok("just", "migrate", "base", "--accept-loss")
    elsewhere.ok("just", "undo")


def test_a_configuration_in_a_folder_below_is_used_from_there(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db", "backend")
    elsewhere.ok("undrop", "init")
    text = (elsewhere.root / "undrop.toml").read_text()
    assert 'url = "sqlite:///backend/app.db"' in text
    assert 'alembic = "backend/alembic.ini"' in text
    rows = content(elsewhere.root / "backend/app.db")
    elsewhere.ok("just", "migrate", "base", "--accept-loss")
    elsewhere.ok("just", "undo")
    assert content(elsewhere.root / "backend/app.db") == rows


def test_two_databases_are_said_and_the_one_given_is_the_default_of_both(
    elsewhere: Elsewhere,
) -> None:
    elsewhere.ok("alembic", "init", "-t", "multidb", "migrations")
    ini = elsewhere.root / "alembic.ini"
    text = ini.read_text().replace("sqlalchemy.url = driver://user:pass@localhost/dbname\n", "@", 1)
    text = text.replace(
        "sqlalchemy.url = driver://user:pass@localhost/dbname2", "sqlalchemy.url = sqlite:///b.db"
    )
    ini.write_text(text.replace("@", "sqlalchemy.url = sqlite:///a.db\n"))
    done = elsewhere.run("undrop", "init")
    assert done.code == 2
    assert "several databases: sqlite:///a.db, sqlite:///b.db" in done.err
    done = elsewhere.done("undrop", "init", "--url", "sqlite:///b.db")
    assert "Guarded: alembic" in done.out
    assert "NOT guarded" not in done.out
    file = elsewhere.root / "undrop.toml"
    table = '\n[databases.engine1]\nurl = "sqlite:///a.db"\n'
    assert f'url = "sqlite:///b.db"\n{table}' in file.read_text()
    file.write_text(file.read_text().replace(table, ""))  # adopted when there was one
    done = elsewhere.run("undrop", "init")
    assert done.code == 4
    assert "Guarded: alembic\nNOT guarded: sqlite:///a.db, which env.py goes to" in done.out
    assert 'set `databases.NAME.url = "sqlite:///a.db"` in undrop.toml' in done.out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".claude/settings.json", "{ // mine\n}"),
        (".claude/settings.json", '{"hooks": []}'),
        ("justfile", "this is: no justfile ((\n"),
        ("migrations/env.py", "def broken(:\n"),
        ("migrations/env.py", "import app.env\n"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_written(
    elsewhere: Elsewhere, name: str, text: str
) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.write(name, text)
    before = elsewhere.tree()
    done = elsewhere.run("undrop", "init")
    assert done.code == 2, done
    assert Path(name).name in done.err
    assert "Next:" in done.err
    assert elsewhere.tree() == before


@given(
    st.none() | st.text("ab#é\n", max_size=12) | st.text("a\r\n", max_size=6),
    st.sampled_from([blocks.HASH, blocks.MARKDOWN]),
)
@example("", blocks.HASH)
def test_a_block_leaves_no_trace(text: str | None, comment: tuple[str, str]) -> None:
    added = blocks.add(text, "one\ntwo", comment)
    assert blocks.has(added)
    assert blocks.remove(added) == text
    assert blocks.remove(added + "theirs\n") == (text or "") + "theirs\n"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)


@pytest.mark.more
@given(
    st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    st.lists(JSON, max_size=3),
    st.sampled_from([None, 1, 3]),
)
def test_an_element_goes_into_json_and_out_without_a_trace(
    other: dict[str, object], there: list[object], indent: int | None
) -> None:
    text = json.dumps({**other, "hooks": {"PreToolUse": there, "x": 1}}, indent=indent)
    added = jsontext.insert(text, ["hooks", "PreToolUse"], '{"undrop": 1}')
    assert json.loads(added)["hooks"]["PreToolUse"] == [{"undrop": 1}, *there]
    assert jsontext.remove(added, '{"undrop": 1}') == text


@pytest.mark.parametrize("name", ["generic", "async", "multidb", "pyproject", "pyproject_async"])
def test_env_py_of_every_template_is_edited_and_given_back(name: str) -> None:
    import alembic

    source = (Path(alembic.__file__).parent / "templates" / name / "env.py").read_text()
    added = envpy.add(source)
    compile(added, "env.py", "exec")
    assert "# <<< undrop\nif context.is_offline_mode()" in added
    assert envpy.remove(added) == source


def test_a_project_on_postgresql_is_adopted_and_no_password_is_written(
    elsewhere: Elsewhere, server: Server
) -> None:
    name = f"adopted_{os.getpid()}"
    server.sql(f"CREATE DATABASE {name}")
    url = server.url(name).replace("postgres@", "postgres:secret@")
    elsewhere.with_alembic("generic", url)
    server.sql("INSERT INTO notes VALUES (1, 'one')", name)
    elsewhere.run("undrop", "init")
    settings = (elsewhere.root / "undrop.toml").read_text()
    assert name in settings
    assert "secret" not in settings
    done = elsewhere.run("undrop", "init")
    assert done.code == 0, done
    assert "the password is not written down" in done.err
    assert "adopted already" in done.err
    [saved] = (elsewhere.root / "backups").glob("*.pgdump")
    server.sql("DROP TABLE notes", name)
    assert elsewhere.run("just", "restore", saved.name).code == 0
    assert server.sql("SELECT text FROM notes", name) == [("one",)]


@pytest.mark.parametrize("own", [True, False])
def test_hooks_of_an_older_undrop_are_brought_up_to_date(
    elsewhere: Elsewhere, *, own: bool
) -> None:
    """``init`` again: they hear of the end of a call too, and what is the user's own stays."""
    elsewhere.with_alembic("generic", TEMPLATES["generic"])
    elsewhere.ok("undrop", "init")
    file = elsewhere.root / ".claude/settings.json"
    hooks = json.loads(file.read_text())["hooks"]
    older = {name: hooks[name] for name in ("PreToolUse", "SessionStart")}
    mine = {} if own else {"model": "mine"}
    file.write_text(json.dumps({"hooks": older, **mine}, indent=2) + "\n")
    elsewhere.ok("undrop", "init")
    assert json.loads(file.read_text()) == {"hooks": hooks, **mine}
    again = file.read_text()
    elsewhere.ok("undrop", "init")
    assert file.read_text() == again
    elsewhere.ok("undrop", "init", "--remove")
    assert file.exists() is not own
