"""Which file is meant: exactly the one that SQLAlchemy would open."""

import sqlite3
import string
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shop import Project, make
from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from undrop.engines import registry
from undrop.engines.sqlite.address import database_path
from undrop.errors import UsageError
from undrop.settings import load

URLS = [
    "sqlite:///app.db",
    "sqlite+pysqlite:///app.db",
    "sqlite:///./app.db",
    "sqlite:///sub/../app.db",
    "sqlite:///with space.db",
    "sqlite:///a%20b.db",
    "sqlite:///a+b.db",
    "sqlite:///a&b=c.db",
    "sqlite:///hash%23.db",
    "sqlite:///app.db?timeout=5",
    "sqlite:///file:uri.db?uri=true",
    "sqlite:///file:uri.db?mode=rwc&uri=true",
    "sqlite:///file:uri.db?mode=rwc&cache=shared&uri=true",
    "sqlite:///file:uri.db?vfs=unix&nolock=0&uri=true",
    "sqlite:///file:not-a-uri.db",
    "sqlite:///größe-😀.db",
]
IN_MEMORY = [
    "sqlite://",
    "sqlite:///",
    "sqlite:///:memory:",
    "sqlite+pysqlite:///:memory:",
    "sqlite:///file::memory:?uri=true",
    "sqlite:///file:name?mode=memory&cache=shared&uri=true",
    "sqlite:///file:/name?vfs=memdb&uri=true",
]
REFUSED = [
    "mysql://u:p@h/db",
    "sqlite+pysqlcipher:///x.db",
    "sqlite+nothing:///x.db",
    "no url at all",
    "sqlite://host/x.db",
    "sqlite:///file://host/x.db?uri=true",
    "sqlite:///file:x.db?vfs=unix-dotfile&uri=true",
    "sqlite:///file:x.db?vfs=unix-none&mode=rw&uri=true",
    "sqlite:///file:x.db?nolock=1&uri=true",
    "sqlite:///file:x.db?immutable=yes&uri=true",
    "mysql+pymysql://h/db",
]


