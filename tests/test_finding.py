"""What ``undrop init`` finds in a project: its Python, its migrations, its database."""

import json
import os
import re
import shutil
import sqlite3
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from shop import BIN, content, make
from test_init import MIGRATION, Elsewhere

from undrop.adopt import alembic_project, environments, find, variables

SERVER = "postgresql+psycopg://me:secret@nowhere.invalid/shop"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "theirs")


def written(elsewhere: Elsewhere) -> dict[str, Any]:
    """What init wrote down."""
    own = elsewhere.root / "undrop.toml"
    if own.exists():
        return tomllib.loads(own.read_text())
    text = (elsewhere.root / "pyproject.toml").read_text()
    table: dict[str, Any] = tomllib.loads(text)["tool"]["undrop"]
    return table


def unguarded(elsewhere: Elsewhere, *options: str) -> str:
    """What init says where it adopts a project and cannot guard all that Alembic does."""
    done = elsewhere.run("undrop", "init", *options)
    assert done.code == 4, done
    assert "\nNOT guarded" in done.out
    return done.out + done.err


def change(elsewhere: Elsewhere, added: str, env: str = "migrations/env.py") -> None:
    """Have ``env.py`` do something more before it migrates."""
    path = elsewhere.root / env
    path.write_text(
        path.read_text().replace("target_metadata = None", f"{added}\ntarget_metadata = None")
    )


def interpreter(path: Path, *options: str) -> Path:
    """A Python of somebody's own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {BIN}/python {" ".join(options)} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No environment is active."""
    for name in (*environments.ACTIVE, "UV_PROJECT_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.more
@pytest.mark.parametrize("kind", ["plain", "dotted", "uv", "active", "conda", "pdm", "poetry"])
@pytest.mark.parametrize("folder", [".", "backend"])
def test_the_projects_own_python_is_found(
    tmp_path: Path, bare: pytest.MonkeyPatch, kind: str, folder: str
) -> None:
    """From where Alembic's configuration is as well as from the root."""
    home = tmp_path / "backend"
    home.mkdir()
    place = tmp_path / folder
    where = {"plain": place / "venv", "dotted": place / ".venv", "uv": place / "their env"}
    own = interpreter(where.get(kind, tmp_path / "far/away") / "bin/python")
    if kind == "uv":
        bare.setenv("UV_PROJECT_ENVIRONMENT", "their env")
    elif kind == "active":
        bare.setenv("VIRTUAL_ENV", str(own.parents[1]))
    elif kind == "conda":
        bare.setenv("CONDA_PREFIX", str(own.parents[1]))
    elif kind == "pdm":
        (place / ".pdm-python").write_text(f"{own}\n")
    elif kind == "poetry":
        (place / "pyproject.toml").write_text("[tool.poetry]\n")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/poetry").write_text(
            f'#!/bin/sh\n[ "$*" = "env info --executable" ] && [ $PWD = {place.resolve()} ] '
            f"&& echo {own}\n"
        )
        (tmp_path / "bin/poetry").chmod(0o755)
        bare.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
    assert environments.python(tmp_path, home) == str(own)


def test_the_first_python_that_has_alembic_is_taken(
    tmp_path: Path, bare: pytest.MonkeyPatch
) -> None:
    bare.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    interpreter(tmp_path / ".venv/bin/python", "-S")
    (tmp_path / "alembic").mkdir()  # a folder of migrations is no package
    assert environments.python(tmp_path, tmp_path) == sys.executable
    active = interpreter(tmp_path / "active/bin/python")
    assert environments.python(tmp_path, tmp_path) == str(active)


@pytest.mark.usefixtures("bare")
def test_the_environment_of_a_workspace_is_found_from_a_project_in_it(tmp_path: Path) -> None:
    """Up to the top of the git repository, and no further."""
    interpreter(tmp_path / ".venv/bin/python")
    own = interpreter(tmp_path / "repository/.venv/bin/python")
    project = tmp_path / "repository/packages/api"
    project.mkdir(parents=True)
    assert environments.python(project, project) == sys.executable
    (tmp_path / "repository/.git").mkdir()
    assert environments.python(project, project) == str(own)
    own.unlink()
    assert environments.python(project, project) == sys.executable


