"""A Django project: ``manage.py`` takes a backup first, and ``just migrate`` runs it on a copy."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from djangos import DROPPED, HARD, HERE, ITEMS, SETTINGS, SIZED, Djangos, sqlite
from server import Server
from shop import content, some

WRITES_LIVE = """\
import sqlite3


def write(apps, schema_editor):
    connection = sqlite3.connect({database!r})
    connection.execute("DELETE FROM stock_item")
    connection.commit()


"""
WRITES_LOGS = """\
def write(apps, schema_editor):
    from django.db import connections

    connections["logs"].cursor().execute("DELETE FROM stock_item")


"""
RUNS = "migrations.RunPython(write)"


@pytest.fixture
def django(tmp_path: Path) -> Djangos:
    there = Djangos(tmp_path / "theirs")
    there.stock()
    return there


def test_it_is_adopted_and_migrates_on_a_copy_that_says_what_it_would_lose(
    django: Djangos,
) -> None:
    rows, before = content(django.database), django.tree()
    adopted = django.ok("undrop", "init")
    assert adopted.endswith("Guarded: manage.py\n")
    assert content(django.database) == rows
    django.migration("0002_sized", SIZED, needs="0001_items")
    status = django.ok("just", "status")
    assert "stock 0001_items, the code's head is stock 0002_sized: just migrate" in status
    assert "pending    stock 0002_sized" in status
    assert django.ok("just", "rehearse").startswith("stock 0001_items -> stock 0002_sized\n")
    assert content(django.database) == rows
    django.ok("just", "migrate")
    migrated = content(django.database)
    assert "pending" not in django.ok("just", "status")

    path = django.migration("0003_dropped", DROPPED, needs="0002_sized")
    stopped = django.run("just", "migrate")
    assert stopped.code == 4, stopped
    assert "stock_item.note" in stopped.err
    assert content(django.database) == migrated
    django.migration("0003_dropped", DROPPED, needs="0002_sized", accepts=("stock_item.note",))
    django.ok("just", "migrate")
    django.ok("just", "undo")
    assert content(django.database) == migrated
    django.ok("just", "undo")
    django.ok("just", "migrate", "stock", "0001", "--accept-loss")
    assert "size" not in "".join(content(django.database))
    django.ok("just", "restore", "latest")
    path.unlink()
    (path.parent / "0002_sized.py").unlink()
    django.ok("undrop", "init", "--remove")
    assert django.tree() == before


def test_its_own_commands_take_a_backup_first_and_undo_takes_them_back(django: Djangos) -> None:
    django.ok("undrop", "init")
    django.migration("0002_sized", SIZED, needs="0001_items")
    rows = content(django.database)
    for looks in (("migrate", "--plan"), ("migrate", "--help"), ("flush", "--help")):
        django.manage(*looks)
    assert django.run("python", "manage.py", "migrate", "--check").code == 1
    assert django.kept("django") == []

    django.manage("migrate", "stock")
    [kept] = django.kept("django")
    assert content(kept) == rows
    assert content(django.database) != rows
    django.ok("just", "undo")
    assert content(django.database) == rows
    django.manage("flush", "--no-input")
    assert not any("INSERT INTO stock_item" in line for line in content(django.database))
    django.ok("just", "undo")
    assert content(django.database) == rows


TESTS = """\
from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase


class Flushed(TransactionTestCase):
    def test_what_is_flushed_is_the_tests_own(self):
        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM stock_item")
            assert cursor.fetchone() == (0,)
            cursor.execute("INSERT INTO stock_item (name, note) VALUES ('t', '')")
"""


def test_its_tests_use_their_own_database_and_no_backup_is_taken(tmp_path: Path) -> None:
    """In a file, as with ``--keepdb``: in memory there would be nothing to back up."""
    own = ', "TEST": {"NAME": Path(__file__).parent / "of_tests.db"}'
    databases = sqlite("default", HERE.format("app.db"), own)
    django = Djangos(tmp_path / "theirs", SETTINGS.format(databases=databases))
    django.stock()
    django.ok("undrop", "init")
    django.write("stock/tests.py", TESTS)
    rows = content(django.database)
    said = django.manage("test", "--keepdb")
    assert "Ran 1 test" in said
    assert "undrop" not in said
    assert content(django.database) == rows
    assert (django.root / "of_tests.db").exists()
    assert django.kept("django") == []


TENANT = """\
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections


