"""The commands that only look: list, verify, status."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

from undrop import catalog, turn
from undrop.cli import tables
from undrop.cli.answer import Answer, Run, fields, revision_names
from undrop.errors import CheckError, UndropError

if TYPE_CHECKING:
    from undrop.catalog import Backup

COLUMNS = ("NAME", "AGE", "SIZE", "REVISION", "REASON", "CHECK")


def list_(run: Run) -> Answer:
    """The catalog, newest first, with the live database at its top."""
    settings = run.settings
    live = {"database": str(settings.database) if settings.database else None}
    there = settings.database is not None and settings.live.is_file()
    stat = settings.live.stat() if there else None
    first = (
        (settings.source, "live", tables.size(stat.st_size), "", "", "")
        if stat
        else (settings.source, "live", "", "", "no database", "")
    )
    backups = catalog.entries(settings)[::-1]
    rows = tuple(_row(each) for each in backups)
    result = {
        **live,
        "bytes": stat.st_size if stat else None,
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
            restore.verify(each, run.bar)
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


def status(run: Run) -> Answer:
    """Where things stand; exit 4 when no verified backup holds the present state."""
    from undrop import status as core

    settings = run.settings
    lock = turn.take(settings, run.say) if settings.backups.is_dir() else nullcontext()
    with lock:
        seen = core.look(settings, run.bar)
    pending = seen.heads is not None and seen.exists and seen.revisions != seen.heads
    last = seen.last
    lines = [f"database   {settings.database or settings.url}"]
    if not seen.exists:
        lines.append("           there is none")
    else:
        lines.append(
            f"size       {tables.size(seen.bytes)}, {seen.journal_mode or 'unreadable'} mode"
        )
        if seen.damage:
            lines.append(f"damaged    {seen.damage}")
        who = ", ".join(f"{each.name} (pid {each.pid})" for each in seen.open_in)
        lines.append(f"open in    {who or 'no other program that can be seen'}")
        lines.append(
            f"revision   {revision_names(seen.revisions)}"
            + (
                f", the code's head is {revision_names(seen.heads or [])}: just migrate"
                if pending
                else ""
            )
        )
    lines.append(
        f"backup     {last.path.name}, {tables.age(last.created)}" if last else "backup     none"
    )
    if seen.not_in_vault:
        lines.append(
            f"vault      {len(seen.not_in_vault)} file(s) could not be kept in {seen.vault}"
        )
    lines.append(f"covered    {'yes' if seen.covered else 'no: just backup'}")
    result = {
        **seen._asdict(),
        "database": str(settings.database or ""),
        "open_in": [each._asdict() for each in seen.open_in],
        "last": str(last.path) if last else None,
        "pending": pending,
    }
    text = "\n".join(map(tables.clean, lines))
    return Answer(result, text, code=0 if seen.covered else CheckError.exit_code)


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
