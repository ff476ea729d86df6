"""``just bench``: how fast it is, next to the obvious alternatives in the same run.

``--profile`` shows the phases of our own backup; ``--json`` prints one object instead of the
table; sizes given as arguments ("5 MB", "200 MB", "1 GB") are the only ones that are run.
``--packing`` measures what kept backups take (their number: 1000).
``--postgres`` measures on a PostgreSQL server of its own instead; its sizes are megabytes (1000).
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import databases
import long_life
import recovering
import scenarios
from measure import Place
from scenarios import Bound, Line

REPOSITORY = Path(__file__).resolve().parents[1]


def copied(folder: Path, size: str) -> Place:
    """A project of its own, without a database."""
    place = folder / size.replace(" ", "")
    place.mkdir()
    for name in ("justfile", "pyproject.toml", "alembic.ini"):
        shutil.copy(REPOSITORY / name, place)
    shutil.copytree(REPOSITORY / "alembic", place / "alembic")
    (place / "tools").symlink_to(REPOSITORY / "tools")
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state" / size)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Compiled modules are kept, as an installed package's are.
    for name in ("QUARTERMASTER_DB_URL", "UNDROP_INVOKED_FROM", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    return Place(place, environment)


def project(folder: Path, size: str) -> Place:
    """A project of its own with a database of ``size``."""
    place = copied(folder, size)
    databases.make(place.folder, place.environment, databases.SIZES[size])
    shutil.rmtree(place.folder / "backups", ignore_errors=True)
    return place


def on_server(folder: Path, sizes: list[str], show: Callable[[Line], None]) -> scenarios.Result:
    """The same for PostgreSQL, where no bounds are set."""
    import postgres

    megabytes = [int(size) for size in sizes] or [1000]
    return postgres.run(lambda name: copied(folder, name), megabytes, show), []


def run(folder: Path, sizes: list[str], *, profile: bool) -> scenarios.Result:
    """Everything, the quick parts first."""
    lines: list[Line] = []
    bounds: list[Bound] = []
    places: dict[str, Place] = {}

    def take(result: scenarios.Result) -> None:
        lines.extend(result[0])
        bounds.extend(result[1])

    for size in sizes:
        print(f"{size}: making the database", file=sys.stderr)
        place = places[size] = project(folder, size)
        megabytes = place.database.stat().st_size / 1e6
        lines.append(Line(f"{size}: the database", megabytes, "MB"))
        print(f"{size}: backups", file=sys.stderr)
        take(scenarios.backups(place, size))
        if profile:
            phases = place.phases("backup")
            print(f"  {size} backup: {scenarios.shown(phases)}", file=sys.stderr)
        print(f"{size}: status", file=sys.stderr)
        take(scenarios.status(place, size))
        if size != "200 MB":
            print(f"{size}: migrate", file=sys.stderr)
            take(scenarios.migrate(place, size))
        if size == "5 MB":
            print(f"{size}: the agents' hook", file=sys.stderr)
            take(scenarios.hook(place))
            print(f"{size}: a thousand backups", file=sys.stderr)
            take(scenarios.many(place))
            print(f"{size}: five thousand backups", file=sys.stderr)
            take(long_life.commands(*(copied(folder, name) for name in ("young", "old"))))
            print(f"{size}: rows back", file=sys.stderr)
            take(recovering.rows(place))
        print(f"{size}: compare", file=sys.stderr)
        take(scenarios.comparison(place, size))
        if size == "1 GB":
            print(f"{size}: restore", file=sys.stderr)
            take(scenarios.restore(place, size))
            print(f"{size}: rows back", file=sys.stderr)
            take(recovering.gigabyte(place))
        if size == "200 MB":
            print(f"{size}: writers", file=sys.stderr)
            take(scenarios.under_writers(place, size))
    take(scenarios.growth(lines))
    if len(places) > 1:
        take(scenarios.memory(places))
    return lines, bounds


def of_packing(folder: Path, sizes: list[str]) -> scenarios.Result:
    """What older backups take, packed."""
    import packing

    return packing.packing(copied(folder, "packing"), int(next(iter(sizes), "1000")))


def show(line: Line) -> None:
    """One line of the table."""
    ratio = f"{line.ratio:8.2f} x {line.of}" if line.ratio is not None else ""
    print(f"{line.what:<52} {line.value:9.3f} {line.unit:<3} {ratio}", flush=True)


def _wrong(arguments: argparse.Namespace) -> str:
    """What is wrong with what was typed; empty where nothing is."""
    if arguments.postgres:
        sys.path.append(str(REPOSITORY / "tests"))
        from server import lacking

        if reason := lacking():
            return f"--postgres: {reason}"
    if arguments.postgres or arguments.packing:
        of = "megabytes" if arguments.postgres else "backups"
        wrong = [size for size in arguments.sizes if not size.isdecimal() or int(size) == 0]
        return f"{', '.join(wrong)}: not a number of {of}" if wrong else ""
    unknown = set(arguments.sizes) - set(databases.SIZES)
    known = ", ".join(databases.SIZES)
    return f"{', '.join(sorted(unknown))}: not one of {known}" if unknown else ""


def main() -> int:
    """Print the table, or JSON; 1 when a bound does not hold."""
    parser = argparse.ArgumentParser("just bench", description=__doc__)
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help=", ".join(databases.SIZES))
    parser.add_argument(
        "--postgres", action="store_true", help="on a PostgreSQL server; sizes in MB"
    )
    parser.add_argument("--packing", action="store_true", help="a thousand backups, packed")
    parser.add_argument("--profile", action="store_true", help="show the phases of our backup")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if why := _wrong(arguments):
        parser.error(why)
    sizes = arguments.sizes or ([] if arguments.postgres else list(databases.SIZES))
    with tempfile.TemporaryDirectory(prefix="undrop-bench-") as name:
        folder = Path(name).resolve()
        if arguments.postgres:
            told = (lambda _line: None) if arguments.json else show
            lines, bounds = on_server(folder, sizes, told)
        elif arguments.packing:
            lines, bounds = of_packing(folder, arguments.sizes)
        else:
            lines, bounds = run(folder, sizes, profile=arguments.profile)
    if arguments.json:
        kept = [{**bound._asdict(), "holds": bound.holds} for bound in bounds]
        print(json.dumps({"figures": [line._asdict() for line in lines], "bounds": kept}))
    else:
        for line in [] if arguments.postgres else lines:  # those were shown as they came
            show(line)
        if bounds:
            print(f"\n{'bound':<60} {'found':>7} {'at most':>8}")
        for bound in bounds:
            verdict = "" if bound.holds else "  MISSED"
            print(f"{bound.what:<60} {bound.found:7.2f} {bound.most:8.2f}{verdict}")
    return 0 if all(bound.holds for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
