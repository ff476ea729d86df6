"""Ways to back a database up: ours, the one it replaces, the bare tools, and others' packages."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SHELL = 'sqlite3 "$1" ".backup \'$2\'" && sqlite3 "$2" "pragma quick_check"'
JUSTFILE = f"""
set positional-arguments

shell db copy:
    @{SHELL}
"""
SNAPBACK = """
[snapshot]
tree = false

[[target]]
backend = "sqlite"
path = "quartermaster.db"
"""
LITESTREAM = """
dbs:
  - path: {0}/replicated.db
    replica:
      type: file
      path: {0}/replica
"""


class Contender(NamedTuple):
    """A command that makes a copy; ``{db}`` and ``{copy}`` are put in."""

    name: str
    needs: str
    """The program that must be there."""
    command: tuple[str, ...]
    before: Callable[[Path], None] = lambda _project: None
    """Preparation in the project's folder that is not timed."""

    @property
    def missing(self) -> bool:
        return shutil.which(self.needs) is None

    def of(self, project: Path) -> list[str]:
        """The command for a project whose copies go to ``project / "copy.db"``."""
        names = {"db": str(project / "quartermaster.db"), "copy": str(project / "copy.db")}
        return [word.format(project=project, **names) for word in self.command]


def write(name: str, text: str) -> Callable[[Path], None]:
    def make(project: Path) -> None:
        (project / name).write_text(text.format(project))

    return make


def replicated(project: Path) -> None:
    """A replica that holds everything; the config's name is none that undrop looks for."""
    shutil.copy(project / "quartermaster.db", project / "replicated.db")  # it changes the file
    config = project / "replicated.yml"
    config.write_text(LITESTREAM.format(project))
    once = ["litestream", "replicate", "-config", str(config), "-once", "-force-snapshot"]
    subprocess.run(once, check=True, capture_output=True)


OURS = Contender("just backup", "just", ("just", "backup"))
SCRIPT = Contender(
    "shell script",
    "sqlite3",
    ("just", "--justfile", "{project}/shell.just", "shell", "{db}", "{copy}"),
    write("shell.just", JUSTFILE.replace("{", "{{").replace("}", "}}")),
)
BARE = Contender(".backup", "sqlite3", ("sqlite3", "{db}", ".backup '{copy}'"))
LIMIT = Contender("cp + fsync", "cp", ("sh", "-c", "cp '{db}' '{copy}' && sync '{copy}'"))
ALL = [
    OURS,
    SCRIPT,
    BARE,
    Contender("VACUUM INTO", "sqlite3", ("sqlite3", "{db}", "VACUUM INTO '{copy}'")),
    LIMIT,
    Contender("sqlite-backup", "sqlite_backup", ("sqlite_backup", "{db}", "{copy}")),
    Contender("fastmigrate", "fastmigrate_backup_db", ("fastmigrate_backup_db", "--db", "{db}")),
    Contender(
        "snapback-cli",
        "snapback",
        ("snapback", "--root", "{project}", "snap"),
        write("snapback.toml", SNAPBACK),
    ),
    Contender(
        "litestream restore",
        "litestream",
        (
            "litestream",
            "restore",
            "-config",
            "{project}/replicated.yml",
            "-o",
            "{copy}",
            "{project}/replicated.db",
        ),
        replicated,
    ),
]
