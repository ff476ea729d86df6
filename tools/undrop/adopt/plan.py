"""Which files change how: everything that ``init`` puts in, and takes out again."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

import tomlkit

from undrop import durable, settings
from undrop.adopt import agents, blocks, django_project, envpy, hooks, places
from undrop.adopt.project import Project
from undrop.errors import UsageError
from undrop.folders import git_root
from undrop.recipes import HOOKS, OURS, OWN_FILE, RECIPES, Action, Prompt
from undrop.settings import KEYS

TEMPLATE = Path(__file__).with_name(RECIPES)
NAMES = re.findall(r"(?m)^(?!export)(_?[a-z][a-z-]*)\b.*:(?!=)", TEMPLATE.read_text("utf-8"))
"""Of our recipes."""
DEFAULT = "[private]\ndefault:\n    @just --list --unsorted\n\n"
RULE = """
## The database is guarded by undrop

**Run `{backup}` before any schema change or destructive command** (`rm`, truncate, `DROP`,
`DELETE` without `WHERE`, `{command}`), or put `{run}` before it.
{schema}Something is lost? `{undo}`; `{recover}` for some rows alone; or `{list}` and `{restore}`.
Never delete or edit anything in `backups/`.
"""
SCHEMA = """\
Change the schema with `{migrate}`, never by hand; `{rehearse}` says what that would lose.
"""
MIGRATES = ("migrate", "rehearse", "reset-db")
"""Recipes that only a project gets in which something migrates."""
MIGRATES_ONLY = re.compile(rf"(?m)^({'|'.join(MIGRATES)}) .*:")
WITHOUT_JUST = "Without just: `{program} backup`, `{program} undo`, …."
ACTIONS = (
    Action("backup"),
    Action("run"),
    Action("migrate"),
    Action("rehearse"),
    Action("undo"),
    Action("recover"),
    Action("list"),
    Action("restore", "NAME", typed=False),
)


EVERYTHING = "*\n"
"""What a .gitignore says that leaves nothing of its folder to git."""


class Edit(NamedTuple):
    """A file, what is in it and what will be; None where there is no file."""

    path: Path
    text_before: str | None
    text_after: str | None


def adopt(project: Project, named: Collection[str] = ()) -> list[Edit]:
    """What to write into a project; only what changes anything. Raises UsageError.

    The agents that are ``named`` get a hook; without any, those that are used there.
    """
    root = project.root
    edits = [
        _settings(project),
        _justfile(root),
        _file(root / RECIPES, lambda text: _renewed(text, _recipes(project))),
        _block(root / ".gitignore", _ignored_lines(root)),
        *_rules(project),
        *_hooks(root, hooks.add, named),
    ]
    if project.env:
        edits.append(_file(project.env, lambda text: _guarded(text or "")))
    if project.django_settings:
        edits.append(_file(project.django_settings, django_project.added))
    return [edit for edit in edits if edit.text_before != edit.text_after]


def withdraw(root: Path, env: Path | None) -> list[Edit]:
    """What to write to have everything as it was before."""
    edits = [
        _file(path, lambda text: blocks.remove(text) if text else text)
        for path in (
            root / "pyproject.toml",
            root / OWN_FILE,
            _justfiles(root),
            root / RECIPES,
            root / ".gitignore",
            *_agents_files(root),
        )
    ]
    edits += _hooks(root, hooks.remove, agents.names())
    if env and env.is_file():
        edits.append(_file(env, lambda text: envpy.remove(text) if text else text))
    edits += [
        _file(path, lambda text: blocks.remove(text) if text else text)
        for path in django_project.with_block(root)
    ]
    edits = [edit for edit in edits if edit.text_before != edit.text_after]
    return [*edits, *_still_ignored(root)] if edits else []


def _backups(root: Path) -> Path:
    """Where they go, by the settings that are there."""
    return root / str((settings.table(root) or {}).get("backups", "backups"))


def _ignored_lines(root: Path) -> str:
    """For git, which takes them from the root; backups elsewhere are not in it."""
    folder = Path(os.path.relpath(_backups(root), root))
    kept = [] if ".." in folder.parts else [f"/{folder.as_posix()}/"]
    return "\n".join([*kept, ".*.undrop-work*"])


def _still_ignored(root: Path) -> list[Edit]:
    """Git leaves backups alone, also when our line in the project's .gitignore has gone."""
    folder = _backups(root)
    file = folder / ".gitignore"
    if not folder.is_dir() or not os.listdir(folder) or file.exists():
        return []
    return [_file(file, lambda _: EVERYTHING)] if folder.is_relative_to(root) else []