class Command(BaseCommand):
    def handle(self, **options):
        connections.databases["tenant"] = {**connections.databases["default"], "NAME": "tenant.db"}
        call_command("migrate", database="tenant", verbosity=0)
"""


@pytest.mark.more
def test_a_database_that_comes_after_the_start_is_backed_up_and_said(django: Djangos) -> None:
    django.ok("undrop", "init")
    for folder in ("management", "management/commands"):
        django.write(f"stock/{folder}/__init__.py", "")
    django.write("stock/management/commands/tenant.py", TENANT)
    django.database.rename(django.root / "tenant.db")
    rows = content(django.root / "tenant.db")
    django.migration("0002_sized", SIZED, needs="0001_items")
    said = django.manage("tenant")
    assert "THIS MIGRATION GOES TO ANOTHER DATABASE: " in said
    [kept] = django.kept("django")
    assert content(kept) == rows


@pytest.mark.more
def test_a_migration_that_fails_half_way_leaves_live_as_it_was(django: Djangos) -> None:
    django.ok("undrop", "init")
    rows = content(django.database)
    broken = 'migrations.RunSQL("INSERT INTO nowhere VALUES (1)")'
    django.migration("0002_broken", f"{SIZED}, {broken}", needs="0001_items")
    failed = django.run("just", "migrate")
    assert failed.code == 1, failed
    assert "the migration failed: OperationalError: no such table: nowhere" in failed.err
    assert content(django.database) == rows
    wrong = django.run("just", "migrate", "nope")
    assert wrong.code == 2, wrong
    assert "Django says: No installed app with label 'nope'." in wrong.err


HARD_AND_LOADED = f"{HARD}\n    import django\n    django.setup()"


@pytest.mark.more
@pytest.mark.parametrize("manage", [HARD, HARD_AND_LOADED], ids=["hard", "hard and loaded"])
def test_whatever_settings_manage_py_forces_live_is_migrated_by_no_copys_migration(
    tmp_path: Path, manage: str
) -> None:
    there = Djangos(tmp_path / "theirs", manage=manage)
    there.stock()
    assert there.ok("undrop", "init").endswith("Guarded: manage.py\n")
    rows = content(there.database)
    there.migration("0002_sized", SIZED, needs="0001_items")
    done = there.run("just", "rehearse")
    assert content(there.database) == rows
    if manage == HARD:
        assert done.code == 0, done
    else:
        assert done.code == 2, done
        assert "let it set the variable by os.environ.setdefault" in done.err


@pytest.mark.more
def test_a_migration_that_goes_to_live_by_itself_is_refused(django: Djangos) -> None:
    django.ok("undrop", "init")
    rows = content(django.database)
    code = WRITES_LIVE.format(database=str(django.database))
    django.migration("0002_past", RUNS, needs="0001_items", code=code)
    refused = django.run("just", "migrate")
    assert refused.code == 1, refused
    assert "0002_past.py" in refused.err
    assert "schema_editor.connection" in refused.err
    assert content(django.database) == rows


@pytest.mark.more
def test_a_squashed_migration_counts_as_what_it_stands_for(django: Djangos) -> None:
    django.ok("undrop", "init")
    django.migration("0002_sized", SIZED, needs="0001_items")
    squash = ("0001_items", "0002_sized")
    # One of the two has run: Django runs the other, and never the squashed one.
    django.migration("0001_squashed", f"{ITEMS}, {SIZED}", replaces=squash)
    assert "pending    stock 0002_sized\nspace" in django.ok("just", "status")
    django.ok("just", "migrate")
    assert "pending" not in django.ok("just", "status")
    assert "here do not know" not in django.ok("just", "status")
    with closing(sqlite3.connect(django.database)) as connection:
        ran = connection.execute("SELECT name FROM django_migrations ORDER BY id").fetchall()
    assert ran == [("0001_items",), ("0002_sized",), ("0001_squashed",)]
    # The old files go, then what it stands for: their rows stay in the database.
    for name in squash:
        (django.root / f"stock/migrations/{name}.py").unlink()
    assert "pending" not in django.ok("just", "status")
    # None has run in an empty one: the squashed one alone is run there.
    django.ok("just", "reset-db")
    assert "pending" not in django.ok("just", "status")


@pytest.mark.more
def test_what_a_squashed_migration_stood_for_is_no_other_branchs_once_it_stands_alone(
    django: Djangos,
) -> None:
    """As Django's documentation ends a squash: the old files go, and so does ``replaces``."""
    django.ok("undrop", "init")
    old = django.migration("0002_sized", SIZED, needs="0001_items")
    django.ok("just", "migrate")
    both = ("0001_items", "0002_sized")
    squashed = django.migration("0001_squashed", f"{ITEMS}, {SIZED}", replaces=both)
    django.ok("just", "migrate")
    lines = squashed.read_text().splitlines()
    squashed.write_text("".join(f"{line}\n" for line in lines if "replaces" not in line))
    old.unlink()
    (django.root / "stock/migrations/0001_items.py").unlink()
    seen = django.ok("just", "status")
    assert "do not know" not in seen
    assert "pending" not in seen


