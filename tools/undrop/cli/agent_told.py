"""What an agent is told before and after its calls, and a session's user at its end: texts.

Whatever is only needed where something changed is imported there: an agent waits for each answer.
"""

from typing import TYPE_CHECKING

from undrop import record
from undrop.cli.answer import EMPTIED
from undrop.recipes import Action

if TYPE_CHECKING:
    from undrop.recipes import Prompt, Text
    from undrop.settings import Settings
    from undrop.steps.changed import Changed
    from undrop.steps.cover import Covered, Ended

MOST = 5  # tables, and what else there is, that are named
RULE = (
    "undrop guards the database {database}: a verified backup is taken before every command that "
    "may change it. {schema}Something is lost or wrong? "
    "`{undo}` takes the last step back; `{list}` and `{restore}` go further; `{recover}` brings "
    "rows back and nothing else. "
    "Never touch {backups}."
)
SCHEMA = "Change the schema with `{migrate}` only. "
ACTIONS = (
    Action("migrate"),
    Action("undo"),
    Action("list"),
    Action("recover"),
    Action("restore", "NAME", typed=False),
)


def rule(project: "Settings", prompt: "Prompt") -> str:
    """What an agent is told when its session starts; nothing but of the default database."""
    if project.told:
        return ""
    lines = {action.name: prompt.line(action) for action in ACTIONS}
    lines["schema"] = SCHEMA.format(**lines) if project.migrates else ""
    others = project.names[1:]
    more = f" and {', '.join(others)} (every line takes --db NAME)" if others else ""
    return RULE.format(database=project.engine.label + more, backups=project.backups, **lines)


def _called(project: "Settings") -> str:
    """What is said about a database begins so."""
    return f"undrop: {project.called}"


def before(
    project: "Settings", covered: "Covered", prompt: "Prompt", rule: str = ""
) -> tuple[str, str]:
    """What the agent is told before its call, and what the user is; each may be empty.

    ``rule`` is said first. Raises UndropError, OSError.
    """
    where = project.backups / covered.name
    did = _did(project, covered.ended, prompt)
    did = f"{_called(project)}the command before this: {did}." if did else ""
    if covered.lost and not did:
        gone = (f"THE DATABASE {project.engine.label} IS GONE;", Action("undo"), "brings it back")
        text = f"{_called(project)}{prompt.text(gone)}"
        return f"{rule} {text}".strip(), text
    if not covered.name:
        return f"{rule} There is no database yet." if rule else did, ""
    if covered.damaged:
        text = f"THE DATABASE {project.engine.label} IS DAMAGED; its files are kept in {where}: "
        text += prompt.line(Action("list"))
        return text, f"{_called(project)}{text}"
    if covered.again:  # by the hook in another file of settings
        return "", ""
    if covered.emptied:
        from undrop.store import catalog, shrink

        full = shrink.full(project, catalog.backups(project), covered.emptied)
        text = user = f"{_called(project)}{prompt.text(_emptied(covered.emptied, full))}"
    else:
        note = record.read(where.with_suffix(".json"))
        marked = note and note.shrunk  # nobody wants an emptied table back
        # A command that takes steps of its own has undo go back to before the last one of them.
        ways = () if marked else (", or", Action("restore", covered.name))
        back = prompt.text((Action("undo"), *ways))
        text = f"{_called(project)}the state before this is kept in {where}; to go back: {back}"
        user = f"{_called(project)}backed up to {where}" if covered.taken else ""
    return " ".join(filter(None, (rule, did, text))), user


def after(project: "Settings", covered: "Covered | None", prompt: "Prompt") -> str:
    """What the agent is told after its call; empty where that did nothing.

    Raises UndropError, OSError.
    """
    did = _did(project, covered.ended if covered else None, prompt)
    beside = ", with the calls beside it" * bool(covered and covered.beside)
    return f"{_called(project)}{did}{beside}" if did else ""


def session(project: "Settings", ended: "Ended | None", prompt: "Prompt") -> str:
    """What the user is told when an agent's session ends; empty where it changed nothing.

    Raises UndropError, OSError.
    """
    did = _did(project, ended, prompt, whole=True)
    return f"{_called(project)}{did}" if did else ""


def _did(
    project: "Settings", ended: "Ended | None", prompt: "Prompt", *, whole: bool = False
) -> str:
    """What a call changed, or a ``whole`` session; empty where that is nothing."""
    if ended is None:
        return ""
    from undrop.steps import changed

    told = changed.between(project, *ended)
    say = _session if whole else _call
    return prompt.text(say(told, ended)) if told else ""


def _call(changed: "Changed", ended: "Ended") -> "Text":
    """What a call did, after it."""
    if changed.kind == "damaged":
        return ("THE DATABASE IS DAMAGED NOW, its files are kept;", Action("undo"), "takes it back")
    return (f"{_words(changed)};", *_details(changed, ended), Action("undo"), "takes it back")


def _session(changed: "Changed", ended: "Ended") -> "Text":
    """What a session changed, at its end."""
    if changed.kind == "damaged":
        return ("since this session began: the database is damaged;", Action("list"))
    said = f"since this session began: {_words(changed)};"
    steps = (Action("undo", "--list"), "has its steps")
    if not ended.state_before or changed.kind == "forgotten":
        return (said, *_details(changed, ended), *steps)
    back = Action("restore", ended.state_before)
    return (said, *_details(changed, ended), *steps, ",", back, "goes back to before them")


def _emptied(tables: "tuple[str, ...]", full: str) -> "Text":
    """The alarm before the next command; ``full`` is a backup with rows in these, if there is."""
    more = f" and {len(tables) - MOST} more" * (len(tables) > MOST)
    alarm = EMPTIED.format(", ".join(tables[:MOST]) + more)
    back = (Action("restore", full), "gets the rows back, and what else was there;") if full else ()
    return (
        f"{alarm};",
        *back,
        Action("recover", *(() if more else tables)),
        "shows what is lacking;" if more else "brings back the rows alone;",
        "if it was meant:",
        Action("backup", "--accept-shrink"),
    )


def _details(changed: "Changed", ended: "Ended") -> "tuple[Action | str, ...]":
    """The line that tells more, where it was not looked at row by row."""
    if changed.kind != "other" or changed.comparison or changed.rows:
        return ()
    return (Action("diff", *ended), "tells more,")


def _words(changed: "Changed") -> str:
    """What changed: the tables that lost most first."""
    kinds = {"gone": "the database is gone", "made": "there is a database now"}
    if changed.kind in kinds:
        return kinds[changed.kind]
    if changed.comparison:
        from undrop.cli.diff import changes

        tables = sorted(changed.comparison.tables, key=lambda change: -change.lost)
        texts = changes(changed.comparison._replace(tables=tables))
    else:
        texts = [_counted(name, *pair) for name, pair in changed.rows.items()]
        texts += ["the schema is another"] * changed.schema
    more = [f"{len(texts) - MOST} more"] * (len(texts) > MOST)
    said = [*filter(None, [changed.numbers]), *texts[:MOST], *more]
    return ", ".join(said) or "the database changed"


def _counted(name: str, old: int | None, new: int | None) -> str:
    """A table of which only the number of rows is known."""
    if old is None or new is None:
        return f"table {name} {'added' if old is None else 'gone'}"
    return f"{name}: {abs(new - old):,} {'more' if new > old else 'fewer'} rows"