def keep_from_git(root: Path) -> None:
    """Have git leave backups alone where init failed before the project's .gitignore says so."""
    edit = _file(root / ".gitignore", lambda text: text)
    if not blocks.has(edit.text_before):
        write(_still_ignored(root))


def ignored(edits: list[Edit]) -> Path | None:
    """The file that goes on telling git to leave backups alone, if there is one to be written."""
    return next((edit.path for edit in edits if edit.text_after == EVERYTHING), None)


def by_hand(env: Path, edits: list[Edit]) -> Path | None:
    """``env.py``, where lines that call undrop are left after these edits."""
    left = {edit.path: edit.text_after for edit in edits}
    edit = _file(env, lambda text: text)
    return env if envpy.guarded(left.get(edit.path, edit.text_before) or "") else None


def write(edits: list[Edit]) -> None:
    """Write every file beside itself and rename it into place. Raises OSError."""
    for path, _, text_after in edits:
        if text_after is None:
            path.unlink()
            for folder in agents.folders(path):
                if not os.listdir(folder):
                    folder.rmdir()
            continue
        for folder in reversed([each for each in path.parents if not each.exists()]):
            folder.mkdir()
            durable.give(folder, folder.parent)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        work = path.with_name(f".{path.name}.{os.getpid()}.undrop-work")
        try:
            durable.write_new(work, text_after.encode("utf-8", "surrogateescape"), mode)
            work.replace(path)
        finally:
            work.unlink(missing_ok=True)


def _file(path: Path, change: Callable[[str | None], str | None]) -> Edit:
    path = Path(os.path.realpath(path))  # a link stays one
    text_before = None
    if path.is_file():
        text_before = path.read_bytes().decode("utf-8", "surrogateescape")
    return Edit(path, text_before, change(text_before))


def _block(path: Path, body: str | None) -> Edit:
    def change(text: str | None) -> str | None:
        return text if body is None or blocks.has(text) else blocks.add(text, body)

    return _file(path, change)


def _settings(project: Project) -> Edit:
    """In the project's pyproject.toml, else in a file of their own, unless they are there."""
    pyproject = project.root / "pyproject.toml"
    file = pyproject if pyproject.is_file() else project.root / OWN_FILE
    if settings.table(project.root) is not None:
        return _block(file, None)
    known = {
        "url": project.written,
        "url-variable": project.variable,
        "env-file": project.env_file,
        "alembic": project.alembic,
        "alembic-section": "" if project.section == places.SECTION else project.section,
        "alembic-command": project.alembic_command,
        "django": str(project.django.relative_to(project.root)) if project.django else "",
    }
    if own := project.own:
        known |= {"migrate-command": own.command, "migrate-url": own.form}
        known |= {"migrate-create": own.create}
    table: dict[str, object] = {key: value for key, value in known.items() if value}
    if project.databases:
        table["databases"] = {
            each.name: {key: value for key, value in zip(KEYS, each[1:], strict=True) if value}
            for each in project.databases
        }
    return _block(file, tomlkit.dumps({"tool": {"undrop": table}} if file == pyproject else table))


def _justfiles(root: Path) -> Path:
    names = ("justfile", "Justfile", ".justfile")
    return next((root / name for name in names if (root / name).is_file()), root / "justfile")


def _justfile(root: Path) -> Edit:
    file = _justfiles(root)
    return _block(file, ("" if file.is_file() else DEFAULT) + f"import '{RECIPES}'")


def clashes(project: Project) -> list[str]:
    """Names of our recipes that are theirs here. Raises UsageError, see ``_recipes_in``."""
    file, ours = _justfiles(project.root), project.root / RECIPES
    theirs = _recipes_in(file) if file.is_file() else set()
    if theirs and blocks.has(file.read_text("utf-8", "surrogateescape")):
        theirs -= _recipes_in(ours)  # it imports them
    here = {*NAMES} if project.migrates else {*NAMES}.difference(MIGRATES)
    return sorted(theirs & here)


