"""Each agent's hook protocol: a payload as a Call, a decision as its answer (docs/agents.md)."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from undrop.agent.call import Call, Edit
from undrop.recipes import HOOKS

Decision = Literal["goes on", "denied", "ask"]
EVENTS = {
    "before": "pretooluse beforetool beforeshellexecution beforemcpexecution before",
    "after": "posttooluse posttoolusefailure aftertool aftershellexecution aftermcpexecution "
    "afterfileedit after",
    "start": "sessionstart",
    "end": "sessionend stop agentstop",
}
KINDS = {
    "shell": "bash shell powershell monitor runshellcommand runinterminal executebash",
    "edit": "write edit multiedit notebookedit create strreplace strreplaceeditor insert patch "
    "applypatch writefile replace createfile editfiles replacestringinfile inserteditintofile "
    "multireplacestringinfile editnotebookfile delete",
    "reads": "read view glob grep ls list readfile readmanyfiles listdirectory listdir filesearch "
    "grepsearch textsearch searchfilecontent webfetch websearch googlewebsearch todowrite todoread "
    "notebookread bashoutput askuserquestion exitplanmode task taskcreate agent skill toolsearch",
}
"""Names of events and tools, without capitals and signs; MCP's have their server's before them."""
INPUTS, FOLDERS = ("tool_input", "toolArgs", "args"), ("workdir", "working_directory", "dir_path")
PATHS = ("file_path", "filePath", "path", "notebook_path")
WHOLE = ("content", "file_text", "contents", "new_source")
OLD, NEW = ("old_string", "oldString", "old_str"), ("new_string", "newString", "new_str")
SHAPES = {"workspace_roots": "cursor", "sessionID": "opencode", "turn_id": "codex"}
TIMED = ("timestamp", "sessionId", "toolName")
BACKGROUND = ("run_in_background", "is_background", "isBackground")
# Where the user cannot be asked: there the tool would run.
NO_QUESTIONS = {"codex PreToolUse", "cursor preToolUse", "gemini BeforeTool", "opencode before"}


def read(payload: str | bytes, name: str, top: str, here: Path) -> Call:
    """What a payload tells of; ``top``: the project as the agent has it, ``here``: where we are."""
    fields, problem = _fields(payload)
    agent, said = _whose(fields, name)
    event = _sort(EVENTS, said, "unknown")
    given, tool = _given(fields), _of(str, fields, "tool_name", "toolName", "tool")
    tool = tool or {"afterFileEdit": "Write"}.get(said, "Shell" if "Shell" in said else "")
    kind = _sort({} if "MCP" in said else KINDS, tool, "other")
    edits = tuple(_edits(given, tool)) if kind == "edit" else ()
    command = _of(str, given, "command") if kind in {"shell", "other"} else ""
    roots = [top, *_of(list, fields, "workspace_roots")]
    texts = dict.fromkeys(root for root in roots if root and isinstance(root, str))
    below = _of(str, given, *FOLDERS) if kind == "shell" else ""
    folder = here / (_of(str, fields, "cwd") or next(iter(texts), "")) / below
    unread = {"shell": not command, "edit": not edits}.get(kind, not tool)
    if event == "unknown":
        problem = problem or f"no event of a tool or a session: {said!r}"
    elif event == "before" and unread:
        problem = f"the input of {tool or 'a tool without a name'}"
    elif not isinstance(fields.get("cwd") or "", str):
        problem = "where it runs"
    # Cursor gives the end of a command an id, and its beginning none.
    number = _of(str, fields, "tool_use_id", "callID") * ((agent, kind) != ("cursor", "shell"))
    meant = tuple(here / text for text in texts)
    session = _of(str, fields, "session_id", "sessionId", "sessionID", "conversation_id")
    what = (event, tool, kind, command, edits, given, folder, meant, number, problem)
    came = fields.get("tool_response")
    moved = isinstance(came, dict) and bool(came.get("backgroundTaskId"))
    stays = moved or tool == "Monitor" or any(given.get(key) is True for key in BACKGROUND)
    return Call(*what, agent, session, said, stays)


def answer(call: Call, decision: Decision, text: str = "", user: str = "") -> tuple[str, int]:
    """What to print, and the exit code: ``text`` for the agent, or why; ``user`` for the user."""
    word = {"denied": "deny", "ask": "ask"}.get(decision, "") if call.event == "before" else ""
    word = "deny" if word and f"{call.agent} {call.said}" in NO_QUESTIONS else word
    why, told = (text, "") if word else ("", text)
    if call.event in {"end", "unknown"}:  # only the user can be told
        user, told = user or text, ""
    decided: dict[str, Any] = {"permissionDecision": word, "permissionDecisionReason": why}
    nested = {key: value for key, value in (decided | {"additionalContext": told}).items() if value}
    match call.agent, call.event:
        case "copilot", _:
            said = nested or {"additionalContext": user}
        case "opencode", _:
            said = {"deny": why, "tell": told or user}
        case "cursor", "after" | "start":
            said = {"additional_context": told}
        case "cursor", _:  # an "allow" would answer for the user
            said = {"permission": word, "agent_message": text, "user_message": user or why}
        case "gemini", "before":
            said = {"systemMessage": user, "decision": word, "reason": why}
        case _:  # Copilot reads hooks in VS Code's form as well, and an answer of its own
            said = {"systemMessage": user, **(decided if call.agent == "vscode" else {})}
            said["hookSpecificOutput"] = nested and {"hookEventName": call.said, **nested}
    return json.dumps({key: value for key, value in said.items() if value}), 0


def _fields(payload: str | bytes) -> tuple[dict[str, Any], str]:
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError) as error:
        return {}, f"it is no JSON: {error}"
    return (fields, "") if isinstance(fields, dict) else ({}, "it is no JSON object")


def _whose(fields: dict[str, Any], name: str) -> tuple[str, str]:
    """Whose payload it is, and the event, which Copilot does not name; others run its hooks."""
    said = _of(str, fields, "hook_event_name", "hookEventName")
    timed = "copilot" if not said else "gemini" if said.endswith("Tool") else "vscode"
    shapes = {**SHAPES, "hookEventName": "vscode", **dict.fromkeys(TIMED, timed)}
    agent = next((agent for key, agent in shapes.items() if key in fields), "claude")
    agent = name if name in HOOKS and (name != "copilot" or not said) else agent
    if "toolName" in fields:
        return agent, "postToolUse" if fields.keys() & {"toolResult", "error"} else "preToolUse"
    ends = "sessionEnd" if fields.keys() & {"reason", "stopReason"} else ""
    said = said or _of(str, fields, "event")
    return agent, said or ("sessionStart" if "source" in fields else ends)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """The tool's input; some have it as JSON in a text, Cursor's own events beside the rest."""
    given = next((fields[key] for key in INPUTS if key in fields), fields)
    inner = _fields(given)[0] if isinstance(given, str) else given
    return inner if inner and isinstance(inner, dict) else {"input": given}


def _sort(table: dict[str, str], name: str, other: str) -> Any:  # noqa: ANN401 - a Literal
    plain = name.lower().replace("_", "")
    return next((sort for sort, names in table.items() if plain in names.split()), other)


def _edits(given: dict[str, Any], tool: str) -> Iterator[Edit]:
    """What a call of a tool that writes files does to them."""
    yield from _patched(_of(str, given, "patch", "patchText", "input", "command"))
    for part in _of(list, given, "edits", "replacements") or [given]:
        if isinstance(part, dict) and (path := _of(str, part, *PATHS) or _of(str, given, *PATHS)):
            if part.keys() & {*WHOLE} or "delete" in tool.lower():
                yield Edit(path, None, _of(str, part, *WHOLE))
            else:  # what is inserted has no old text
                every = any(map(part.get, ("replace_all", "replaceAll", "allow_multiple")))
                yield Edit(path, _of(str, part, *OLD), _of(str, part, *NEW), every)
    yield from (Edit(str(path), "", "") for path in _of(list, given, "files"))


def _patched(patch: str) -> Iterator[Edit]:
    """The files of a patch in the form of Codex's apply_patch."""
    for part in re.split(r"^\*\*\* (?=(?:Add|Update|Delete) File: )", patch, flags=re.M)[1:]:
        head, _, text = part.rstrip("\n").partition("\n")
        action, _, path = head.strip().partition(" File: ")
        if action != "Update":
            added = re.findall(r"^\+(.*)", text, flags=re.M)
            yield Edit(path, None, "".join(f"{line}\n" for line in added))
        for other in re.findall(r"^\*\*\* Move to: (.+)", text, flags=re.M):
            yield from (Edit(path, None, ""), Edit(other.strip(), "", ""))
        for hunk in re.split(r"\n?^@@.*\n", text, flags=re.M) if action == "Update" else ():
            old, new = (re.findall(rf"^(?:[{s}](.*)|$)", hunk, flags=re.M) for s in (" -", " +"))
            if any(old + new):
                yield Edit(path, "\n".join(old), "\n".join(new))


def _of(kind: type, fields: Mapping[str, Any], *keys: str) -> Any:  # noqa: ANN401 - that kind
    """The first of these that is one of that kind with something in it, else an empty one."""
    return next((it for key in keys if isinstance(it := fields.get(key), kind) and it), kind())
