"""A coding agent's tool calls, as Claude Code tells the hook of them."""

import json
from pathlib import Path
from typing import Any

from shop import Project

from undrop.agent import adapters, judge
from undrop.agent.call import Call
from undrop.agent.judge import Verdict
from undrop.settings import Settings

CALL = "toolu_01ABC123"
SESSION = "00893aaf-19fa-41d2-8238-13269b9b3ca0"


def call(project: Project, tool: str, **what: object) -> dict[str, Any]:
    """A PreToolUse input as Claude Code writes it."""
    return {
        "session_id": SESSION,
        "transcript_path": "/home/me/.claude/projects/-home-me-shop/00893aaf.jsonl",
        "cwd": str(project.root),
        "permission_mode": "default",
        "hook_event_name": "PreToolUse",
        "tool_name": tool,
        "tool_input": what,
        "tool_use_id": CALL,
    }


def judged(settings: Settings, tool: str, given: object, folder: Path) -> Verdict:
    """What is decided about a call, in this process."""
    what = {"tool_name": tool, "tool_input": given, "cwd": str(folder)}
    return judge.judge(settings, adapted({"hook_event_name": "PreToolUse", **what}))


def adapted(payload: object) -> Call:
    """A payload of Claude Code's, as it is judged."""
    return adapters.read(json.dumps(payload), "claude", "", Path("/"))


def hook(
    project: Project,
    said: object,
    command: tuple[str, ...] = ("undrop", "agent-hook"),
    /,
    **variables: str,
) -> dict[str, Any]:
    """What the hook answers, as a process; it always ends well, with one JSON object."""
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    known = {"CLAUDE_PROJECT_DIR": str(project.root), **variables}
    done = project.told(text, *command, **known)
    assert done.code == 0, done
    answer = json.loads(done.out)
    assert isinstance(answer, dict)
    return answer


def ended(project: Project, command: str) -> dict[str, Any]:
    """What the hook answers when a call of the Bash tool has ended."""
    said = {**call(project, "Bash", command=command), "hook_event_name": "PostToolUse"}
    return hook(project, {**said, "tool_response": {"stdout": "", "stderr": ""}})


def bash(project: Project, command: str, **variables: str) -> dict[str, Any]:
    return hook(project, call(project, "Bash", command=command), **variables)
