"""Which files change how: everything that ``init`` puts in, and takes out again."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import tomlkit

from undrop import durable, settings
from undrop.adopt import blocks, envpy, jsontext, places
from undrop.adopt.find import Project
from undrop.errors import UsageError
from undrop.recipes import OURS, Action, Prompt

RECIPES = "undrop.just"
TEMPLATE = Path(__file__).with_name(RECIPES)
NAMES = re.findall(r"(?m)^(?!export)(_?[a-z][a-z-]*)\b.*:(?!=)", TEMPLATE.read_text("utf-8"))
"""Of our recipes."""
DEFAULT = "[private]\ndefault:\n    @just --list --unsorted\n\n"
HOOK = {
    "type": "command",
    "command": 'PATH="$CLAUDE_PROJECT_DIR/.venv/bin:$PATH" undrop agent-hook || echo'
    ' \'{"systemMessage": "undrop does not guard the database: it is not installed"}\'',
}
TOOLS = {"matcher": "Bash|Write|Edit|MultiEdit|NotebookEdit", "hooks": [HOOK]}
EVENTS = {
    "PreToolUse": TOOLS,
    "PostToolUse": TOOLS,
    "PostToolUseFailure": TOOLS,
    "SessionStart": {"hooks": [HOOK]},
}
OLDER_EVENTS = {"PreToolUse", "SessionStart"}
"""Those that an undrop before 0.3 wrote."""
RULE = """
## The database is guarded by undrop

