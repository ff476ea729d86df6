"""Each agent's hook protocol: a payload as a Call, a decision as its answer (docs/agents.md)."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from undrop.agent.call import Call, Edit

Decision = Literal["goes on", "denied", "ask"]
FILES = {
    "claude": ".claude/settings.json", "codex": ".codex/hooks.json",
    "copilot": ".github/hooks/undrop.json", "cursor": ".cursor/hooks.json",
    "gemini": ".gemini/settings.json", "opencode": ".opencode/plugins/undrop.ts",
}  # fmt: skip
"""Where an agent reads in a repository that it has a hook, by the agent's name."""
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
    "notebookread bashoutput askuserquestion exitplanmode task agent skill",
}
"""Names of events and tools, without capitals and signs; MCP's have their server's before them."""
INPUTS, FOLDERS = ("tool_input", "toolArgs", "args"), ("workdir", "working_directory", "dir_path")
PATHS = ("file_path", "filePath", "path", "notebook_path")
WHOLE = ("content", "file_text", "contents", "new_source")
OLD, NEW = ("old_string", "oldString", "old_str"), ("new_string", "newString", "new_str")
SHAPES = {"workspace_roots": "cursor", "sessionID": "opencode", "turn_id": "codex"}
TIMED = ("timestamp", "sessionId", "toolName")
BACKGROUND = ("run_in_background", "is_background", "isBackground")
NO_QUESTIONS = {"codex PreToolUse", "cursor preToolUse", "gemini BeforeTool", "opencode before"}
"""Where the user cannot be asked: there the tool would run."""


def read(payload: str | bytes, name: str, environ: Mapping[str, str]) -> Call:
    """What a payload tells of, whatever it is; without the agent's name its shape says whose."""
    fields, problem = _fields(payload)
    agent, said = _agent(fields, name), _said(fields)
    event = _sort(EVENTS, said, "unknown")
    given, tool = _given(fields), _text(fields, "tool_name", "toolName", "tool")
    tool = tool or {"afterFileEdit": "Write"}.get(said, "Shell" if "Shell" in said else "")
    kind = _sort({} if "MCP" in said else KINDS, tool, "other")
    edits = tuple(_edits(given, tool)) if kind == "edit" else ()
    command = _text(given, "command") if kind in {"shell", "other"} else ""
    roots = [environ.get("CLAUDE_PROJECT_DIR"), *_list(fields.get("workspace_roots"))]
    texts = dict.fromkeys(root for root in roots if root and isinstance(root, str))
    below = _text(given, *FOLDERS) if kind == "shell" else ""
    folder = _absolute(_text(fields, "cwd") or next(iter(texts), "")) / below
    unread = {"shell": not command, "edit": not edits}.get(kind, not tool)
    if event == "unknown":
        problem = problem or f"no event of a tool or a session: {said!r}"
    elif event == "before" and unread:
        problem = f"the input of {tool or 'a tool without a name'}"
    elif not isinstance(fields.get("cwd") or "", str):
        problem = "where it runs"
    # Cursor gives the end of a command an id, and its beginning none.
    number = _text(fields, "tool_use_id", "callID") if (agent, kind) != ("cursor", "shell") else ""
    meant = tuple(map(_absolute, texts))
    session = _text(fields, "session_id", "sessionId", "sessionID", "conversation_id")
    what = (event, tool, kind, command, edits, given, folder, meant, number, problem)
    came = fields.get("tool_response")
    moved = isinstance(came, dict) and came.get("backgroundTaskId")
    stays = moved or tool == "Monitor" or any(given.get(key) is True for key in BACKGROUND)
    return Call(*what, agent=agent, session=session, said=said, background=bool(stays))


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
        text = payload.decode("utf-8") if isinstance(payload, bytes) else payload
        fields = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        return {}, f"it is no JSON: {error}"
    return (fields, "") if isinstance(fields, dict) else ({}, "it is no JSON object")


def _agent(fields: dict[str, Any], name: str) -> str:
    """Whose payload it is. VS Code runs the hooks of Copilot, and others those of Claude Code."""
    named = _text(fields, "hook_event_name", "hookEventName")
    if name in FILES and (name != "copilot" or not named):
        return name
    timed = "copilot" if not named else "gemini" if named.endswith("Tool") else "vscode"
    shapes = {**SHAPES, "hookEventName": "vscode", **dict.fromkeys(TIMED, timed)}
    return next((agent for key, agent in shapes.items() if key in fields), "claude")


def _said(fields: dict[str, Any]) -> str:
    """The event; Copilot does not name it, and is understood by what else there is."""
    if "toolName" in fields:
        return "postToolUse" if fields.keys() & {"toolResult", "error"} else "preToolUse"
    named = _text(fields, "hook_event_name", "hookEventName", "event")
    ends = fields.keys() & {"reason", "stopReason"}
    return named or ("sessionStart" if "source" in fields else "sessionEnd" if ends else "")


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
    patch = _text(given, "patch", "patchText", "input", "command")
    yield from _patched(patch)
    for part in _list(given.get("edits") or given.get("replacements")) or [given]:
        if isinstance(part, dict) and (path := _text(part, *PATHS) or _text(given, *PATHS)):
            if part.keys() & {*WHOLE} or "delete" in tool.lower():
                yield Edit(path, None, _text(part, *WHOLE))
            else:  # what is inserted has no old text
                every = any(map(part.get, ("replace_all", "replaceAll", "allow_multiple")))
                yield Edit(path, _text(part, *OLD), _text(part, *NEW), every)
    yield from (Edit(str(path), "", "") for path in _list(given.get("files")))


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


def _text(fields: Mapping[str, Any], *keys: str) -> str:
    """The first of these that is a text with something in it."""
    return next((text for key in keys if isinstance(text := fields.get(key), str) and text), "")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _absolute(path: str) -> Path:
    with suppress(OSError):  # somebody removed the folder that we stand in
        return Path.cwd() / path
    return Path("/") / path
