"""recover: what live lacks, and bringing it back."""

import csv
from typing import TYPE_CHECKING, Any

from undrop.cli import conflicts, tables
from undrop.cli.answer import Answer, Run, clients, disconnect, kept, way_back
from undrop.compare.merge import NO_PLACE, TAKEN
from undrop.compare.recoverer import OTHER
from undrop.compare.recovery import own_table
from undrop.compare.wishes import Request
from undrop.errors import NOT_CHANGED, CheckError, UsageError
from undrop.recipes import Action
from undrop.steps import recover as core
from undrop.store.lock import locked

if TYPE_CHECKING:
    from undrop.compare.losses import Loss
    from undrop.compare.recoverer import Along
    from undrop.recipes import Text
    from undrop.steps.recover import Looked, Recovered
    from undrop.store.catalog import Backup

NO_PLACE_FOR = {"table gone", "column gone"}
"""What is lost whose rows or values have no place in live."""
COLUMNS = ("NAME", "LOST", "WHAT")
VERBS = {"put": "row(s) back", "change": "row(s) with values back", "gone": "row(s) gone"}


def recover(run: Run) -> Answer:
    """What live lacks; with names, bring that back."""
    from undrop.steps import replica

    asked = run.arguments
    names = _names(asked.names)
    for option, given in (("--key", asked.key), ("--where", [asked.where])):
        if any(text is not None and not text.strip() for text in given or ()):
            raise UsageError(f"recover: {option} says nothing", "the same without it: all rows")
    source = core.chosen(run.settings, asked.source, run.standing) if asked.source else None
    if not names:
        _refuse_options(run)
        return _looked(run, core.look(run.settings, source))
    request = Request(
        (),
        _keys(asked.key),
        asked.where or "",
        overwrite=asked.overwrite,
        children=asked.with_children,
        new_keys=asked.new_keys,
        triggers=asked.triggers,
        into=asked.into or "",
    )
    clients(run)
    if not asked.dry_run:
        run.say(f"about to change {run.settings.engine.label}")
    with locked(run.settings, run.say) as lock:
        disconnect(run)
        done = core.recover(lock, source, names, request, try_only=asked.dry_run)
    result = {
        "database": run.settings.engine.label,
        "from": str(done.source.path),
        "recovered": done.counts,
        "conflicts": conflicts.fields(done.conflicts, of_live=True),
        "came_along": [_fields(each) for each in done.parents],
        "children": [_fields(each) for each in done.children],
        "with_children": asked.with_children,
        "new_keys": {
            table: {str(old): new for old, new in keys.items()}
            for table, keys in done.new_keys.items()
        },
        "into": done.into[0] or None,
        "rows_into": done.into[1],
        "triggers_set_aside": done.set_aside,
        "dry_run": asked.dry_run,
        **(kept(done.change) if done.change else {"backup": None}),
    }
    notes = list(_notes(run, done))
    if done.change:
        notes.append(f"others were locked out {done.change.seconds:.2f} s")
        notes += [*way_back(done.change), *replica.afterwards(run.settings, done.change)]
    elif asked.dry_run:
        notes.append("nothing was kept, the database was not changed")
    else:
        notes.append(NOT_CHANGED)
    code = CheckError.exit_code if done.conflicts else 0
    return Answer(result, run.settings.engine.label, tuple(notes), code=code)


def _names(words: list[str]) -> list[str]:
    """``rows items`` is one name, also where a shell made two words of it."""
    names: list[str] = []
    left = iter(words)
    for word in left:
        following = next(left, None) if word in core.KINDS else None
        names.append(f"{word} {following}" if following else word)
    return names


def _keys(texts: "list[str] | None") -> tuple[str, ...]:
    return tuple(value for row in csv.reader(texts or (), skipinitialspace=True) for value in row)


def _refuse_options(run: Run) -> None:
    """Options say how what is named comes back. Raises UsageError."""
    asked = run.arguments
    given = [asked.key, asked.where, asked.into, asked.overwrite, asked.with_children]
    if any([*given, asked.new_keys, asked.triggers, asked.dry_run]):
        raise UsageError(
            "recover: which rows or values? Name what is to come back", Action("recover")
        )


def _looked(run: Run, looked: "Looked") -> Answer:
    """The table of what live lacks."""
    held = looked.held
    result: dict[str, Any] = {
        "from": str(held.backup.path) if held else None,
        "lacking": [_loss(each) for each in held.lacking] if held else [],
        "older": [{"backup": str(backup.path), "missing": more} for backup, more in looked.older],
        "not_compared": looked.unread,
        "not_looked_at": looked.left,
    }
    notes: list[Text] = [f"could not be compared: {name}" for name in looked.unread]
    if looked.left:
        notes.append(f"{looked.left} older state(s) were not looked at: it took too long")
    if held is None:
        return Answer(result, notes=("live lacks nothing that a backup holds", *notes))
    rows = [(each.name, f"{each.lost:,} of {each.of:,}", each.what) for each in held.lacking]
    name, of = held.backup.path.name, tables.age(held.backup.created)
    worst = next((each for each in held.lacking if each.name in held.missing), held.lacking[0])
    source = run.arguments.source
    chosen = ("--from", source) if source else ()
    line: Text = ("to bring it back, name it:", Action("recover", *chosen, worst.name))
    if worst.what in NO_PLACE_FOR:
        own = ("--into", own_table(worst.name.removeprefix("table ")))
        line = (
            "live's schema has no place for it; to have all as it was then:",
            Action("restore", name),
            "; or its rows alone, in a table of their own:",
            Action("recover", *chosen, *own, worst.name),
        )
    elif not source:
        taken = "(it takes the newest state that lacks nothing of what was lost; --from names one)"
        line = (*line, taken)
    told: list[Text] = [
        f"what live lacks of {name}, of {of}",
        *(_older(run, backup, more) for backup, more in looked.older),
        line,
    ]
    return Answer(result, notes=(*told, *notes), table=(COLUMNS, *rows), code=CheckError.exit_code)


