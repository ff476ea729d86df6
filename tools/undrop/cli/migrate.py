"""The commands that move the schema: migrate and rehearse, and the loss report in words."""

from functools import partial
from typing import TYPE_CHECKING, Any

from undrop.cli import tables
from undrop.cli.answer import (
    Answer,
    Run,
    about_to_migrate,
    clients,
    disconnect,
    failure,
    kept,
    of_migrated,
    require_replica,
    together,
    way_back,
)
from undrop.errors import MOVED, UsageError
from undrop.recipes import Action, Text
from undrop.record import revision_way
from undrop.store.lock import Lock, locked

if TYPE_CHECKING:
    from undrop.compare.losses import Loss, LossError, Report
    from undrop.migrations.tool import Tool
    from undrop.steps.migrate import Migrated, Rehearsed
    from undrop.values import Moved

NOTHING = "nothing to do: the schema is there already"


def migrate(run: Run) -> Answer:
    """Bring the schema to a revision."""
    from undrop.compare import losses
    from undrop.migrations import tool
    from undrop.steps import migrate as core

    settings, arguments = run.settings, run.arguments
    clients(run)
    tool.refuse(settings, arguments.words, arguments.typed)
    if len(settings.databases) == 1:
        run.say(f"about to change {settings.engine.label}")
    try:
        with (
            locked(settings, run.say) as lock,
            tool.of(settings, arguments.words, arguments.typed) as migrations,
        ):
            runs, lent = together(run, migrations)
            if len(settings.databases) > 1:
                run.say(about_to_migrate(runs))
            for each in runs:
                require_replica(each, partial(core.starts, each.settings, migrations))
            disconnect(run)
            locks = [lock, *(Lock(each.settings) for each in runs[1:])]
            done = core.migrate_all(locks, migrations, lent, accept_loss=arguments.accept_loss)
    except losses.LossError as stopped:
        return _stopped(run, runs, stopped)
    answers = [_migrated(*each, migrations) for each in zip(runs, done, strict=True)]
    return of_migrated(runs, answers, [each.moved for each in done])


def _migrated(run: Run, done: "Migrated", migrations: "Tool") -> Answer:
    from undrop.steps import replica

    moved, report, change = done
    result = {
        "database": run.settings.engine.label,
        **_way(moved, migrations),
        **kept(change),
        **_facts(report, []),
    }
    if moved.steps == 0:
        others = [MOVED.format(change.moved_from)] if change.moved_from else []
        return Answer(result, _line(moved, report), (NOTHING, *others))
    ran = _count(moved, migrations)
    said = f"{ran}, checked; others were locked out {change.seconds:.2f} s"
    told = (*_words(report, []), *_outside(moved), said, *way_back(change))
    return Answer(result, _line(moved, report), (*told, *replica.afterwards(run.settings, change)))


def _stopped(run: Run, runs: list[Run], stopped: "LossError") -> Answer:
    """What is lost of each database, where nobody accepted that."""
    facts = {**failure(stopped, run.prompt), "exit_code": stopped.exit_code}
    of_each = [_facts(*each) for each in zip(stopped.reports, stopped.remaining, strict=True)]
    named = [each.settings.name for each in runs]
    result = {**facts, **of_each[0]}
    if len(runs) > 1:
        result["databases"] = dict(zip(named[1:], of_each[1:], strict=True))
    notes = [
        f"{each.settings.called if len(runs) > 1 else ''}{line}"
        for each, report, left in zip(runs, stopped.reports, stopped.remaining, strict=True)
        for line in _words(report, left)
    ]
    return Answer(result, notes=(*notes, _told(run, stopped)), code=stopped.exit_code)


def rehearse(run: Run) -> Answer:
    """Everything that migrate does but the last step; exit 4 when data would be lost."""
    from undrop.migrations import tool
    from undrop.steps import migrate as core

    settings, arguments = run.settings, run.arguments
    if arguments.markdown and arguments.json:
        raise UsageError("--json or --markdown, not both", Action("rehearse", "--markdown"))
    with (
        locked(settings, run.say) as lock,
        tool.of(settings, arguments.words, arguments.typed) as migrations,
    ):
        runs, lent = together(run, migrations)
        locks = [lock, *(Lock(each.settings) for each in runs[1:])]
        done = core.rehearse_all(locks, migrations, lent, accept_loss=arguments.accept_loss)
    said = of_migrated(
        runs,
        [_rehearsed(*each, migrations) for each in zip(runs, done, strict=True)],
        [each.moved for each in done],
    )
    if not any(each.moved.steps for each in done):
        return said
    if not any(each.remaining for each in done):
        would = ("it would succeed:", migrations.typed())
        return said._replace(notes=(*said.notes, would))
    stopped = core.loss(
        migrations, [each.report for each in done], [each.remaining for each in done]
    )
    stopped.moved_from = next((_name(each) for each in done if each.has_moved), "")
    return said._replace(notes=(*said.notes, _told(run, stopped)), code=stopped.exit_code)


