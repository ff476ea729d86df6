"""The commands that move the schema: migrate and rehearse, and the loss report in words."""

from typing import TYPE_CHECKING, Any

from undrop.cli import tables
from undrop.cli.answer import (
    Answer,
    Run,
    clients,
    disconnect,
    failure,
    kept,
    require_replica,
    way_back,
)
from undrop.errors import MOVED
from undrop.recipes import Text
from undrop.record import revision_way
from undrop.store.lock import locked

if TYPE_CHECKING:
    from undrop.compare.losses import Loss, LossError, Report
    from undrop.migrations.tool import Tool
    from undrop.values import Moved

NOTHING = "nothing to do: the schema is there already"


def migrate(run: Run) -> Answer:
    """Bring the schema to a revision."""
    from undrop.compare import losses
    from undrop.migrations import tool
    from undrop.steps import migrate as core
    from undrop.steps import replica

    settings, arguments = run.settings, run.arguments
    clients(run)
    tool.refuse(settings, arguments.words, arguments.typed)
    run.say(f"about to change {settings.engine.label}")
    try:
        with (
            locked(settings, run.say) as lock,
            tool.of(settings, arguments.words, arguments.typed) as migrations,
        ):
            require_replica(run, lambda: core.starts(settings, migrations))
            disconnect(run)
            moved, report, change = core.migrate(
                lock, migrations, accept_loss=arguments.accept_loss
            )
    except losses.LossError as stopped:
        left = stopped.remaining
        facts = {**failure(stopped, run.prompt), "exit_code": stopped.exit_code}
        result = {**facts, **_facts(stopped.report, left)}
        notes = (*_words(stopped.report, left), _told(run, stopped))
        return Answer(result, notes=notes, code=stopped.exit_code)
    result = {
        "database": settings.engine.label,
        **_way(moved, migrations),
        **kept(change),
        **_facts(report, []),
    }
    if moved.steps == 0:
        others = [MOVED.format(change.moved_from)] if change.moved_from else []
        return Answer(result, _line(moved, report), (NOTHING, *others))
    ran = _count(moved, migrations)
    done = f"{ran}, checked; others were locked out {change.seconds:.2f} s"
    told = (*_words(report, []), *_outside(moved), done, *way_back(change))
    return Answer(result, _line(moved, report), (*told, *replica.afterwards(settings, change)))


def rehearse(run: Run) -> Answer:
    """Everything that migrate does but the last step; exit 4 when data would be lost."""
    from undrop.migrations import tool
    from undrop.steps import migrate as core

    settings, arguments = run.settings, run.arguments
    with (
        locked(settings, run.say) as lock,
        tool.of(settings, arguments.words, arguments.typed) as migrations,
    ):
        done = core.rehearse(lock, migrations, accept_loss=arguments.accept_loss)
    moved, report, left = done.moved, done.report, done.remaining
    result = {
        "database": settings.engine.label,
        **_way(moved, migrations),
        "seconds_migrating": round(moved.seconds, 3),
        "seconds_locked": round(done.seconds_locked, 3),
        "backup": str(done.backup.path),
        "live_moved": done.has_moved,
        **_facts(report, left),
    }
    kept = "nothing was kept, the database was not changed"
    if done.has_moved:
        kept = MOVED.format(done.backup.path.name)
    if moved.steps == 0:
        notes: tuple[Text, ...] = (NOTHING,)
        return Answer(result, _line(moved, report), (*notes, kept) if done.has_moved else notes)
    lines = "\n".join((_line(moved, report), *_words(report, left)))
    took = (
        f"{_count(moved, migrations)} took {moved.seconds:.2f} s; others would be locked out for "
        f"about {done.seconds_locked:.2f} s; {kept}"
    )
    notes = (*_outside(moved), took)
    if not left:
        would = ("it would succeed:", migrations.typed())
        return Answer(result, lines, (*notes, would))
    stopped = core.loss(migrations, report, left)
    stopped.moved_from = done.backup.path.name if done.has_moved else ""
    return Answer(result, lines, (*notes, _told(run, stopped)), code=stopped.exit_code)


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
    return {**way, "outside": moved.outside}


def _outside(moved: "Moved") -> tuple[str, ...]:
    """What a failure after it cannot take back by itself."""
    return tuple(tables.clean(f"NOT IN THE TRANSACTION: {each}") for each in moved.outside)


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