@pytest.mark.more
def test_a_broken_environment_is_said_in_its_own_words(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    (elsewhere.root / ".venv/bin").mkdir(parents=True)
    (elsewhere.root / ".venv/bin/python").symlink_to("/gone/python3.9")
    said = elsewhere.done("undrop", "init").err
    assert ".venv/bin/python: it is a link to /gone/python3.9, which is not there" in said
    elsewhere.ok("just", "rehearse")


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("import os; os._exit(7)", "it ended with 7 and no answer"),
        (
            "import os, sys; print('who is there?', file=sys.stderr, flush=True); os._exit(0)",
            "it ended with 0 and no answer: who is there?",
        ),
        ("import not_here", "ModuleNotFoundError: No module named 'not_here'"),
        ("raise SystemExit('set APP_KEY first')", "SystemExit: set APP_KEY first"),
    ],
)
def test_why_env_py_cannot_be_asked_is_said_in_its_own_words(
    elsewhere: Elsewhere, added: str, words: str
) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    change(elsewhere, added)
    said = unguarded(elsewhere)
    assert words in said
    assert "Expecting value" not in said


def test_what_env_py_prints_is_no_answer(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    change(elsewhere, "import os; print('hello'); os.system('echo hello')")
    elsewhere.ok("undrop", "init")
    assert written(elsewhere) == {"url": "sqlite:///app.db"}


@pytest.mark.more
def test_an_env_py_that_never_ends_is_not_waited_for(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    change(elsewhere, "import time; time.sleep(600)")
    monkeypatch.setattr(environments, "PATIENCE", 2)
    project = find.look(elsewhere.root)
    assert any("did not come to an end in 2 seconds" in text for text in project.unclear)
    assert project.url == "sqlite:///app.db"


def migrates(elsewhere: Elsewhere, database: str) -> None:
    """The adopted project's migrations run, by ours and by Alembic's own command's edit."""
    rows = content(elsewhere.root / database)
    elsewhere.ok("just", "migrate", "base", "--accept-loss")
    assert content(elsewhere.root / database) != rows
    elsewhere.ok("just", "undo")
    assert content(elsewhere.root / database) == rows


@pytest.mark.more
def test_an_env_py_that_makes_its_own_url_of_a_variable_has_the_variable_alone(
    elsewhere: Elsewhere,
) -> None:
    """Arize Phoenix: the variable's URL becomes one of an async driver, unless a file has one."""
    elsewhere.with_alembic("async", "sqlite+aiosqlite:///app.db")
    ini, env = elsewhere.root / "alembic.ini", elsewhere.root / "migrations/env.py"
    ini.write_text(re.sub(r"(?m)^sqlalchemy.url = .*$", "", ini.read_text()))
    section = "config.get_section(config.config_ini_section, {})"
    own = 'os.environ["APP_URL"].replace("sqlite:", "sqlite+aiosqlite:")'
    text = env.read_text().replace(section, f'{{"sqlalchemy.url": {own}, **{section}}}')
    assert own in text
    env.write_text(f"import os\n{text}")
    elsewhere.environment["APP_URL"] = "sqlite:///app.db"
    elsewhere.ok("undrop", "init")
    assert written(elsewhere)["url-variable"] == "APP_URL"
    migrates(elsewhere, "app.db")


def test_migrations_are_found_in_any_folder(elsewhere: Elsewhere) -> None:
    deep = "src/package/storage/relational/migrating"
    elsewhere.with_alembic("generic", "sqlite:///app.db", deep)
    elsewhere.write(".hidden/alembic.ini", "[alembic]\nscript_location = x\n")
    elsewhere.write("node_modules/x/alembic.ini", "[alembic]\nscript_location = x\n")
    elsewhere.write("tests/alembic.ini", "[alembic]\nscript_location = x\n")
    elsewhere.ok("undrop", "init")
    assert written(elsewhere)["alembic"] == f"{deep}/alembic.ini"
    assert "undrop" in (elsewhere.root / deep / "migrations/env.py").read_text()
    migrates(elsewhere, f"{deep}/app.db")


@pytest.mark.more
@pytest.mark.parametrize("location", ["package:migrations", "%(here)s/package/migrations"])
def test_migrations_in_a_package_are_found(elsewhere: Elsewhere, location: str) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.write("package/__init__.py", "")
    (elsewhere.root / "migrations").rename(elsewhere.root / "package/migrations")
    ini = elsewhere.root / "alembic.ini"
    text = re.sub(r"(?m)^script_location = .*$", f"script_location = {location}", ini.read_text())
    ini.write_text(text)
    elsewhere.ok("undrop", "init")
    assert "undrop" in (elsewhere.root / "package/migrations/env.py").read_text()
    migrates(elsewhere, "app.db")


@pytest.mark.more
def test_each_configuration_that_is_not_guarded_is_named(elsewhere: Elsewhere) -> None:
    for folder in (".", "services/a", "services/b"):
        elsewhere.with_alembic("generic", "sqlite:///app.db", folder)
    said = unguarded(elsewhere)
    for folder in ("services/a", "services/b"):
        line = f"NOT guarded: {folder}/alembic.ini: cd {folder} && undrop init"
        assert line in said
    elsewhere.ok("undrop", "init", cwd=elsewhere.root / "services/a")
    assert (elsewhere.root / "services/a/undrop.just").exists()
    said = unguarded(elsewhere)
    assert "services/a/alembic.ini" not in said
    assert "services/b/alembic.ini" in said


def test_another_configuration_of_the_same_env_py_is_guarded_with_it(elsewhere: Elsewhere) -> None:
    """mlflow has one beside its migrations, whose paths are from the root."""
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.write("migrations/alembic.ini", "[alembic]\nscript_location = migrations\n")
    assert "NOT guarded" not in elsewhere.ok("undrop", "init")


def test_of_several_configurations_none_is_guessed(elsewhere: Elsewhere) -> None:
    for folder in ("a", "b"):
        elsewhere.with_alembic("generic", "sqlite:///app.db", folder)
    done = elsewhere.run("undrop", "init")
    assert done.code == 2
    for folder in ("a", "b"):
        assert f"NOT guarded: {folder}/alembic.ini: cd {folder} && undrop init" in done.err
        assert f"undrop init --url sqlite:///{folder}/app.db" in done.err


@pytest.mark.more
def test_a_configuration_in_a_folders_pyproject_is_used(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("pyproject", "sqlite:///app.db", "backend")
    (elsewhere.root / "backend/alembic.ini").unlink()
    env = elsewhere.root / "backend/migrations/env.py"
    env.write_text(env.read_text().replace("fileConfig(config.config_file_name)", "pass"))
    change(
        elsewhere,
        "import os\n"
        "url = os.environ.get('APP_DB', 'sqlite:///app.db')\n"
        "config.set_main_option('sqlalchemy.url', url)",
        "backend/migrations/env.py",
    )
    elsewhere.ok("undrop", "init")
    assert written(elsewhere)["alembic"] == "backend/pyproject.toml"
    assert written(elsewhere)["url"] == "sqlite:///backend/app.db"
    assert "undrop" in env.read_text()
    assert "1" in elsewhere.ok("just", "rehearse", "base", "--accept-loss")


@pytest.mark.more
def test_the_one_section_is_used_and_others_are_named(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    ini = elsewhere.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("[alembic]", "[shop]"))
    elsewhere.ok("undrop", "init")
    assert written(elsewhere)["alembic-section"] == "shop"
    migrates(elsewhere, "app.db")
    ini.write_text(ini.read_text() + "\n[warehouse]\nscript_location = migrations\n")
    said = unguarded(elsewhere)
    assert "NOT guarded: the database of `alembic -n warehouse`" in said
    assert "alembic -n shop" not in said


def test_alembics_own_section_goes_first(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    ini = elsewhere.root / "alembic.ini"
    ini.write_text("[warehouse]\nscript_location = migrations\n" + ini.read_text())
    assert "`alembic -n warehouse`" in unguarded(elsewhere)
    assert "alembic-section" not in written(elsewhere)


@pytest.mark.more
def test_an_env_py_without_source_is_said(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    env = elsewhere.root / "migrations/env.py"
    compiling = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[1] + 'c')"
    elsewhere.ok(sys.executable, "-c", compiling, str(env))
    env.unlink()
    ini = elsewhere.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("[alembic]\n", "[alembic]\nsourceless = true\n"))
    assert "NOT guarded when it is used alone" in unguarded(elsewhere)
    assert not env.exists()
    migrates(elsewhere, "app.db")


def test_flask_migrates_configuration_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations/alembic.ini").write_text("[alembic]\n[loggers]\nkeys = root\n")
    assert not alembic_project.look_at_alembic(tmp_path, run=False).config
    (tmp_path / "migrations/env.py").write_text("from flask import current_app\n")
    project = alembic_project.look_at_alembic(tmp_path, run=False)
    assert project.flask
    assert project.home == tmp_path
    assert project.env == tmp_path / "migrations/env.py"
    assert project.config == {"file_": str(tmp_path / "migrations/alembic.ini")}


@pytest.mark.more
def test_a_url_is_relative_to_where_it_is_typed(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db", "backend")
    make(elsewhere.root / "app.db")
    said = unguarded(elsewhere, "--url", "sqlite:///app.db")
    assert "because env.py migrates sqlite:///backend/app.db, and undrop guards app.db" in said
    assert written(elsewhere)["url"] == "sqlite:///app.db"


def test_a_file_that_is_not_there_yet_is_said(elsewhere: Elsewhere) -> None:
    said = elsewhere.done("undrop", "init", "--url", "sqlite:///var/app.db").err
    assert f"there is no {elsewhere.root}/var/app.db yet" in said
    assert f"mkdir -p {elsewhere.root}/var" in said
    assert "just migrate" not in said


@pytest.mark.more
def test_a_database_that_alembic_has_not_made_yet_is_said(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    (elsewhere.root / "app.db").unlink()
    said = elsewhere.done("undrop", "init").err
    assert f"there is no {elsewhere.root}/app.db yet: the first just migrate makes it" in said
    elsewhere.ok("just", "migrate")
    assert "yet" not in elsewhere.done("undrop", "init").err


@pytest.mark.more
def test_in_a_folder_of_a_project_init_means_that_project(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.ok("undrop", "init")
    adopted = elsewhere.tree()
    done = elsewhere.done("undrop", "init", cwd=elsewhere.root / "migrations/versions")
    assert f"this is the project in {elsewhere.root}" in done.err
    assert elsewhere.tree() == adopted
    inner = elsewhere.root / "inner"
    inner.mkdir()
    (inner / ".git").touch()  # as a worktree has it
    elsewhere.ok("undrop", "init", "--url", "sqlite:///x.db", cwd=inner)
    assert (inner / "undrop.just").exists()


def test_in_a_folder_below_migrations_the_project_with_them_is_meant(elsewhere: Elsewhere) -> None:
    """Else it would be adopted as one without Alembic, and the upgrade stay unguarded."""
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.ok("git", "init", "-q")
    folder = elsewhere.root / "src/shop"
    folder.mkdir(parents=True)
    done = elsewhere.done("undrop", "init", "--url", "sqlite:///../../app.db", cwd=folder)
    assert done.out.endswith("\nGuarded: alembic\n")
    assert f"this is the project in {elsewhere.root}" in done.err
    assert not [*folder.iterdir()]
    elsewhere.ok("undrop", "init", "--remove")
    (folder / "requirements.txt").touch()
    elsewhere.ok("undrop", "init", "--url", "sqlite:///x.db", cwd=folder)
    assert (folder / "undrop.just").exists()


@pytest.mark.more
def test_a_url_that_the_settings_contradict_is_refused(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.ok("undrop", "init")
    adopted = elsewhere.tree()
    done = elsewhere.run("undrop", "init", "--url", "sqlite:///other.db")
    assert done.code == 2
    assert f"undrop.toml in {elsewhere.root} names: app.db" in done.err
    assert elsewhere.tree() == adopted
    elsewhere.ok("undrop", "init", "--url", "sqlite+aiosqlite:///./app.db")
    inside = elsewhere.root / "migrations"
    elsewhere.ok("undrop", "init", "--url", "sqlite:///../app.db", cwd=inside)
    assert elsewhere.run("undrop", "init", "--url", "sqlite:///app.db", cwd=inside).code == 2


def test_settings_that_are_there_are_what_is_looked_at(elsewhere: Elsewhere) -> None:
    """Also where ``env.py`` goes to another database; that is said."""
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    make(elsewhere.root / "mine.db")
    elsewhere.write("pyproject.toml", '[tool.undrop]\nurl = "sqlite:///mine.db"\n')
    assert "because env.py migrates sqlite:///app.db, and undrop guards mine.db" in unguarded(
        elsewhere
    )
    assert "not guarded: app.db" in elsewhere.ok("undrop", "status")
    assert written(elsewhere) == {"url": "sqlite:///mine.db"}


READS_DOTENV = (
    "import os\nfrom dotenv import load_dotenv\nload_dotenv('.env')\n"
    "config.set_main_option('sqlalchemy.url', os.environ['APP_DB'])\n"
)


def dotenv_project(elsewhere: Elsewhere, url: str) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    change(elsewhere, READS_DOTENV)
    elsewhere.write(".env", f"OTHER=1\nexport APP_DB='{url}'  # here\n")
    elsewhere.write(".env.example", f"APP_DB={url}\n")


@pytest.mark.more
def test_the_file_that_sets_the_variable_is_found(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv_project(elsewhere, "sqlite:///app.db")
    project = variables.with_variable(find.look(elsewhere.root))
    assert (project.variable, project.env_file) == ("APP_DB", ".env")
    assert project.written == ""
    monkeypatch.setenv("APP_DB", "sqlite:///other.db")  # goes first, in this shell
    project = variables.with_variable(find.look(elsewhere.root))
    assert (project.url, project.env_file) == ("sqlite:///other.db", ".env")


@pytest.mark.more
def test_what_is_guarded_follows_the_file_that_names_it(elsewhere: Elsewhere) -> None:
    """The URL of an ignored ``.env`` is in no file that is committed."""
    dotenv_project(elsewhere, "sqlite:///app.db")
    elsewhere.ok("undrop", "init")
    assert written(elsewhere) == {"url-variable": "APP_DB", "env-file": ".env"}
    make(elsewhere.root / "second.db")
    elsewhere.write(".env", "APP_DB=sqlite:///second.db\n")
    assert f"database   {elsewhere.root}/second.db" in elsewhere.run("undrop", "status").out
    elsewhere.ok("undrop", "backup")
    assert "not guarded: app.db" in elsewhere.ok("undrop", "status")
    elsewhere.ok("alembic", "upgrade", "head")
    assert list((elsewhere.root / "backups").glob("second-*.db"))


@pytest.mark.more
def test_a_variable_of_the_shell_alone_has_no_file(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv_project(elsewhere, "sqlite:///app.db")
    (elsewhere.root / ".env").unlink()
    monkeypatch.setenv("APP_DB", "sqlite:///app.db")
    project = variables.with_variable(find.look(elsewhere.root))
    assert (project.variable, project.env_file) == ("APP_DB", "")
    assert project.written == "sqlite:///app.db"
    monkeypatch.setenv("APP_DB", SERVER)
    project = variables.with_variable(find.look(elsewhere.root))
    assert (project.variable, project.written) == ("APP_DB", "")
    assert any("APP_DB must be set" in text for text in project.unclear)


@pytest.mark.more
def test_a_servers_url_of_an_ignored_file_is_not_written_down(elsewhere: Elsewhere) -> None:
    dotenv_project(elsewhere, SERVER)
    project = variables.with_variable(find.look(elsewhere.root))
    assert (project.variable, project.env_file, project.written) == ("APP_DB", ".env", "")
    assert variables.PASSWORD not in project.unclear


def test_a_servers_url_that_only_code_knows_is_not_written_down(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    change(elsewhere, f"config.set_main_option('sqlalchemy.url', {SERVER!r})")
    before = elsewhere.tree()
    done = elsewhere.run("undrop", "init")
    assert done.code == 2
    assert "NOT guarded: only code knows postgresql+psycopg://me@nowhere.invalid/shop" in done.err
    assert "undrop init --url postgresql+psycopg://me@nowhere.invalid/shop" in done.err
    assert "secret" not in done.err + done.out
    assert elsewhere.tree() == before


def test_a_file_that_only_code_knows_is_written_from_the_root(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db", "backend")
    code = "import pathlib\nhere = pathlib.Path(__file__).resolve().parents[1]\n"
    code += "config.set_main_option('sqlalchemy.url', f'sqlite:///{here}/app.db')\n"
    change(elsewhere, code, "backend/migrations/env.py")
    elsewhere.ok("undrop", "init")
    assert written(elsewhere)["url"] == "sqlite:///backend/app.db"


def test_the_first_backup_is_of_what_env_py_goes_to_whatever_stands_in_the_ini(
    elsewhere: Elsewhere,
) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    shutil.copy(elsewhere.root / "app.db", elsewhere.root / "other.db")
    env = elsewhere.root / "migrations/env.py"
    line = "config = context.config\n"
    text = line + "config.set_main_option('sqlalchemy.url', 'sqlite:///other.db')\n"
    env.write_text(env.read_text().replace(line, text))
    adopted = elsewhere.ok("undrop", "init")
    assert "covered    yes" in adopted
    assert len([*elsewhere.root.glob("backups/other-*-undrop-init.db")]) == 1


def test_of_several_databases_each_is_named_with_the_line_to_type(elsewhere: Elsewhere) -> None:
    make(elsewhere.root / "a.db")
    (elsewhere.root / ".b").mkdir()
    make(elsewhere.root / ".b/state")
    done = elsewhere.run("undrop", "init")
    assert done.code == 2
    lines = ("Next: undrop init --url sqlite:///a.db", "or undrop init --url sqlite:///.b/state")
    for line in lines:  # with nothing behind it that would be typed, too
        assert f"        {line}\n" in done.err
    assert elsewhere.tree().keys() == {".b/state"}
    said = elsewhere.ok("undrop", "init", "--url", "sqlite:///a.db")
    assert "not guarded: .b/state" in said


def test_a_database_in_a_hidden_folder_is_named_and_not_taken(elsewhere: Elsewhere) -> None:
    """It may be some tool's own."""
    (elsewhere.root / ".tool").mkdir()
    make(elsewhere.root / ".tool/state.sqlite")
    done = elsewhere.run("undrop", "init")
    assert done.code == 2
    assert "undrop init --url sqlite:///.tool/state.sqlite" in done.err


@pytest.mark.more
def test_what_of_several_databases_cannot_be_guarded_is_named_each_time(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    make(tmp_path / "far.db")
    far, server = f"sqlite:///{tmp_path}/far.db", SERVER
    change(
        elsewhere,
        f"for other in ({far!r}, {server!r}):\n    context.configure(url=other)\n",
    )
    said = unguarded(elsewhere)  # the default is what alembic.ini names
    assert written(elsewhere)["url"] == "sqlite:///app.db"
    assert written(elsewhere)["databases"] == {"far": {"url": far}}
    assert "NOT guarded: postgresql+psycopg://me@nowhere.invalid/shop, which env.py goes to" in said
    assert "secret" not in said
    names = ["postgresql://nowhere.invalid/shop"]
    assert f"not guarded: {', '.join(names)}" in elsewhere.ok("undrop", "status")
    assert json.loads(elsewhere.ok("undrop", "status", "--json"))["unguarded"] == names


INI = "[alembic]\nscript_location = {}\nsqlalchemy.url = sqlite:///unused.db\n"
ENV = """
from alembic import context
from sqlalchemy import create_engine

url = context.config.get_main_option("sqlalchemy.url")
if context.is_offline_mode():
    context.configure(url=url)
    context.run_migrations()
else:
    with create_engine(url).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""


def installed(elsewhere: Elsewhere, package: str, location: str) -> Path:
    """An application in the project's environment, with its migrations; the folder of those."""
    (elsewhere.root / ".venv/bin").mkdir(parents=True)
    (elsewhere.root / ".venv/bin/python").symlink_to(sys.executable)
    elsewhere.write(".venv/pyvenv.cfg", f"home = {Path(sys.executable).resolve().parent}\n")
    site = f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    elsewhere.write(f"{site}/{package}/alembic.ini", INI.format(location))
    env = elsewhere.write(f"{site}/{package}/migrations/env.py", ENV)
    elsewhere.write(f"{site}/{package}/migrations/versions/1_notes.py", MIGRATION)
    listed = f"{package}/alembic.ini,,\n{package}/migrations/env.py,sha256=x,9\n"
    elsewhere.write(f"{site}/{package}-1.dist-info/RECORD", listed)
    with closing(sqlite3.connect(elsewhere.root / "state.sqlite")) as connection, connection:
        connection.executescript(
            "CREATE TABLE alembic_version (version_num TEXT); "
            "INSERT INTO alembic_version VALUES ('1');"
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);"
            "INSERT INTO notes (text) VALUES ('one')"
        )
    return env.parent


@pytest.mark.more
@pytest.mark.parametrize(
    ("package", "command"), [("airflow", "airflow db migrate"), ("harbour", "COMMAND")]
)
def test_migrations_that_an_application_brings_along_are_found(
    elsewhere: Elsewhere, package: str, command: str
) -> None:
    migrations = installed(elsewhere, package, "%(here)s/migrations")
    before = less_database(elsewhere)
    said = unguarded(elsewhere)
    assert f"just run {command}" in said
    assert f"NOT guarded: {package}'s own upgrade when it is typed alone" in said
    assert "ExecStartPre=undrop backup" in said
    ini = migrations.parent / "alembic.ini"
    table = written(elsewhere)
    assert elsewhere.root / table["alembic"] == ini
    variable = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" if package == "airflow" else None
    assert table.get("url-variable") == variable
    migrates(elsewhere, "state.sqlite")
    said = unguarded(elsewhere)
    assert f"just run {command}" in said
    assert "adopted already" in said
    elsewhere.ok("undrop", "init", "--remove")
    assert less_database(elsewhere) == before


def less_database(elsewhere: Elsewhere) -> dict[str, bytes | str]:
    """Every other file."""
    tree = elsewhere.tree()
    del tree["state.sqlite"]
    return tree


def test_migrations_without_a_usable_configuration_are_said(elsewhere: Elsewhere) -> None:
    """JupyterHub's ``alembic.ini`` is a template that it fills in itself."""
    installed(elsewhere, "jupyterhub", "{alembic_dir}")
    said = unguarded(elsewhere)
    assert "just run jupyterhub upgrade-db" in said
    assert "`migrate` cannot run" in said
    assert "alembic" not in written(elsewhere)


def test_a_configuration_that_names_its_own_package_is_used(elsewhere: Elsewhere) -> None:
    """Prefect's: ``package:folder``."""
    migrations = installed(elsewhere, "harbour", "harbour:migrations")
    unguarded(elsewhere)
    assert elsewhere.root / written(elsewhere)["alembic"] == migrations.parent / "alembic.ini"


def test_a_package_with_other_migrations_is_not_taken(elsewhere: Elsewhere) -> None:
    migrations = installed(elsewhere, "airflow", "%(here)s/migrations")
    file = migrations / "versions/1_notes.py"
    file.write_text(file.read_text().replace('"1"', '"2"'))
    said = elsewhere.done("undrop", "init")
    assert "airflow" not in said.out + said.err
    assert written(elsewhere) == {"url": "sqlite:///state.sqlite"}


@pytest.mark.more
def test_a_path_in_a_dotenv_file_is_from_where_alembic_is_called(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db", "backend")
    elsewhere.write("backend/.env", "DATABASE_URL=sqlite:///app.db\n")
    code = "import os\nfrom dotenv import load_dotenv\nload_dotenv()\n"
    code += "config.set_main_option('sqlalchemy.url', os.environ['DATABASE_URL'])\n"
    change(elsewhere, code, "backend/migrations/env.py")
    ini = elsewhere.root / "backend/alembic.ini"
    ini.write_text(ini.read_text().replace("sqlalchemy.url = ", "nothing = "))
    assert elsewhere.ok("undrop", "init").endswith("\nGuarded: alembic\n")
    table = written(elsewhere)
    assert "url" not in table
    assert table["env-file"] == "backend/.env"
    rows = content(elsewhere.root / "backend/app.db")
    done = elsewhere.done("alembic", "downgrade", "base", cwd=elsewhere.root / "backend")
    assert "ANOTHER" not in done.err
    elsewhere.ok("undrop", "undo")
    assert content(elsewhere.root / "backend/app.db") == rows
    elsewhere.ok("undrop", "rehearse")
