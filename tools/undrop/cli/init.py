"""``undrop init``: adopt a project, or leave it as it was."""

import difflib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import recipes, settings, version_table
from undrop.adopt import (
    agents,
    alembic_project,
    commandproof,
    django_proof,
    environments,
    find,
    plan,
    proof,
    variables,
)
from undrop.adopt.project import NOT_GUARDED, Project
from undrop.cli import status
from undrop.cli.answer import Answer, Run
from undrop.errors import CheckError, UndropError, UsageError
from undrop.recipes import Action, Prompt, Setting, Text
from undrop.steps import backup
from undrop.store import unguarded
from undrop.store.lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from undrop.adopt.plan import Edit
    from undrop.cli.answer import Bare

WITHOUT: Text = (
    "nothing is known here that migrates: there is everything but migrate, rehearse and reset-db; "
    "for those, where a command migrates,",
    Setting('migrate-command = "COMMAND"'),
)
SAME = "nothing to change: this project is adopted already"


def init(bare: "Bare") -> Answer:
    """Find out about the project, show what changes, write it, take a first backup."""
    root = bare.arguments.root = find.project_root(Path.cwd())
    if bare.arguments.check:
        return _check(bare, root)
    if bare.arguments.remove:
        return _remove(root, dry=bare.arguments.dry_run)
    try:
        return _adopt(bare, root)
    except UndropError:
        plan.keep_from_git(root)
        raise


def _adopt(bare: "Bare", root: Path) -> Answer:
    dry, named_agents = bare.arguments.dry_run, _agents(bare.arguments.agents)
    typed, standing = bare.arguments.url, recipes.standing()
    named = find.given(typed, standing, root)
    written = named or find.written(root) or find.lying_there(root)[0]
    kept = "" if dry else _cover(bare, root, written)
    project = find.look(root, typed, standing)
    if not project.url:
        raise find.nothing(project)
    # It is loaded again and again from here on.
    if not dry and not kept:
        kept, written = _cover(bare, root, project.url), project.url
    project = variables.with_variable(project)
    if not project.url:
        raise find.nothing(project)
    taken = plan.clashes(project)
    edits = plan.adopt(project, named_agents)
    result = {
        "url": project.url,
        "variable": project.variable or None,
        "unclear": project.unclear,
        "changed": [str(each.path) for each in edits],
    }
    diff = _diff(edits, root)
    unclear = [text for text in project.unclear if not text.startswith(NOT_GUARDED)]
    notes: tuple[Text, ...] = (
        *([f"this is the project in {root}"] if root != Path.cwd() else []),
        *unclear,
        *find.missing(project),
        *agents.trust(edit.path for edit in edits),
        *(f"your recipe {name} stays what it is: ours is undrop-{name}" for name in taken),
    )
    if not project.migrates:
        notes = (*notes, WITHOUT)
    if dry:
        known = _not_guarded(project, project.others)
        return Answer(result, diff, (*notes, *known, "nothing was written: leave out --dry-run"))
    plan.write(edits)
    if not kept or (not project.adopted and project.url != written):  # alembic.ini's is another
        kept = _cover(bare, root, project.url)
    notes = (*notes, f"backed up to {kept}") if kept else notes
    adopted = settings.load(root, bare.session)
    if project.version_table:
        for each in settings.known(adopted):
            version_table.remember(each.backups, each.source, project.version_table)
        adopted = settings.load(root, bare.session)
    _hold_each(adopted, bare)
    unguarded.remember(adopted, project.others)
    unguarded.remember_doors(adopted, [])  # they are tried anew below
    run = Run(adopted, bare.arguments, bare.say, is_named=False)
    seen = status.status(run)
    back: Text = ("adopted; to take it out again:", Action("init", "--remove"))
    notes = (*notes, back if edits else SAME)
    proved = _proved(adopted, project, bare)
    return Answer(
        {**result, "status": seen.result, **proved.result},
        f"{diff}\n{seen.line}\n{proved.line}".strip(),
        (*notes, *proved.notes),
        code=proved.code,
    )


def _agents(named: str) -> list[str]:
    """Those that are named. Raises UsageError."""
    names = named.replace(",", " ").split()
    for name in names:
        if name not in agents.names():
            raise UsageError(
                f"undrop has no hook for {name}",
                f"one or more of {','.join(agents.names())}; others read AGENTS.md",
            )
    return names