@pytest.mark.more
def test_a_new_database_without_a_byte_is_not_said_to_be_lost(django: Djangos) -> None:
    """As ``makemigrations`` and ``check`` leave one."""
    django.database.write_bytes(b"")
    said = django.done("undrop", "init")
    assert "LOST" not in said.out
    assert "LOST" not in django.run("just", "status").out
    django.ok("just", "migrate")
    django.ok("just", "backup")
    django.database.write_bytes(b"")
    assert "LOST" in django.run("just", "status").out


@pytest.mark.more
def test_a_migration_of_another_branch_is_said_and_that_of_an_app_that_left_is_not(
    django: Djangos,
) -> None:
    django.ok("undrop", "init")
    path = django.migration("0002_sized", SIZED, needs="0001_items")
    django.ok("just", "migrate")
    path.unlink()
    assert "which the migrations here do not know" in django.ok("just", "status")
    with closing(sqlite3.connect(django.database)) as connection, connection:
        connection.execute("UPDATE django_migrations SET app = 'gone' WHERE name = '0002_sized'")
    assert "here do not know" not in django.run("just", "status").out


@pytest.mark.more
def test_a_default_that_is_none_is_chosen_among_the_others(tmp_path: Path) -> None:
    """As docs.djangoproject.com has it where each application has a database of its own."""
    others = "".join(sqlite(alias, HERE.format(f"{alias}.db")) for alias in ("main", "logs"))
    there = Djangos(tmp_path / "theirs", SETTINGS.format(databases=f'"default": {{}}, {others}'))
    for alias in ("main", "logs"):
        there.manage("migrate", f"--database={alias}", "-v0")
    asked = there.run("undrop", "init")
    assert asked.code == 2
    assert "undrop init --url sqlite:///main.db" in asked.err
    assert "Guarded: manage.py\n" in there.ok("undrop", "init", "--url", "sqlite:///main.db")
    written = (there.root / "undrop.toml").read_text()
    assert 'url = "sqlite:///main.db"\n' in written
    assert '[databases.logs]\nurl = "sqlite:///logs.db"\n' in written
    there.migration("0002_sized", SIZED, needs="0001_items")
    assert "stock 0001_items -> stock 0002_sized" in there.ok("just", "migrate")
    there.manage("migrate", "--database=logs", "-v0")
    assert [kept.name.split("-")[0] for kept in there.kept("django")] == ["logs"]


@pytest.mark.more
def test_of_several_databases_each_is_written_down_and_the_one_that_is_named_backed_up(
    tmp_path: Path,
) -> None:
    databases = "".join(
        sqlite(alias, HERE.format(file))
        for alias, file in (("default", "app.db"), ("logs", "logs.db"))
    )
    there = Djangos(tmp_path / "theirs", SETTINGS.format(databases=databases))
    there.stock()
    there.manage("migrate", "--database=logs", "-v0")
    there.ok("undrop", "init")
    assert (
        '[databases.logs]\nurl = "sqlite:///logs.db"\n' in (there.root / "undrop.toml").read_text()
    )
    there.migration("0002_sized", SIZED, needs="0001_items")
    rows, logs = content(there.database), content(there.root / "logs.db")
    said = there.manage("migrate", "--database=logs")
    assert "ANOTHER DATABASE" not in said
    [kept] = there.kept("django")
    assert kept.name.startswith("logs-")
    assert content(kept) == logs
    assert content(there.database) == rows
    there.ok("just", "undo", "--db", "logs")
    assert content(there.root / "logs.db") == logs
    there.ok("just", "migrate", "--db", "logs")
    assert content(there.root / "logs.db") != logs
    assert content(there.database) == rows
    # A migration of the one cannot write to the other.
    there.migration("0003_past", RUNS, needs="0002_sized", code=WRITES_LOGS)
    logs = content(there.root / "logs.db")
    refused = there.run("just", "migrate")
    assert refused.code == 1, refused
    assert "logs.db" in refused.err
    assert (content(there.database), content(there.root / "logs.db")) == (rows, logs)


