"""The commands that look at backups: list and verify."""

import os
from typing import TYPE_CHECKING

from undrop.cli import elsewhere, tables, terminal
from undrop.cli.answer import Answer, Run, fields, of_all
from undrop.errors import CheckError, UndropError, UsageError
from undrop.recipes import Action
from undrop.record import revision_names
from undrop.store import catalog, neighbours
from undrop.store.lock import locked

if TYPE_CHECKING:
    from undrop.recipes import Text
    from undrop.settings import Settings
    from undrop.steps.verify import Proof
    from undrop.store.catalog import Backup

COLUMNS = ("NO", "AGE", "SIZE", "DISK", "REVISION", "REASON", "CHECK", "NAME")


def list_(run: Run) -> Answer:
    """The catalog, newest first, with the live database at its top."""
    return of_all(run, _list)


def _list(run: Run) -> Answer:
    from undrop.steps import choose

    settings = run.settings
    engine = settings.engine
    live, size = {"database": None if engine.in_memory else engine.label}, engine.size()
    first = (
        ("", "live", tables.size(size), "", "", "", "", settings.source)
        if size is not None
        else ("", "live", "", "", "", _why_no_size(settings), "", settings.source)
    )
    every = catalog.backups(settings)
    numbers = {b.path.name: n for n, b in enumerate(choose.numbered(settings, every), 1)}
    backups = every[::-1]
    if not run.arguments.all:
        # People copy files into the folder: whose one without a record is nobody knows.
        backups = [b for b in backups if b.record is None or catalog.is_of(settings, b)]
    told = [fields(backup) for backup in backups]
    pairs = zip(backups, told, strict=True)
    rows = tuple((str(numbers.get(b.path.name, "")), *_row(b, f["disk_bytes"])) for b, f in pairs)
    others = neighbours.of(settings)
    result = {
        **live,
        "elsewhere": elsewhere.fields(others),
        "bytes": size,
        "backups": [
            {"path": str(b.path), "number": numbers.get(b.path.name), **each}
            for b, each in zip(backups, told, strict=True)
        ],
    }
    shown, left = terminal.newest(first, rows, run.arguments)
    notes: list[Text] = [(f"{left} older:", Action("list", "--all"))] if left else []
    return Answer(result, table=(COLUMNS, *shown), notes=(*notes, *elsewhere.lines(others)))


def _why_no_size(settings: "Settings") -> str:
    try:
        return "not asked" if settings.engine.exists() else "no database"
    except UndropError:  # status says why
        return "does not answer"


def verify(run: Run) -> Answer:
    """Prove FILE, or every backup, whole."""
    from undrop.steps import choose
    from undrop.steps import verify as core

    if run.arguments.litestream:
        if run.arguments.file is not None:
            raise UsageError("it takes FILE, or --litestream", Action("verify", "--litestream"))
        return _drill(run)
    if run.arguments.file is None:
        alone = run.is_named and len(run.settings.databases) > 1
        chosen = [
            backup
            for backup in catalog.backups(run.settings)
            if not (backup.is_set or (alone and not catalog.is_of(run.settings, backup)))
        ]
    else:
        chosen = [choose.find(run.settings, run.arguments.file, run.standing)]
    proofs = [proof for backup in chosen for proof in core.prove(run.settings, backup)]
    # Another undrop may have been asked to forget one.
    proofs = [each for each in proofs if os.path.lexists(each.backup.file)]
    paths = {backup.path for backup in chosen}
    lines = [
        f"{tables.clean(path.name if path in paths else str(path))}: {each.problem or each.passed}"
        for each in proofs
        for path in (each.backup.path,)
    ]
    results = [
        {"path": str(each.backup.path), "whole": not each.problem, "problem": each.problem}
        for each in proofs
    ]
    damaged = sum(bool(each.problem) for each in proofs)
    result = {"verified": results, "damaged": damaged}
    notes = _mark(run, proofs)
    if not chosen:
        notes = (f"there are no backups in {run.settings.backups}",)
    return Answer(result, "\n".join(lines), notes, code=CheckError.exit_code if damaged else 0)


def _mark(run: Run, proofs: "list[Proof]") -> tuple[str, ...]:
    """Write down what is news, which alone takes the lock; a note where that cannot be."""
    from undrop.steps import verify as core

    if not any(proof.check for proof in proofs):
        return ()
    try:
        with locked(run.settings, run.say) as lock:
            core.mark(lock, proofs)
    except (UndropError, OSError) as error:
        what = error.what if isinstance(error, UndropError) else str(error)
        return (f"that could not be written down for the list: {what}",)
    return ()


def _drill(run: Run) -> Answer:
    """Restore the replica to a temporary folder, and say how it differs from live."""
    from undrop.cli import diff
    from undrop.steps import replica

    done = replica.drill(run.settings)
    size, at = tables.size(done.facts.bytes), revision_names(done.facts.revisions)
    same = done.found is not None and done.found.same
    result = {
        "replica": done.label,
        "bytes": done.facts.bytes,
        "revisions": done.facts.revisions,
        "same": same,
        "tables": [diff.change_fields(change) for change in done.found.tables]
        if done.found
        else [],
    }
    whole = f"{done.label}: restored and whole, {size}, revision {at}"
    if done.found is None:
        return Answer(result, whole, ("there is no live database to compare it with",))
    if same:
        return Answer(result, whole, ("it holds what the live database holds",))
    rows, parts = diff.differences(done.found)
    notes = (whole, "from the live database to the replica:", *parts)
    return Answer(result, notes=notes, table=rows, code=CheckError.exit_code)


def _row(backup: "Backup", disk_bytes: int) -> tuple[str, ...]:
    record = backup.record
    where = " (only in the vault)" if backup.only_in_vault else ""
    disk = tables.size(disk_bytes)
    if record is None:
        return (
            tables.age(backup.created),
            disk,
            disk,
            "?",
            "",
            f"no record{where}",
            backup.path.name,
        )
    return (
        tables.age(backup.created),
        tables.size(record.bytes),
        disk,
        revision_names(record.revisions) if record.revisions else "",
        record.reason,
        record.check + where + (f", shrunk: {', '.join(record.shrunk)}" if record.shrunk else ""),
        backup.path.name,
    )