def opened(url: str | URL, root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file that SQLAlchemy opens for ``url`` in ``root``."""
    monkeypatch.chdir(root)
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("PRAGMA database_list").first()[2])  # type: ignore[index]


@pytest.mark.parametrize("url", URLS)
def test_a_url_means_what_sqlalchemy_takes_it_to_mean(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    assert str(database_path(url, tmp_path)) == opened(url, tmp_path, monkeypatch)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/")
        | st.sampled_from("?#%&+ '\"$();"),
        min_size=1,
        max_size=40,
    ).filter(lambda name: name.strip(". ") and not name.startswith(":"))
)
def test_any_file_name_in_a_url(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = URL.create("sqlite", database=f"./{name}").render_as_string()
    expected = opened(url, tmp_path, monkeypatch)
    assert str(database_path(url, tmp_path)) == expected


@pytest.mark.parametrize("url", IN_MEMORY)
def test_what_lives_in_memory_is_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database_path(url, tmp_path) is None
    opened(url, tmp_path, monkeypatch)
    assert not list(tmp_path.iterdir())


def test_aiosqlite_is_sqlite(tmp_path: Path) -> None:
    assert database_path("sqlite+aiosqlite:///app.db", tmp_path) == tmp_path / "app.db"
    assert database_path("sqlite+aiosqlite:///a b.db", tmp_path) == tmp_path / "a b.db"


@pytest.mark.parametrize("url", REFUSED)
def test_anything_else_is_wrong_configuration(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        database_path(url, tmp_path)


def test_a_refused_url_is_exit_2_and_looking_creates_nothing(project: Project) -> None:
    done = project.just("backup", QUARTERMASTER_DB_URL="mysql://h/db")
    assert done.code == 2
    assert len(done.err.splitlines()) == 3
    assert not project.backups.exists()


@pytest.mark.parametrize(
    "name", ["a?b.db", "a#b.db", "a%20b.db", "a b.db", "-rf.db", "é'\"$(x).db"]
)
def test_odd_file_names_are_backed_up_and_restored(project: Project, name: str) -> None:
    odd = project.root / name
    make(odd)
    url = URL.create("sqlite", database=name).render_as_string()
    if database_path(url, project.root) != odd:
        pytest.skip("this SQLAlchemy's URLs cannot name such a file")
    before = odd.read_bytes()
    project.ok("just", "backup", QUARTERMASTER_DB_URL=url)
    project.ok("just", "nuke-db", QUARTERMASTER_DB_URL=url)
    assert not odd.exists()
    project.ok("just", "restore", "latest", QUARTERMASTER_DB_URL=url)
    assert odd.stat().st_size == len(before)
    assert {path.name for path in project.root.glob("*.db")} == {name}


def test_a_file_uri_is_migrated_where_it_is_backed_up(project: Project) -> None:
    url = "sqlite:///file:uri%20name.db?mode=rwc&uri=true"
    expected = database_path(url, project.root)
    assert expected is not None
    project.ok("alembic", "upgrade", "head", QUARTERMASTER_DB_URL=url)
    assert expected.is_file()
    expected.unlink()
    project.ok("just", "migrate", QUARTERMASTER_DB_URL=url)
    assert expected.is_file()
    assert not project.database.exists()


def test_an_empty_variable_counts_as_unset(project: Project) -> None:
    make(project.database)
    assert project.ok("just", "backup", QUARTERMASTER_DB_URL="").strip()


def write(project: Project, text: str) -> None:
    (project.root / "pyproject.toml").write_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "[tool.undrop]\n",
        "[tool.undrop]\nurl = 3\n",
        "[tool.other]\nurl = 'sqlite:///x.db'\n",
        "tool = 3\n",
        "[tool]\nundrop = 'sqlite:///x.db'\n",
        "text = '''\n[tool.undrop]\nurl = \"sqlite:///x.db\"\n'''\n",
        "not toml",
        "",
    ],
)
def test_a_wrong_configuration_says_what_to_set(project: Project, text: str) -> None:
    write(project, text)
    done = project.undrop("backup")
    assert done.code == 2
    assert "Next:" in done.err


def test_backups_can_be_elsewhere_and_no_variable_is_needed(project: Project) -> None:
    write(project, "[tool.undrop]\nurl = 'sqlite:///mine.db'\nbackups = 'safe/here'\n")
    make(project.root / "mine.db")
    path = Path(project.ok("undrop", "backup").strip())
    assert path.parent == project.root / "safe/here"
    assert load(project.root).variable == ""


def test_works_from_any_folder_below(project: Project) -> None:
    make(project.database)
    below = project.root / "a" / "b"
    below.mkdir(parents=True)
    assert Path(project.ok("undrop", "backup", cwd=below).strip()).parent == project.backups
    assert Path(project.ok("just", "backup", cwd=below).strip()).parent == project.backups


def test_a_moved_project_keeps_its_backups(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup")
    project.root.rename(moved := project.root.with_name("moved"))
    (moved / "quartermaster.db").unlink()
    done = project.run("just", "restore", "latest", cwd=moved)
    assert done.code == 0
    assert (moved / "quartermaster.db").is_file()


def test_letters_that_need_no_sqlalchemy() -> None:
    plain = string.ascii_letters + string.digits + "_./-"
    assert database_path(f"sqlite:////{plain}.db", Path("/p")) == Path(f"/{plain}.db")


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (sqlite3.OperationalError("x"), True),
        (psycopg.errors.LockNotAvailable("x"), True),
        (KeyError("x"), False),
    ],
)
def test_what_a_driver_raises_is_told_from_a_fault_of_our_own(
    error: Exception, *, whose: bool
) -> None:
    """The one is put in three lines, of the other the traceback is wanted."""
    assert registry.is_of_driver(error) == whose


def own_file(project: Project, text: str) -> Path:
    """Settings in undrop.toml alone."""
    (project.root / "pyproject.toml").unlink(missing_ok=True)
    file = project.root / "undrop.toml"
    file.write_text(text)
    return file


def test_a_project_without_pyproject_has_undrop_toml(project: Project) -> None:
    own_file(project, 'url = "sqlite:///mine.db"\nbackups = "safe"\n')
    make(project.root / "mine.db")
    (below := project.root / "a/b").mkdir(parents=True)
    path = Path(project.ok("undrop", "backup", cwd=below).strip())
    assert path.parent == project.root / "safe"


def test_settings_in_two_places_are_refused(project: Project) -> None:
    (project.root / "undrop.toml").write_text('url = "sqlite:///mine.db"\n')
    done = project.undrop("backup")
    assert done.code == 2
    assert "undrop.toml and in [tool.undrop] of pyproject.toml" in done.err


def test_the_nearest_settings_count_whichever_file_they_are_in(project: Project) -> None:
    (inner := project.root / "inner").mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert load(inner).root == project.root
    (inner / "undrop.toml").write_text('url = "sqlite:///inner.db"\n')
    assert load(inner).url == "sqlite:///inner.db"


@pytest.mark.parametrize("text", ["url = 3\n", "", "backups = '.'\nurl = 'sqlite:///x.db'\n"])
def test_what_is_wrong_in_undrop_toml_names_it(project: Project, text: str) -> None:
    own_file(project, text)
    done = project.undrop("backup")
    assert done.code == 2
    assert "undrop.toml" in done.err
    assert "pyproject" not in done.err
    assert "Next:" in done.err


def test_a_url_that_is_none_names_the_file_where_it_is(project: Project) -> None:
    own_file(project, "url = 'sqlite:///x.db'\n")
    for url in ("mysql://host/x", "nonsense", "sqlite://"):
        own_file(project, f"url = '{url}'\n")
        done = project.undrop("nuke-db")
        assert 'set `url = "sqlite:///app.db"` in undrop.toml' in done.err, done


def dotenv(project: Project, text: str, more: str = "") -> None:
    """A project whose URL is in a dotenv file alone."""
    own_file(project, f'url-variable = "APP_DB"\nenv-file = "conf/.env"\n{more}')
    (project.root / "conf").mkdir(exist_ok=True)
    (project.root / "conf/.env").write_text(text)


def test_the_url_is_in_a_dotenv_file(project: Project) -> None:
    """The environment goes first, ``url`` comes last; a path is from the project's folder."""
    dotenv(project, "# ours\nexport APP_DB='sqlite:///mine.db'\nOTHER=1\n")
    make(project.root / "mine.db")
    assert Path(project.ok("undrop", "backup").strip()).name.startswith("mine-")
    make(project.root / "shell.db")
    said = project.ok("undrop", "backup", APP_DB="sqlite:///shell.db")
    assert Path(said.strip()).name.startswith("shell-")
    dotenv(project, "APP_DB=\n", 'url = "sqlite:///last.db"\n')
    assert load(project.root).url == "sqlite:///last.db"
    (project.root / "conf/.env").unlink()
    assert load(project.root).url == "sqlite:///last.db"


def test_where_the_dotenv_file_does_not_say_it_both_are_named(project: Project) -> None:
    for text in ("", "APP_DB=\n", "APP_DB\n", "OTHER=secret\n"):
        dotenv(project, text)
        done = project.undrop("status")
        assert done.code == 2
        assert f"APP_DB is not in the environment, nor in {project.root}/conf/.env" in done.err
        assert "Next: set APP_DB in conf/.env" in done.err
        assert "secret" not in done.err
    (project.root / "conf/.env").unlink()
    assert project.undrop("status").code == 2
    (project.root / "conf/.env").write_bytes(b"APP_DB=\xe9secret\n")
    done = project.undrop("status")
    assert (done.code, "secret" in done.err, "conf/.env is not UTF-8" in done.err) == (
        2,
        False,
        True,
    )


def test_a_dotenv_file_without_a_variable_is_refused(project: Project) -> None:
    own_file(project, 'env-file = ".env"\nurl = "sqlite:///x.db"\n')
    done = project.undrop("status")
    assert done.code == 2
    assert 'set `url-variable = "DATABASE_URL"` in undrop.toml' in done.err