@pytest.mark.more
def test_another_database_than_the_guarded_one_is_backed_up_and_said(django: Djangos) -> None:
    django.ok("undrop", "init")
    (django.root / "other").mkdir()
    django.database.rename(django.root / "other/app.db")
    name = HERE.format("other/app.db")
    django.write(
        "site_settings.py",
        (django.root / "site_settings.py").read_text().replace(HERE.format("app.db"), name),
    )
    said = django.manage("flush", "--no-input")
    assert f"THIS FLUSH GOES TO ANOTHER DATABASE: {django.root / 'other/app.db'}" in said
    assert "It has a backup now, too" in said
    assert len(django.kept("django")) == 1


OTHER = """\
from django.db.backends.sqlite3.base import DatabaseWrapper as Sqlite


class DatabaseWrapper(Sqlite):
    vendor = "firebird"
"""


@pytest.mark.more
def test_a_database_of_another_kind_is_said_not_to_be_guarded_each_time(tmp_path: Path) -> None:
    """And one that is named by a URI, which SQLite reads, is guarded as ever."""
    uri = f'"file:{tmp_path}/theirs/app.db?mode=rwc"'
    other = sqlite("other", HERE.format("other.db"))
    other = other.replace("django.db.backends.sqlite3", "firebird")
    databases = sqlite("default", uri) + other
    there = Djangos(tmp_path / "theirs", SETTINGS.format(databases=databases))
    there.write("firebird/__init__.py", "")
    there.write("firebird/base.py", OTHER)
    there.stock()
    adopted = there.run("undrop", "init")
    assert adopted.code == 4, adopted
    assert "Guarded: manage.py" in adopted.out
    assert "NOT guarded: manage.py … --database=other, because firebird is not" in adopted.out
    rows = content(there.database)
    said = there.manage("migrate", "--database=other")
    assert "NO BACKUP WAS TAKEN BEFORE THIS MIGRATION: firebird is not supported" in said
    assert there.kept("django") == []
    there.migration("0002_sized", SIZED, needs="0001_items")
    there.ok("just", "migrate")
    there.manage("flush", "--no-input")
    assert len(there.kept("django")) == 1
    there.ok("just", "undo")
    there.ok("just", "restore", "1")
    assert content(there.database) == rows


@pytest.mark.more
def test_a_backup_that_fails_is_said_loudly_and_the_command_goes_on(django: Djangos) -> None:
    django.ok("undrop", "init")
    for path in django.root.glob("backups/*"):
        path.unlink()
    (django.root / "backups/.lock").unlink(missing_ok=True)
    (django.root / "backups").rmdir()
    (django.root / "backups").write_text("in the way")
    said = django.manage("flush", "--no-input")
    assert "NO BACKUP WAS TAKEN BEFORE THIS FLUSH: the backup ended with" in said
    assert not any("INSERT INTO stock_item" in line for line in content(django.database))


FLUSH = """\
from django.core.management.commands.flush import Command as Flush


class Command(Flush):
    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--extra")

    def handle(self, **options):
        print("theirs", options["extra"])
"""


@pytest.mark.more
def test_another_applications_command_is_the_one_that_runs(django: Djangos) -> None:
    for name in ("management", "management/commands"):
        django.write(f"stock/{name}/__init__.py", "")
    django.write("stock/management/commands/flush.py", FLUSH)
    django.ok("undrop", "init")
    assert "theirs 3" in django.manage("flush", "--extra=3")
    assert len(django.kept("django")) == 1


