"""Agents that have a hook: where they read that, when they call it, and by which line."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from undrop.recipes import ENVIRONMENTS, HOOKS

OURS = "undrop agent-hook"
MISSING = "undrop does not guard the database: it is not installed"
SECONDS = 600  # where a hook that takes longer lets the call through
EVERY = ""  # tool: no matcher
GIT = (
    'top="$(git rev-parse --show-toplevel 2>/dev/null || pwd)"; '
    'main="$(git rev-parse --git-common-dir 2>/dev/null)/.."; '
)
"""For agents that do not say where they were started; a worktree has no programs of its own."""


class Agent(NamedTuple):
    """An agent that reads a JSON file in which hooks are; docs/agents.md says where that stands."""

    signs: tuple[str, ...]
    """What is in a repository where it is used."""
    events: dict[str, str]
    """When our hook is called, and for which tools."""
    entry: dict[str, Any]
    """One hook, without its line."""
    tops: tuple[str, ...]
    """The repository's folder, as a shell has it; then others with programs of the project's."""
    first: str = ""
    """What the line begins with."""
    key: str = "command"
    """Under which it stands."""
    nested: bool = True
    """Whether an event has groups of hooks, not hooks, and the file no version."""
    wrapped: bool = False
    """Whether the user's shell runs it, which may be none that understands it."""
    silent: tuple[str, ...] = ("systemMessage",)
    """Where in an answer it is said that undrop is missing."""
    trust: str = ""
    """What the user has to do before the agent calls it."""

    @property
    def head(self) -> dict[str, Any]:
        """What the file begins with."""
        return {} if self.nested else {"version": 1}


AGENTS = {
    "claude": Agent(
        (".claude",),
        dict.fromkeys(["PreToolUse", "PostToolUse", "PostToolUseFailure"], EVERY)
        | dict.fromkeys(["SessionStart", "SessionEnd", "Stop"], EVERY),
        {"type": "command"},
        ('"$CLAUDE_PROJECT_DIR"',),
    ),
    "codex": Agent(
        (".codex",),
        dict.fromkeys(["PreToolUse", "PostToolUse", "SessionStart", "Stop"], EVERY),
        {"type": "command", "timeout": SECONDS},
        ('"$top"', '"$main"'),
        GIT,
        wrapped=True,
        trust="Codex calls the hook once you trust the project and, with /hooks in Codex, the hook",
    ),
    "copilot": Agent(
        (".github/hooks", ".github/copilot-instructions.md"),
        dict.fromkeys(["preToolUse", "postToolUse", "postToolUseFailure", "sessionStart"], EVERY),
        {"type": "command", "timeoutSec": SECONDS},
        ('"$top"', '"$main"'),
        GIT,
        key="bash",
        nested=False,
        silent=("systemMessage", "additionalContext"),  # VS Code's, Copilot's
    ),
    "cursor": Agent(
        (".cursor",),
        # The ends of its own events hear nothing.
        dict.fromkeys(["beforeShellExecution", "beforeMCPExecution"], EVERY)
        | {"preToolUse": "Write|Edit|Replace|Delete|Patch"}
        | dict.fromkeys(["postToolUse", "postToolUseFailure", "sessionStart"], EVERY),
        {"timeout": SECONDS},
        ('"$CURSOR_PROJECT_DIR"',),
        nested=False,
        wrapped=True,
        silent=("user_message",),
    ),
    "gemini": Agent(
        (".gemini",),
        dict.fromkeys(["BeforeTool", "AfterTool", "SessionStart", "SessionEnd"], EVERY),
        {"type": "command", "timeout": SECONDS * 1000},
        # Without the braces Gemini puts a path in quotes of its own there.
        ('"${GEMINI_PROJECT_DIR}"',),
    ),
}


def names() -> list[str]:
    """Every agent that has a hook."""
    return list(HOOKS)


def is_used(name: str, folder: Path) -> bool:
    """Whether an agent is used there; Claude Code's hook is in every project."""
    signs = AGENTS[name].signs if name in AGENTS else (".opencode",)
    return name == "claude" or any((folder / sign).exists() for sign in signs)


def folders(path: Path) -> list[Path]:
    """Which folders are made for an agent's file, innermost first; none for another file."""
    depths = [len(Path(file).parts) - 1 for file in HOOKS.values() if path.match(file)]
    return list(path.parents[: max(depths, default=0)])


def trust(paths: Iterable[Path]) -> list[str]:
    """What the user has to do before a hook in one of these files is called."""
    parts = [path.parts[-2:] for path in paths]
    asks = {Path(HOOKS[name]).parts[-2:]: agent.trust for name, agent in AGENTS.items()}
    return list(dict.fromkeys(asks[part] for part in parts if asks.get(part)))


def command(name: str, folder: str = "") -> str:
    """The hook's line for the project in ``folder``, from where the agent is started."""
    agent = AGENTS[name]
    here = f"{agent.tops[0]}/{shlex.quote(folder)}" if folder else agent.tops[0]
    tops = [here, *agent.tops] if folder else agent.tops
    programs = ":".join(f"{top}/{each}/bin" for top in tops for each in ENVIRONMENTS)
    project = f" CLAUDE_PROJECT_DIR={here}" if folder else ""
    # Others read Claude Code's file, too: there the payload says whose it is.
    whose = "" if name == "claude" else f" --for {name}"
    said = json.dumps(dict.fromkeys(agent.silent, MISSING))
    line = f'{agent.first}UNDROP_USER_PATH="$PATH" PATH={programs}:"$PATH"{project} {OURS}{whose}'
    if agent.wrapped:
        return f"sh -c {shlex.quote(f'{line} || echo {json.dumps(said)}')}"
    return f"{line} || echo '{said}'"