def _name(done: "Rehearsed") -> str:
    """What holds the live database as it was."""
    return done.backup.path.name if done.backup else "no database"


def _rehearsed(run: Run, done: "Rehearsed", migrations: "Tool") -> Answer:
    moved, report, left = done.moved, done.report, done.remaining
    result = {
        "database": run.settings.engine.label,
        **_way(moved, migrations),
        "seconds_migrating": round(moved.seconds, 3),
        "seconds_locked": round(done.seconds_locked, 3),
        "backup": str(done.backup.path) if done.backup else None,
        "live_moved": done.has_moved,
        **_facts(report, left),
    }
    kept = "nothing was kept, the database was not changed"
    if done.has_moved:
        kept = MOVED.format(_name(done))
    line = _line(moved, report)
    lines = "\n".join((line, *_words(report, left)))
    if run.arguments.markdown:
        from undrop.cli import markdown

        beside = len(moved.outside) + len(moved.server)
        did = f"{line}, {_count(moved, migrations)}" if moved.steps else NOTHING
        lines = line = markdown.report("Rehearsed", did, report, left, beside)
    if moved.steps == 0:
        notes: tuple[Text, ...] = (NOTHING,)
        return Answer(result, line, (*notes, kept) if done.has_moved else notes)
    took = (
        f"{_count(moved, migrations)} took {moved.seconds:.2f} s; others would be locked out for "
        f"about {done.seconds_locked:.2f} s; {kept}"
    )
    return Answer(result, lines, (*_outside(moved), took))


def _told(run: Run, stopped: "LossError") -> str:
    return stopped.told(run.prompt.text(stopped.next_parts))


def _count(moved: "Moved", migrations: "Tool") -> str:
    """What ran; a command does not say how many."""
    return f"{moved.steps} migration(s)" if migrations.fenced else f"`{migrations.name}`"


def _line(moved: "Moved", report: "Report") -> str:
    if moved.steps and not (moved.revisions_before or moved.revisions_after):
        return tables.clean(", ".join(report.changes) or "changed")  # it has none that are known
    way = revision_way(moved.revisions_before, moved.revisions_after)
    return tables.clean(way)  # a revision is anybody's text


def _way(moved: "Moved", migrations: "Tool") -> dict[str, Any]:
    steps = moved.steps if migrations.fenced or not moved.steps else None
    way = {"from": moved.revisions_before, "to": moved.revisions_after, "migrations": steps}
    return {**way, "outside": moved.outside, "server": moved.server}


def _outside(moved: "Moved") -> tuple[str, ...]:
    """What a failure after it cannot take back by itself."""
    outside = [f"NOT IN THE TRANSACTION: {each}" for each in moved.outside]
    return tuple(
        map(tables.clean, [*outside, *(f"ON THE SERVER: {each}" for each in moved.server)])
    )


def _facts(report: "Report", left: "list[Loss]") -> dict[str, Any]:
    return {
        "losses": [
            {
                "name": each.name,
                "what": each.what,
                "lost": each.lost,
                "of": each.of,
                "samples": list(each.samples),
                "accepted": each not in left,
            }
            for each in report.losses
        ],
        "warnings": report.warnings,
        "changes": report.changes,
        "tables": [
            {
                "before": each.name or None,
                "after": each.now or None,
                "rows": [each.rows_before, each.rows_after],
            }
            for each in report.tables
        ],
    }


def _words(report: "Report", left: "list[Loss]") -> tuple[str, ...]:
    """The report for people: losses with samples, warnings, and the rest in one line."""
    rows = [
        (
            each.name,
            f"{each.lost:,} of {each.of:,}",
            each.what + ("" if each in left else ", accepted"),
        )
        for each in report.losses
    ]
    lines = tables.aligned(("LOSS", "ROWS", "WHAT"), *rows) if rows else []
    text = lines[:1]
    for line, each in zip(lines[1:], report.losses, strict=True):
        text += [line, *(f"    {_sample(sample)}" for sample in each.samples)]
    text += [f"WARNING: {warning}" for warning in report.warnings]
    if report.changes:
        text.append("also: " + ", ".join(report.changes))
    return tuple(map(tables.clean, text))


def _sample(sample: dict[str, object]) -> str:
    shown = dict(sample)
    was, is_now = shown.pop("before", None), shown.pop("after", None)
    text = ", ".join(f"{name}={value!r}" for name, value in list(shown.items())[:8])
    if "before" not in sample:
        return text
    return f"{text}: {was!r}" + (f" -> {is_now!r}" if "after" in sample else "")