@pytest.mark.more
def test_a_command_within_a_migration_is_part_of_it(django: Djangos) -> None:
    django.ok("undrop", "init")
    django.write("two.json", '[{"model": "stock.item", "fields": {"name": "c", "note": "3"}}]')
    code = (
        "def write(apps, schema_editor):\n    from django.core.management import call_command\n"
        "    call_command('loaddata', 'two.json')\n\n\n"
    )
    django.migration("0002_loaded", RUNS, needs="0001_items", code=code)
    rows = content(django.database)
    django.manage("migrate")
    assert len(content(django.database)) > len(rows)
    assert len(django.kept("django")) == 1
    django.ok("just", "undo")
    assert content(django.database) == rows


STARTS = """\
import os, sys
sys.path.insert(0, "")
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
import django
from django.core.management import get_commands, load_command_class
django.setup()
load_command_class(get_commands()["migrate"], "migrate")
print(*sorted(name for name in sys.modules if name.startswith(("undrop", "sqlalchemy"))))
"""


@pytest.mark.more
def test_django_starts_without_loading_what_a_backup_needs(django: Djangos) -> None:
    django.ok("undrop", "init")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    loaded = django.ok("python", "-c", STARTS, PATH=path).split()
    assert "undrop.django.apps" in loaded
    assert all(name == "undrop" or name.startswith("undrop.django") for name in loaded), loaded


SHAPES = {
    "a tuple": 'INSTALLED_APPS = ("stock",)',
    "a star": "from base_settings import *",
    "a class": "class Apps(list):\n    pass\n\n\nINSTALLED_APPS = Apps(['stock'])",
}


@pytest.mark.more
@pytest.mark.parametrize("shape", SHAPES)
def test_settings_of_other_shapes_are_guarded_or_said_not_to_be(
    django: Djangos, shape: str
) -> None:
    own = (django.root / "site_settings.py").read_text()
    text = own.replace('INSTALLED_APPS = ["stock"]', SHAPES[shape])
    if shape == "a star":
        django.write("base_settings.py", own)
        text = f"{SHAPES[shape]}\n"
    django.write("site_settings.py", text)
    before = django.tree()
    done = django.run("undrop", "init")
    if shape == "a class":
        assert done.code == 4, done
        why = "because INSTALLED_APPS is no list there, but Apps: put 'undrop.django' first"
        assert f"NOT guarded: manage.py, {why}" in done.out
    else:
        assert done.out.endswith("Guarded: manage.py\n"), done
        django.manage("flush", "--no-input")
        assert len(django.kept("django")) == 1
        script = "import site_settings; print(type(site_settings.INSTALLED_APPS).__name__)"
        kind = "tuple" if shape == "a tuple" else "list"
        assert django.ok("python", "-c", script) == f"{kind}\n"
    django.ok("undrop", "init", "--remove")
    assert django.tree() == before


@pytest.mark.more
def test_settings_outside_of_the_project_are_not_written_to(
    django: Djangos, tmp_path: Path
) -> None:
    outside = tmp_path / "outside/site_settings.py"
    outside.parent.mkdir()
    own = (django.root / "site_settings.py").read_text()
    outside.write_text(own.replace("Path(__file__).parent", f"Path({str(django.root)!r})"))
    (django.root / "site_settings.py").unlink()
    manage = (django.root / "manage.py").read_text()
    there = f"    sys.path.insert(0, {str(outside.parent)!r})\n    os.environ"
    django.write("manage.py", manage.replace("    os.environ", there, 1))
    before = outside.read_bytes()
    done = django.run("undrop", "init")
    assert done.code == 4, done
    assert f"NOT guarded: manage.py, because its settings are not in the project: {outside}" in (
        done.out
    )
    assert outside.read_bytes() == before
    django.migration("0002_sized", SIZED, needs="0001_items")
    django.ok("just", "migrate")


CLASS = """\
    os.environ["DJANGO_CONFIGURATION"] = "Dev"
    os.environ"""


@pytest.mark.more
def test_settings_that_are_a_class_are_said_not_to_be_guarded_and_get_no_migrate(
    django: Djangos,
) -> None:
    """As django-configurations has them: a variable of its own names the class."""
    text = (django.root / "manage.py").read_text()
    django.write("manage.py", text.replace("    os.environ", CLASS, 1))
    adopted = django.run("undrop", "init")
    assert adopted.code == 4, adopted
    assert "NOT guarded: manage.py, because its settings are a class" in adopted.out
    assert "\nmigrate *args" not in (django.root / "undrop.just").read_text()
    django.ok("just", "run", "python", "manage.py", "flush", "--no-input")
    django.ok("just", "undo")


