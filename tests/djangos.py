"""A small project of Django's, with one application whose migrations are written here."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from test_init import Elsewhere

MANAGE = """\
import os
import sys

if __name__ == "__main__":
    os.environ{set}
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""
DEFAULT = '.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")'
HARD = '["DJANGO_SETTINGS_MODULE"] = "site_settings"'
SETTINGS = """\
from pathlib import Path

SECRET_KEY = "not one"
INSTALLED_APPS = ["stock"]
DATABASES = {{{databases}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
SQLITE = '"{alias}": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {name}{more}}}, '
HERE = 'Path(__file__).parent / "{}"'
MIGRATION = """\
from django.db import migrations, models

accepts_loss = {accepts!r}


{code}
class Migration(migrations.Migration):
    dependencies = {needs!r}
    replaces = {replaces!r}
    operations = [{operations}]
"""
MODELS = """\
from django.db import models


class Item(models.Model):
    name = models.CharField(max_length=50)
    note = models.TextField(default="")
"""
ITEMS = (
    'migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True)),'
    ' ("name", models.CharField(max_length=50)), ("note", models.TextField(default=""))])'
)
SIZED = 'migrations.AddField("item", "size", models.IntegerField(null=True))'
DROPPED = 'migrations.RemoveField("item", "note")'


def sqlite(alias: str, name: str, more: str = "") -> str:
    """An item of DATABASES; ``name`` and what there is ``more`` are Python."""
    return SQLITE.format(alias=alias, name=name, more=more)


class Djangos(Elsewhere):
    """Somebody's project; its database has two items, and lacks the newest migration."""

    def __init__(self, root: Path, settings: str = "", manage: str = DEFAULT) -> None:
        super().__init__(root)
        own = SETTINGS.format(databases=sqlite("default", HERE.format("app.db")))
        self.database = root / "app.db"
        self.write("manage.py", MANAGE.format(set=manage))
        self.write("site_settings.py", settings or own)
        for name in ("stock/__init__.py", "stock/migrations/__init__.py"):
            self.write(name, "")
        self.write("stock/models.py", MODELS)
        self.migration("0001_items", ITEMS)

    def migration(
        self,
        name: str,
        operations: str,
        *,
        needs: str = "",
        code: str = "",
        accepts: tuple[str, ...] = (),
        replaces: tuple[str, ...] = (),
    ) -> Path:
        """A migration of the application's."""
        text = MIGRATION.format(
            accepts=[*accepts],
            code=code,
            needs=[("stock", needs)] if needs else [],
            replaces=[("stock", each) for each in replaces],
            operations=operations,
        )
        return self.write(f"stock/migrations/{name}.py", text)

    def stock(self) -> None:
        """Bring it to what is there, and put two items in."""
        self.ok("python", "manage.py", "migrate", "-v0")
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("INSERT INTO stock_item (name, note) VALUES ('a', '1'), ('b', '2')")

    def manage(self, *words: str) -> str:
        """Its own command, which must succeed; what it says."""
        done = self.done("python", "manage.py", *words)
        return done.out + done.err

    def kept(self, reason: str) -> list[Path]:
        """The backups of that reason, the oldest first."""
        paths = sorted(self.root.glob(f"backups/*-{reason}.*"))
        return [path for path in paths if path.suffix != ".json" and "-after-" not in path.name]

    def into(self, folder: str) -> None:
        """Move all of it into a folder of the project's."""
        inside = self.root / folder
        inside.mkdir()
        for path in [*self.root.iterdir()]:
            if path != inside:
                shutil.move(path, inside / path.name)
        self.database = inside / self.database.name