def _check(bare: "Bare", root: Path) -> Answer:
    """Only try the guard, for CI. Raises UsageError where the project is not adopted."""
    if settings.table(root) is None:
        raise UsageError(f"the project in {root} is not adopted", Action("init"))
    adopted = settings.load(root, bare.session)
    project = find.look_at_tool(adopted.root)
    _hold_each(adopted, bare)
    proved = _proved(adopted, project, bare)
    return proved if proved.line else proved._replace(notes=(*proved.notes, WITHOUT))


def _proved(adopted: settings.Settings, project: Project, bare: "Bare") -> Answer:
    """Which doors are guarded, by trying; exit code 4 where one is there and is not."""
    tried = []
    if adopted.django and project.django:
        tried.append(django_proof.prove(adopted, project))
    elif project.config and not project.is_packaged:
        python = environments.python(project.root, project.home)
        tried.append(proof.prove(adopted, project, python))
    if adopted.migrate_command and not adopted.engine.in_memory:
        tried.append(commandproof.prove(adopted, bare.say))
    guarded = [each.door for each in tried if not each.failures]
    named = _not_guarded(project, [url for each in tried for url in each.others])
    named += [
        (f"{NOT_GUARDED}: {each.door}, because", *((why,) if isinstance(why, str) else why))
        for each in tried
        for why in each.failures
    ]
    prompt = Prompt(project.root)
    lines = [f"Guarded: {', '.join(guarded)}"] if guarded else []
    open_doors = [prompt.text(text) for text in named]
    notes = tuple(note for each in tried for note in each.notes)
    with suppress(OSError):  # CI may have the project to read only
        unguarded.remember_doors(adopted, open_doors)
    return Answer(
        {"guarded": guarded, "not_guarded": open_doors},
        "\n".join([*lines, *open_doors]),
        notes,
        code=CheckError.exit_code if open_doors else 0,
    )


def _not_guarded(project: Project, others: list[str]) -> list[Text]:
    """What is known not to be guarded without trying, and the databases that are migrated too."""
    who = "manage.py" if project.django else "env.py"
    return [
        *(text for text in project.unclear if text.startswith(NOT_GUARDED)),
        *(_other(url, who) for url in others),
        *project.packaged,
    ]


def _other(url: str, who: str) -> Text:
    """What is said of a database that is gone to and that has no name in the settings."""
    what = f"{NOT_GUARDED}: {url}, which {who} goes to; to guard it,"
    return (what, Setting(f'databases.NAME.url = "{url}"'))


def _cover(bare: "Bare", root: Path, url: str) -> str:
    """Hold the present state of the database that is named so; the backup, if there is any.

    Nothing of the project has run before, or only behind the fence.
    """
    own = settings.table(root)
    if not url and own is None:
        return ""
    return _held(settings.of(root, {"url": url} if own is None else own, bare.session), bare.say)


def _hold_each(adopted: settings.Settings, bare: "Bare") -> None:
    """Before the guard is tried: what a migration starts goes past the fence."""
    for each in settings.known(adopted):
        _held(each, bare.say)


def _held(project: settings.Settings, say: "Callable[[str], None]") -> str:
    """Hold the present state of a database; the backup, if there is any."""
    if not project.engine.exists():
        return ""
    with locked(project, say) as lock:
        for fresh in (False, True):
            purpose = backup.Purpose("undrop init", "", fresh)
            with backup.covered(lock, purpose) as state:
                path = project.backups / state.name
            if path.exists():
                break  # else only the vault has it
    return str(path)


def _remove(root: Path, *, dry: bool) -> Answer:
    files = alembic_project.look_at_alembic(root, run=False)
    edits = plan.withdraw(root, files.env)
    result = {"changed": [str(each.path) for each in edits]}
    if not dry:
        plan.write(edits)
    said = "nothing was written: leave out --dry-run" if dry else "taken out; backups are kept"
    notes: list[Text] = [said if edits else "there is nothing to take out"]
    if edits and (ignored := plan.ignored(edits)):
        notes.append(f"git goes on to ignore the backups: {ignored} says so")
    if files.env and (by_hand := plan.by_hand(files.env, edits)):
        notes.append(f"{by_hand} still calls undrop, in lines that are not init's: they stay")
    return Answer(result, _diff(edits, root), tuple(notes))


def _diff(edits: "list[Edit]", root: Path) -> str:
    lines: list[str] = []
    for path, text_before, text_after in edits:
        name = os.path.relpath(path, root)
        lines += difflib.unified_diff(
            (text_before or "").splitlines(),
            (text_after or "").splitlines(),
            "/dev/null" if text_before is None else f"a/{name}",
            "/dev/null" if text_after is None else f"b/{name}",
            lineterm="",
        )
    return "\n".join(lines)