@pytest.mark.more
def test_lines_of_ones_own_in_the_settings_are_as_good(django: Djangos) -> None:
    own = (django.root / "site_settings.py").read_text()
    django.write("site_settings.py", own.replace('["stock"]', '["undrop.django", "stock"]'))
    before = django.tree()
    assert django.ok("undrop", "init").endswith("Guarded: manage.py\n")
    django.ok("undrop", "init", "--remove")
    assert django.tree() == before
    django.ok("undrop", "init")
    django.write("site_settings.py", own)
    moved = django.run("undrop", "init", "--check")
    assert moved.code == 4, moved
    assert "let undrop.django be the first of INSTALLED_APPS" in moved.out


@pytest.mark.more
def test_it_lies_in_a_folder_of_its_own_and_nothing_of_ours_stays(django: Djangos) -> None:
    django.into("backend")
    before = django.tree()
    rows = content(django.database)
    adopted = django.ok("undrop", "init")
    assert adopted.endswith("Guarded: manage.py\n")
    assert 'django = "backend/manage.py"' in (django.root / "undrop.toml").read_text()
    tree = django.tree()
    assert "nothing to change" in django.done("undrop", "init").err
    assert django.ok("undrop", "init", "--check") == "Guarded: manage.py\n"
    assert django.tree() == tree
    django.ok("python", "manage.py", "flush", "--no-input", cwd=django.root / "backend")
    django.ok("just", "undo")
    assert content(django.database) == rows
    django.ok("undrop", "init", "--remove")
    assert django.tree() == before


@pytest.mark.more
@pytest.mark.parametrize("env_file", [".env", ""], ids=["in a file", "in the environment"])
def test_the_variable_that_names_the_database_is_found(tmp_path: Path, env_file: str) -> None:
    there = Djangos(tmp_path / "theirs", FROM_URL + SETTINGS.format(databases=NAMED_BY_URL))
    if env_file:
        there.write(".env", f"DATABASE_URL=sqlite:///{there.database}\n")
    there.stock()
    assert there.ok("undrop", "init").endswith("Guarded: manage.py\n")
    written = (there.root / "undrop.toml").read_text()
    if env_file:
        assert 'url-variable = "DATABASE_URL"\nenv-file = ".env"\n' in written
        assert "sqlite" not in written
    else:
        assert 'url = "sqlite:///app.db"\nurl-variable = "DATABASE_URL"\n' in written


@pytest.mark.parametrize("missing", some(["undrop", "undrop.django"]))
def test_where_undrop_is_missing_the_settings_say_so_and_all_goes_on(
    django: Djangos, missing: str
) -> None:
    """Or is an older one, or a folder of that name, which is a package to Python."""
    django.ok("undrop", "init")
    without = (
        "import importlib.util, runpy, sys\nfind = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name: None if name == {missing!r} else find(name)\n"
        "sys.argv = ['manage.py', 'check']\nsys.path.insert(0, '')\n"
        "runpy.run_path('manage.py', run_name='__main__')"
    )
    done = django.run("python", "-c", without)
    assert done.code == 0, done
    assert done.err.count("NO BACKUP IS TAKEN BEFORE A MIGRATION") == 1


FROM_URL = """\
from os import environ as variables
from pathlib import Path

HERE = Path(__file__).parent
DATABASE_URL = f"sqlite:///{HERE}/app.db"
if (HERE / ".env").exists():
    DATABASE_URL = (HERE / ".env").read_text().strip().partition("=")[2]
DATABASE_URL = variables.get("DATABASE_URL", DATABASE_URL)
"""
NAMED_BY_URL = sqlite("default", 'DATABASE_URL.removeprefix("sqlite:///")')
POSTGRES = (
    '"{alias}": {{"ENGINE": "django.db.backends.postgresql", "NAME": "{name}", '
    '"USER": "postgres", "HOST": "{host}"}}, '
)


