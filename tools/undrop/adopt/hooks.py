"""The hook for coding agents in somebody's ``.claude/settings.json``.

It is read where an agent is started: in the project's folder, or in the git repository's that has
the project in a folder below. There, each project has a hook of its own.
"""

import json
import re
import shlex
from collections.abc import Collection, Iterator

from undrop.adopt import jsontext
from undrop.errors import UsageError
from undrop.recipes import ENVIRONMENTS

FILE = ".claude/settings.json"
OURS = "undrop agent-hook"
MISSING = (
    ' || echo \'{"systemMessage": "undrop does not guard the database: it is not installed"}\''
)
OLDER = f'PATH="$CLAUDE_PROJECT_DIR/.venv/bin:$PATH" {OURS}{MISSING}'
"""What an undrop before 0.3 wrote."""
TOOLS = {"matcher": "Bash|Write|Edit|MultiEdit|NotebookEdit"}
EVENTS: dict[str, dict[str, str]] = {
    "PreToolUse": TOOLS,
    "PostToolUse": TOOLS,
    "PostToolUseFailure": TOOLS,
    "SessionStart": {},
}
"""When it is called, and for which tools."""
OLDER_EVENTS = {"PreToolUse", "SessionStart"}
"""Those that an undrop before 0.3 wrote."""
BELOW = re.compile(rf' CLAUDE_PROJECT_DIR="\$CLAUDE_PROJECT_DIR"/(.+) {OURS}')


def command(folder: str = "") -> str:
    """The hook's line for the project in ``folder``, from where the agent is started."""
    top = '"$CLAUDE_PROJECT_DIR"'
    here = f"{top}/{shlex.quote(folder)}" if folder else top
    tops = [here, top] if folder else [top]
    programs = ":".join(f"{each}/{name}/bin" for each in tops for name in ENVIRONMENTS)
    project = f" CLAUDE_PROJECT_DIR={here}" if folder else ""
    return f'UNDROP_USER_PATH="$PATH" PATH={programs}:"$PATH"{project} {OURS}{MISSING}'


def add(text: str | None, folder: str = "") -> str:
    """The settings with the hook of the project in ``folder``. Raises UsageError."""
    if text is None:
        return _own([folder])
    try:
        text = _renewed(text)
        hooks = json.loads(text).get("hooks", {})
        folders = _folders(hooks)
        if text in {_own(folders), _own(folders, OLDER_EVENTS)}:
            return _own(list(dict.fromkeys([*folders, folder])))
        if not hooks and "hooks" not in json.loads(text):
            return jsontext.insert(text, [], _all_events(folder))
        for name in EVENTS:
            if folder in _folders({name: hooks.get(name, [])}):
                continue
            group = json.dumps(_group(name, folder))
            if name in hooks:
                text = jsontext.insert(text, ["hooks", name], group)
            else:
                text = jsontext.insert(text, ["hooks"], f'"{name}": [{group}]')
    except (ValueError, AttributeError) as error:
        raise UsageError(
            f"{FILE} is not what is documented: {error}",
            f"correct it, or add by hand {_all_events(folder)}",
        ) from None
    return text


def remove(text: str | None, folder: str = "") -> str | None:
    """The settings as they were; None for a file that had to be made."""
    if text is None:
        return None
    left = renewed = _renewed(text)
    try:
        folders = _folders(json.loads(text)["hooks"])
    except (ValueError, KeyError, TypeError, AttributeError):
        folders = []
    if folder in folders and renewed in {_own(folders), _own(folders, OLDER_EVENTS)}:
        others = [each for each in folders if each != folder]
        return _own(others) if others else None
    for events in (EVENTS, OLDER_EVENTS):
        left = jsontext.remove(left, _all_events(folder, events))
    groups = {name: json.dumps(_group(name, folder)) for name in EVENTS}
    for name, group in groups.items():
        left = jsontext.remove(left, f'"{name}": [{group}]')
    for group in groups.values():  # in lists that others have something in, too
        left = jsontext.remove(left, group)
    return text if left == renewed else left


def _group(name: str, folder: str) -> dict[str, object]:
    return {**EVENTS[name], "hooks": [{"type": "command", "command": command(folder)}]}


def _all_events(folder: str, events: Collection[str] = EVENTS) -> str:
    """What goes into settings without hooks."""
    groups = {name: json.dumps(_group(name, folder)) for name in EVENTS if name in events}
    inner = ", ".join(f'"{name}": [{group}]' for name, group in groups.items())
    return f'"hooks": {{{inner}}}'


def _own(folders: list[str], events: Collection[str] = EVENTS) -> str:
    """A whole file."""
    hooks = {n: [_group(n, folder) for folder in folders] for n in EVENTS if n in events}
    return json.dumps({"hooks": hooks}, indent=2) + "\n"


def _renewed(text: str) -> str:
    return text.replace(json.dumps(OLDER), json.dumps(command()))


def _folders(hooks: dict[str, object]) -> list[str]:
    """Of which projects there are hooks."""
    lines = (line for groups in hooks.values() for line in _texts(groups) if OURS in line)
    below = (BELOW.search(line) for line in lines)
    return list(dict.fromkeys("".join(shlex.split(found[1])) if found else "" for found in below))


def _texts(inside: object) -> Iterator[str]:
    if isinstance(inside, str):
        yield inside
    elif isinstance(inside, dict | list):
        for each in inside.values() if isinstance(inside, dict) else inside:
            yield from _texts(each)