**Run `{backup}` before any schema change or destructive command** (`rm`, truncate, `DROP`,
`DELETE` without `WHERE`, `alembic downgrade`), or put `{run}` before it.
Change the schema with `{migrate}`, never by hand; `{rehearse}` says what that would lose.
Something is lost? `{undo}`, or `{list}` and `{restore}`.
Never delete or edit anything in `backups/`.
"""
WITHOUT_JUST = "Without just: `{program} backup`, `{program} undo`, …."
ACTIONS = (
    Action("backup"),
    Action("run"),
    Action("migrate"),
    Action("rehearse"),
    Action("undo"),
    Action("list"),
    Action("restore", "NAME", typed=False),
)


class Edit(NamedTuple):
    """A file, what is in it and what will be; None where there is no file."""

    path: Path
    text_before: str | None
    text_after: str | None


def adopt(project: Project) -> list[Edit]:
    """What to write into a project; only what changes anything. Raises UsageError."""
    root = project.root
    rule = _rule(root)
    edits = [
        _block(root / "pyproject.toml", _settings(project)),
        _justfile(root),
        _file(root / RECIPES, lambda text: _renewed(text, _recipes(root))),
        _block(root / ".gitignore", "/backups/\n.*.undrop-work*"),
        *(_block(path, rule, blocks.MARKDOWN) for path in _rules(root)),
        _file(root / ".claude/settings.json", _hooked),
    ]
    if project.env:
        edits.append(_file(project.env, lambda text: _guarded(text or "")))
    return [edit for edit in edits if edit.text_before != edit.text_after]


def withdraw(root: Path, env: Path | None) -> list[Edit]:
    """What to write to have everything as it was before."""
    edits = [
        _file(path, lambda text: blocks.remove(text) if text else text)
        for path in (
            root / "pyproject.toml",
            _justfiles(root),
            root / RECIPES,
            root / ".gitignore",
            *_rules(root),
        )
    ]
    edits.append(_file(root / ".claude/settings.json", _unhooked))
    if env and env.is_file():
        edits.append(_file(env, lambda text: envpy.remove(text) if text else text))
    return [edit for edit in edits if edit.text_before != edit.text_after]


def write(edits: list[Edit]) -> None:
    """Write every file beside itself and rename it into place. Raises OSError."""
    for path, _, text_after in edits:
        if text_after is None:
            path.unlink()
            if path.parent.name == ".claude" and not os.listdir(path.parent):
                path.parent.rmdir()
            continue
        if not path.parent.exists():
            path.parent.mkdir()
            durable.give(path.parent, path.parent.parent)
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


def _block(path: Path, body: str | None, comment: tuple[str, str] = blocks.HASH) -> Edit:
    def change(text: str | None) -> str | None:
        return text if body is None or blocks.has(text) else blocks.add(text, body, comment)

    return _file(path, change)


def _settings(project: Project) -> str | None:
    """``[tool.undrop]``; None where it is there already."""
    if "undrop" in settings.tools(project.root):
        return None
    known = {
        "url": project.written,
        "url-variable": project.variable,
        "env-file": project.env_file,
        "alembic": project.alembic,
        "alembic-section": "" if project.section == places.SECTION else project.section,
    }
    table = {key: value for key, value in known.items() if value}
    return tomlkit.dumps({"tool": {"undrop": table}})


def _justfiles(root: Path) -> Path:
    names = ("justfile", "Justfile", ".justfile")
    return next((root / name for name in names if (root / name).is_file()), root / "justfile")


def _justfile(root: Path) -> Edit:
    file = _justfiles(root)
    return _block(file, ("" if file.is_file() else DEFAULT) + f"import '{RECIPES}'")


def clashes(root: Path) -> list[str]:
    """Names of our recipes that are theirs here. Raises UsageError, see ``_recipes_in``."""
    file, ours = _justfiles(root), root / RECIPES
    theirs = _recipes_in(file) if file.is_file() else set()
    if theirs and blocks.has(file.read_text("utf-8", "surrogateescape")):
        theirs -= _recipes_in(ours)  # it imports them
    return sorted(theirs & {*NAMES})


def _rule(root: Path) -> str:
    """The rule for agents, with the lines as they are typed in this project."""
    planned = None
    if not (root / RECIPES).exists():
        taken = clashes(root)
        planned = {each.name: OURS * (each.name in taken) + each.name for each in ACTIONS}
    prompt = Prompt(root, root, planned=planned)
    lines = {action.name: prompt.line(action) for action in ACTIONS}
    other = WITHOUT_JUST.format(program=prompt.program) if prompt.recipes else ""
    return f"{RULE.strip().format(**lines)}\n{other}"


def _recipes(root: Path) -> str:
    """Our recipes; one whose name the justfile has already begins with ``undrop-``."""
    text = re.sub(r"(?m)^\[group\(.*", '[group("undrop")]', TEMPLATE.read_text("utf-8"))
    for name in clashes(root):
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


def _rules(root: Path) -> list[Path]:
    """The files with rules for agents; once where one is a link to the other."""
    files = {os.path.realpath(root / name): root / name for name in ("CLAUDE.md", "AGENTS.md")}
    return list(files.values())


def _snippets() -> dict[str, str]:
    return {name: json.dumps(hook) for name, hook in EVENTS.items()}


def _hooked(text: str | None) -> str:
    if text is None:
        return _own_hooks()
    try:
        hooks = json.loads(text).get("hooks", {})
        if text == _own_hooks(OLDER_EVENTS):
            return _own_hooks()
        if not hooks and "hooks" not in json.loads(text):
            return jsontext.insert(text, [], _all_events())
        for name, snippet in _snippets().items():
            if "undrop agent-hook" in json.dumps(hooks.get(name, "")):
                continue
            if name in hooks:
                text = jsontext.insert(text, ["hooks", name], snippet)
            else:
                text = jsontext.insert(text, ["hooks"], f'"{name}": [{snippet}]')
    except (ValueError, AttributeError) as error:
        raise UsageError(
            f".claude/settings.json is not what is documented: {error}",
            f"correct it, or add by hand {_all_events()}",
        ) from None
    return text


def _unhooked(text: str | None) -> str | None:
    if text is None or text == _own_hooks():
        return None
    text = jsontext.remove(text, _all_events())
    for name, snippet in reversed(_snippets().items()):
        text = jsontext.remove(jsontext.remove(text, f'"{name}": [{snippet}]'), snippet)
    return text


def _all_events() -> str:
    return '"hooks": {' + ", ".join(f'"{n}": [{s}]' for n, s in _snippets().items()) + "}"


def _own_hooks(events: Collection[str] = EVENTS) -> str:
    hooks = {name: [EVENTS[name]] for name in EVENTS if name in events}
    return json.dumps({"hooks": hooks}, indent=2) + "\n"


def _guarded(text: str) -> str:
    return text if envpy.guarded(text) else envpy.add(text)