def test_on_a_server_it_is_tried_in_a_scratch_database(tmp_path: Path, server: Server) -> None:
    name, logs = (f"django_{os.getpid()}{more}" for more in ("", "_logs"))
    databases = ""
    for alias, there_is in (("default", name), ("logs", logs)):
        server.sql(f"CREATE DATABASE {there_is}")
        databases += POSTGRES.format(alias=alias, name=there_is, host=server.folder)
    there = Djangos(tmp_path / "theirs", SETTINGS.format(databases=databases))
    there.manage("migrate", "-v0")
    server.sql("INSERT INTO stock_item (name, note) VALUES ('a', '1'), ('b', '2')", name)
    rows = server.sql("SELECT name, note FROM stock_item ORDER BY id", name)
    adopted = there.run("undrop", "init")
    assert adopted.out.endswith("\nGuarded: manage.py\n"), adopted
    there.migration("0002_sized", SIZED, needs="0001_items")
    assert there.ok("just", "rehearse").startswith("stock 0001_items -> stock 0002_sized\n")
    there.ok("just", "migrate")
    assert server.sql("SELECT size FROM stock_item", name) == [(None,), (None,)]
    there.migration("0003_dropped", DROPPED, needs="0002_sized")
    stopped = there.run("just", "migrate")
    assert stopped.code == 4, stopped
    there.manage("migrate", "-v0")
    assert len(there.kept("django")) == 1
    (there.root / "stock/migrations/0003_dropped.py").unlink()
    there.ok("just", "undo")
    assert server.sql("SELECT name, note FROM stock_item ORDER BY id", name) == rows
    shared = 'migrations.RunSQL("CREATE ROLE somebody_else")'
    path = there.migration("0003_shared", shared, needs="0002_sized")
    refused = there.run("just", "migrate")
    assert refused.code == 1, refused
    assert "this changes the server, not the database alone" in refused.err
    path.unlink()
    code = WRITES_LOGS.replace("DELETE FROM stock_item", "CREATE TABLE strays (v text)")
    path = there.migration("0003_past", RUNS, needs="0002_sized", code=code)
    refused = there.run("just", "migrate")
    assert refused.code == 1, refused
    assert "read-only transaction" in refused.err
    assert server.sql("SELECT to_regclass('strays') IS NULL", logs) == [(True,)]
    path.unlink()
    there.ok("just", "reset-db")
    assert server.sql("SELECT count(*) FROM stock_item", name) == [(0,)]
    assert server.scratch() == []


FLUSHES = """
import subprocess, sys

def flush(apps, schema_editor):
    words = ["manage.py", "flush", "--no-input", "-v0", "--database={alias}"]
    subprocess.run([sys.executable, *words], check=True)
"""


def two(folder: Path) -> Djangos:
    """A project with two databases, adopted, and a row in the second that no backup has."""
    databases = sqlite("default", HERE.format("app.db")) + sqlite("logs", HERE.format("logs.db"))
    there = Djangos(folder / "theirs", SETTINGS.format(databases=databases))
    there.stock()
    there.manage("migrate", "--database=logs", "-v0")
    there.ok("undrop", "init")
    for name in ("app.db", "logs.db"):
        with closing(sqlite3.connect(there.root / name)) as connection, connection:
            connection.execute("INSERT INTO stock_item (name, note) VALUES ('fresh', '')")
    return there


@pytest.mark.more
def test_what_a_migration_starts_may_reach_no_database_that_has_no_backup(tmp_path: Path) -> None:
    """A program of its own goes past the fence."""
    there = two(tmp_path)
    rows = content(there.root / "logs.db")
    flush = "migrations.RunPython(flush)"
    there.migration("0002_flush", flush, needs="0001_items", code=FLUSHES.format(alias="logs"))
    there.ok("just", "rehearse")
    assert content(there.root / "logs.db") != rows
    kept = [path for path in (there.root / "backups").glob("logs-*.db") if content(path) == rows]
    assert len(kept) == 1


@pytest.mark.more
def test_the_trial_of_the_guard_is_behind_a_backup(tmp_path: Path) -> None:
    there = two(tmp_path)
    rows = content(there.database)
    flush = "migrations.RunPython(flush)"
    there.migration("0002_flush", flush, needs="0001_items", code=FLUSHES.format(alias="default"))
    there.run("undrop", "init", "--check")
    assert rows in [content(path) for path in (there.root / "backups").glob("app-*.db")]