def _older(run: Run, backup: "Backup", more: dict[str, int]) -> str:
    texts = [f"{name} ({count:,})" for name, count in more.items()]
    what = ", ".join(texts[:SHOWN])
    what += f" and {len(more) - SHOWN} more" if len(more) > SHOWN else ""
    line = run.prompt.line(Action("recover", "--from", backup.path.name))
    return f"{backup.path.name}, of {tables.age(backup.created)}, holds more: {what}  ({line})"


SHOWN = 4  # names in a line


def _loss(loss: "Loss") -> dict[str, Any]:
    samples = [{k: conflicts.plain(v) for k, v in sample.items()} for sample in loss.samples]
    return {
        "name": loss.name,
        "what": loss.what,
        "lost": loss.lost,
        "of": loss.of,
        "samples": samples,
    }


def _fields(along: "Along") -> dict[str, Any]:
    keys = [{name: conflicts.plain(value) for name, value in key.items()} for key in along.keys]
    return {"table": along.table, "rows": along.rows, "keys": keys}


def _notes(run: Run, done: "Recovered") -> "list[Text]":
    """What came back, what came along, what did not."""
    asked = run.arguments
    source = done.source
    told: list[Text] = [f"from {source.path.name}, of {tables.age(source.created)}"]
    told += [done.instead] if done.instead else []
    into, rows = done.into
    if any(any(count.values()) for count in done.counts.values()) or not into:
        said = conflicts.counted(done.counts, VERBS)
        told.append(f"{'would come' if asked.dry_run else 'came'} back: {said}")
    if into:
        told.append(
            f"into the new table {into}: {rows:,} row(s); a migration can move them on from there "
            "with INSERT … SELECT, or UPDATE … FROM, and drop it"
        )
    told += [f"needed by foreign keys: {_along(each)}" for each in done.parents]
    told += [f"new keys: {table}: {_moved(keys)}" for table, keys in done.new_keys.items()]
    if done.children:
        what = "; ".join(f"{each.rows:,} row(s) of {each.table}" for each in done.children)
        if asked.with_children:
            told.append(f"rows that point to them, as asked: {what}")
        else:
            again = Action(
                "recover", "--from", done.source.path.name, "--with-children", *_again(run)
            )
            told.append((f"gone with them, and not back: {what};", again, "brings those, too"))
    told += conflicts.aside(done.set_aside)
    if done.conflicts:
        name = done.source.path.name
        lines = conflicts.lines(done.conflicts, name, of_live=True)
        told.append("\n".join(lines))
        told.append(f"{len(done.conflicts):,} conflict(s): left as live has it")
        whys = {conflict.why for conflict in done.conflicts}
        if OTHER in whys:
            again = Action("recover", "--from", name, "--overwrite", *_again(run))
            told.append((again, "puts the backup's values in their place"))
        if TAKEN in whys:
            again = Action("recover", "--from", name, "--new-keys", *_again(run))
            told.append((again, "brings such rows back under new keys"))
        lost = (c for c in done.conflicts if c.why == NO_PLACE and c.column)
        if column := next(lost, None):
            column_name = f"{column.table}.{column.column}"
            own = own_table(column_name)
            line = Action("recover", "--from", name, "--into", own, column_name)
            told.append((line, "puts such values into a table of their own"))
    return told


def _moved(keys: dict[int, int]) -> str:
    shown = [f"{old} is now {new}" for old, new in [*keys.items()][: conflicts.SAMPLES]]
    return ", ".join(shown) + f" and {len(keys) - len(shown):,} more" * (len(keys) > len(shown))


def _along(along: "Along") -> str:
    keys = "; ".join(
        ", ".join(f"{name} {conflicts.shown(value)}" for name, value in key.items())
        for key in along.keys
    )
    return (
        f"{along.rows:,} row(s) of {along.table} ({keys}{', …' * (along.rows > len(along.keys))})"
    )


def _again(run: Run) -> list[str]:
    """What was typed, less ``--from`` and ``--dry-run``."""
    asked = run.arguments
    words = [*_names(asked.names)]
    for key in asked.key or ():
        words += [f"--key={key}"] if key.startswith("-") else ["--key", key]
    words += ["--where", asked.where] if asked.where else []
    words += ["--into", asked.into] if asked.into else []
    flags = ("overwrite", "with_children", "new_keys", "triggers")
    return words + [f"--{flag.replace('_', '-')}" for flag in flags if getattr(asked, flag)]
