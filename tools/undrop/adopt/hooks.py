"""The hook for coding agents, in the files where somebody's agents look for one.

They are read where an agent is started: in the project's folder, or in the git repository's that
has the project in a folder below. There, each project has a hook of its own.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from undrop.adopt import jsontext
from undrop.adopt.agents import AGENTS, EVERY, MISSING, OURS, command
from undrop.errors import UsageError
from undrop.recipes import HOOKS

OLDER = f'PATH="$CLAUDE_PROJECT_DIR/.venv/bin:$PATH" {OURS}' + (
    f' || echo \'{{"systemMessage": "{MISSING}"}}\''
)
"""What an undrop before 0.3 wrote for Claude Code."""
TOOLS = "Bash|Write|Edit|MultiEdit|NotebookEdit"
EARLIER: dict[str, list[dict[str, str]]] = {
    "claude": [
        {
            "PreToolUse": TOOLS,
            "PostToolUse": TOOLS,
            "PostToolUseFailure": TOOLS,
            "SessionStart": EVERY,
        },
        {"PreToolUse": TOOLS, "SessionStart": EVERY},  # before 0.3
    ]
}
"""When our hook was called, and for which tools, in what an undrop before wrote."""
BELOW = re.compile(rf' CLAUDE_PROJECT_DIR="\$\{{?\w+\}}?"/(.+?) {OURS}')
OPENCODE = Path(__file__).with_name("opencode.ts")
PROJECTS = re.compile(r"^const PROJECTS = (\[.*\]);?$", re.MULTILINE)


def add(name: str, text: str | None, folder: str = "") -> str:
    """An agent's file with the hook of the project in ``folder``. Raises UsageError."""
    if name == "opencode":
        return _plugin(text, [*_plugged(text), folder])
    if text is None:
        return _own(name, [folder])
    try:
        if (folders := _only_ours(name, text)) is not None:
            return _own(name, list(dict.fromkeys([*folders, folder])))
        if _is_there(name, text, folder):
            return text
        return _merged(name, _without(name, text, folder), folder)
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{HOOKS[name]} is not what is documented: {error}",
            f"correct it, or add by hand {_all_events(name, folder, AGENTS[name].head)}",
        ) from None


def remove(name: str, text: str | None, folder: str = "") -> str | None:
    """An agent's file as it was; None for one that had to be made."""
    if text is None:
        return None
    if name == "opencode":
        left = [each for each in _plugged(text) if each != folder]
        return text if folder not in _plugged(text) else _plugin(text, left) if left else None
    folders = _only_ours(name, text)
    if folders is not None and folder in folders:
        others = [each for each in folders if each != folder]
        return _own(name, others) if others else None
    return _without(name, text, folder)


def _merged(name: str, text: str, folder: str) -> str:
    """Somebody's file with our hook in it. Raises ValueError, AttributeError, TypeError."""
    settings = json.loads(text)
    hooks = settings.get("hooks", {})
    if not hooks and "hooks" not in settings:
        head = {key: value for key, value in AGENTS[name].head.items() if key not in settings}
        return jsontext.insert(text, [], _all_events(name, folder, head))
    for event, group in _groups(name, folder).items():
        if folder in _folders({event: hooks.get(event, [])}):
            continue
        if event in hooks:
            at, empty = jsontext.inside(text, ["hooks", event])
            was_empty = empty or any(text.startswith(_tight(each), at) for each in hooks[event])
            form = _tight(json.loads(group)) if was_empty else group
            text = jsontext.insert(text, ["hooks", event], form)
        else:
            text = jsontext.insert(text, ["hooks"], f'"{event}": [{group}]')
    return text


def _without(name: str, text: str, folder: str) -> str:
    """Somebody's file without what of it is ours, in each form in which we wrote it."""
    agent = AGENTS[name]
    renewed = left = text.replace(json.dumps(OLDER), json.dumps(command("claude")))
    tables = [agent.events, *EARLIER.get(name, [])]
    for events in tables:
        for head in (agent.head, {}):
            left = jsontext.remove(left, _all_events(name, folder, head, events))
    for events in tables:
        groups = _groups(name, folder, events)
        for event, group in groups.items():
            left = jsontext.remove(left, f'"{event}": [{group}]')
        for group in groups.values():  # in lists that are others'
            left = jsontext.remove(left, group)
            left = jsontext.remove(left, _tight(json.loads(group)))
    return text if left == renewed else left