def _rules(project: Project) -> list[Edit]:
    """The rule for agents; one that was written when nothing migrated, or something, is renewed."""
    root, migrates = project.root, project.migrates
    rule, other = (_rule(project, migrates=which) for which in (migrates, not migrates))

    def change(text: str | None) -> str:
        if not blocks.has(text):
            return blocks.add(text, rule, blocks.MARKDOWN)
        return blocks.replaced(text or "", other, rule)

    return [_file(path, change) for path in _agents_files(root)]


def _rule(project: Project, *, migrates: bool) -> str:
    """The rule for agents, with the lines as they are typed in this project."""
    root, planned = project.root, None
    file = root / RECIPES
    if not file.exists() or blocks.has(file.read_text("utf-8", "surrogateescape")):
        taken = clashes(project)
        planned = {each.name: OURS * (each.name in taken) + each.name for each in ACTIONS}
    prompt = Prompt(root, root, planned=planned)
    lines = {action.name: prompt.line(action) for action in ACTIONS}
    other = WITHOUT_JUST.format(program=prompt.program) if prompt.recipes else ""
    schema = SCHEMA.format(**lines) if migrates else ""
    command = "manage.py flush" if project.django else "alembic downgrade"
    return f"{RULE.strip().format(schema=schema, command=command, **lines)}\n{other}"


def _recipes(project: Project) -> str:
    """Our recipes; one whose name the justfile has already begins with ``undrop-``."""
    text = TEMPLATE.read_text("utf-8")
    if not project.migrates:
        parts = text.split("\n\n")
        text = "\n\n".join(part for part in parts if not MIGRATES_ONLY.search(part))
    text = re.sub(r"(?m)^\[group\(.*", '[group("undrop")]', text)
    for name in clashes(project):
        # Where it begins, as a dependency with arguments and without, and where somebody reads it.
        text = re.sub(rf"(?m)(^|\(|: |just ){name}\b(?!-)", rf"\1{OURS}{name}", text)
    return text


def _renewed(text: str | None, recipes: str) -> str | None:
    """``undrop.just`` with the recipes of today; one that is not ours stays what it is."""
    if text is not None and (recipes.rstrip() in text or not blocks.has(text)):
        return text
    return blocks.add(blocks.remove(text) if text else text, recipes)


def _recipes_in(file: Path) -> set[str]:
    """What a justfile has names for, its imports too. Raises UsageError when it is broken."""
    done = subprocess.run(  # noqa: S603 - just, which comes with undrop
        [_just(), "--justfile", file, "--dump", "--dump-format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UsageError(f"just cannot read {file}: {done.stderr.strip()}", f"correct {file}")
    dump = json.loads(done.stdout)
    return {*dump["recipes"], *dump["aliases"], *dump["modules"]}


def _just() -> str:
    """The just that comes with undrop: the user may have none on PATH."""
    beside = Path(sys.executable).with_name("just")
    return str(beside) if beside.exists() else "just"


def _agents_files(root: Path) -> list[Path]:
    """The files with rules for agents; once where one is a link to the other."""
    files = {os.path.realpath(root / name): root / name for name in ("CLAUDE.md", "AGENTS.md")}
    return list(files.values())


def _hooks(root: Path, change: Callable[..., str | None], named: Collection[str]) -> list[Edit]:
    """Where agents are started: in the project, and at the top of the repository that it is in.

    Not where that is somebody's home: the settings there are all projects'.
    """
    places = [(root, "")]
    top = git_root(root)
    if top and top not in {root.resolve(), Path.home().resolve()}:
        places.append((top, str(root.resolve().relative_to(top))))
    return [
        _file(place / HOOKS[name], partial(change, name, folder=folder))
        for place, folder in places
        for name in HOOKS
        if (name in named if named else agents.is_used(name, place))
    ]


def _guarded(text: str) -> str:
    return text if envpy.guarded(text) else envpy.add(text)
