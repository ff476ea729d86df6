"""The commands that look at backups: list and verify."""

from typing import TYPE_CHECKING

from undrop import catalog
from undrop.cli import tables
from undrop.cli.answer import Answer, Run, fields
from undrop.errors import CheckError, UndropError

if TYPE_CHECKING:
    from undrop.catalog import Backup

COLUMNS = ("NAME", "AGE", "SIZE", "REVISION", "REASON", "CHECK")


def list_(run: Run) -> Answer:
    """The catalog, newest first, with the live database at its top."""
    settings = run.settings
    engine = settings.engine
    live, size = {"database": None if engine.in_memory else engine.label}, engine.size()
    first = (
        (settings.source, "live", tables.size(size), "", "", "")
        if size is not None
        else (settings.source, "live", "", "", "no database", "")
    )
    backups = catalog.entries(settings)[::-1]
    rows = tuple(_row(each) for each in backups)
    result = {
        **live,
        "bytes": size,
        "backups": [{"path": str(each.path), **fields(each)} for each in backups],
    }
    return Answer(result, table=(COLUMNS, first, *rows))


def verify(run: Run) -> Answer:
    """Prove FILE, or every backup, whole."""
    from undrop import restore

    if run.arguments.file is None:
        chosen = [each for each in catalog.entries(run.settings) if not each.is_set]
    else:
        chosen = [catalog.find(run.settings, run.arguments.file, run.standing)]
    lines, damaged, results = [], [], []
    for each in chosen:
        try:
            restore.verify(run.settings, each, run.bar)
            problem = ""
        except (UndropError, OSError) as error:
            problem = error.what if isinstance(error, UndropError) else str(error)
            damaged.append(problem)
        name = tables.clean(each.path.name)
        lines.append(f"{name}: {problem or 'whole'}")
        results.append({"path": str(each.path), "whole": not problem, "problem": problem})
    result = {"verified": results, "damaged": len(damaged)}
    notes = () if chosen else (f"there are no backups in {run.settings.backups}",)
    return Answer(result, "\n".join(lines), notes, code=CheckError.exit_code if damaged else 0)


def _row(each: "Backup") -> tuple[str, ...]:
    entry = each.record
    where = " (only in the vault)" if each.only_in_vault else ""
    if entry is None:
        count = each.path.lstat().st_size
        return (
            each.path.name,
            tables.age(each.created),
            tables.size(count),
            "?",
            "",
            f"no record{where}",
        )
    return (
        each.path.name,
        tables.age(each.created),
        tables.size(entry.bytes),
        ", ".join(entry.revisions),
        entry.reason,
        entry.check + where + (f", shrunk: {', '.join(entry.shrunk)}" if entry.shrunk else ""),
    )