def _is_there(name: str, text: str, folder: str) -> bool:
    """Whether our hook is in somebody's file as it is written today."""
    hooks = json.loads(text).get("hooks", {})
    groups = _groups(name, folder)
    return all(json.loads(group) in hooks.get(event, []) for event, group in groups.items())


def _only_ours(name: str, text: str) -> list[str] | None:
    """Of which projects there are hooks in a file that we made; None where others' are, too."""
    try:
        settings = json.loads(text)
        groups = [group for groups in settings["hooks"].values() for group in groups]
        ours = bool(groups) and all(OURS in json.dumps(group) for group in groups)
        folders = _folders(settings["hooks"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    known = settings.keys() <= {"hooks", *AGENTS[name].head}
    same = text == json.dumps(settings, indent=2) + "\n"
    return folders if ours and known and same else None


def _group(name: str, folder: str, tools: str) -> dict[str, Any]:
    agent = AGENTS[name]
    entry = {**agent.entry, agent.key: command(name, folder)}
    matcher = {"matcher": tools} if tools else {}
    return {**matcher, "hooks": [entry]} if agent.nested else {**matcher, **entry}


def _tight(group: object) -> str:
    """The form in which a group is put into a list of somebody's that was empty: it stays."""
    return json.dumps(group, separators=(",", ":"))


def _groups(name: str, folder: str, events: dict[str, str] | None = None) -> dict[str, str]:
    """What goes into the list of each event."""
    events = AGENTS[name].events if events is None else events
    return {event: json.dumps(_group(name, folder, tools)) for event, tools in events.items()}


def _all_events(
    name: str, folder: str, head: dict[str, Any], events: dict[str, str] | None = None
) -> str:
    """What goes into settings without hooks."""
    groups = _groups(name, folder, events).items()
    inner = ", ".join(f'"{event}": [{group}]' for event, group in groups)
    first = "".join(f'"{key}": {json.dumps(value)}, ' for key, value in head.items())
    return f'{first}"hooks": {{{inner}}}'


def _own(name: str, folders: list[str], events: dict[str, str] | None = None) -> str:
    """A whole file."""
    agent = AGENTS[name]
    events = agent.events if events is None else events
    hooks = {
        event: [_group(name, folder, tools) for folder in folders]
        for event, tools in events.items()
    }
    return json.dumps({**agent.head, "hooks": hooks}, indent=2) + "\n"


def _plugin(text: str | None, folders: list[str]) -> str:
    """OpenCode's plugin; a file of that name that is not ours stays what it is."""
    if text is not None and not PROJECTS.search(text):
        return text
    projects = f"const PROJECTS = {json.dumps(list(dict.fromkeys(folders)))}"
    return PROJECTS.sub(lambda _: projects, OPENCODE.read_text("utf-8"))


def _plugged(text: str | None) -> list[str]:
    """Of which projects OpenCode's plugin is."""
    found = PROJECTS.search(text or "")
    return list(map(str, json.loads(found[1]))) if found else []


def _folders(hooks: dict[str, object]) -> list[str]:
    """Of which projects there are hooks."""
    lines = (line for groups in hooks.values() for line in _texts(groups) if OURS in line)
    inner = (shlex.split(line)[2] if line.startswith("sh -c ") else line for line in lines)
    below = (BELOW.search(line) for line in inner)
    return list(dict.fromkeys("".join(shlex.split(found[1])) if found else "" for found in below))


def _texts(inside: object) -> Iterator[str]:
    if isinstance(inside, str):
        yield inside
    elif isinstance(inside, dict | list):
        for each in inside.values() if isinstance(inside, dict) else inside:
            yield from _texts(each)
