"""Claude Code's hook protocol: JSON on stdin, a decision in JSON on stdout, never a failure.

code.claude.com/docs/en/hooks: exit 0 and one object; ``hookSpecificOutput`` with a
``permissionDecision`` only where the usual way of asking the user is to be cut short.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop import recipes, settings
from undrop.cli.answer import Answer
from undrop.recipes import Action, Prompt
from undrop.values import Session

if TYPE_CHECKING:
    from undrop.agent.verdict import Verdict
    from undrop.cli.answer import Bare
    from undrop.settings import Settings
    from undrop.steps.cover import Covered, Watched

ENDS = {"PostToolUse", "PostToolUseFailure"}
PATIENCE = 0.5  # seconds for locks: an agent's every call waits for the answer
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


def agent_hook(bare: "Bare") -> Answer:
    """Decide about what stdin tells of, or explain what would be decided about a command."""
    if bare.arguments.explain is not None:
        return _explain(bare.arguments.explain, bare.session)
    event = ""
    try:
        given = json.load(sys.stdin.buffer)
        event = str(given.get("hook_event_name"))
        said = _decide(event, given, bare.session)
    except BaseException as error:  # noqa: BLE001 - whatever happens, the call is decided
        said = _alarm(event, f"{type(error).__name__}: {error}")
    return Answer({}, json.dumps(said))


def _project(folder: Path, told: Session) -> "Settings":
    where = Path(os.environ.get("CLAUDE_PROJECT_DIR") or folder)
    session = Session(patience=PATIENCE, patience_with_undrop=PATIENCE)
    session.passed_over = told.passed_over
    return settings.load(where, session)


def _decide(event: str, given: dict[str, Any], session: Session) -> dict[str, Any]:
    if event in {"PreToolUse", *ENDS} and _only_reads(given):
        return {}
    folder = Path(given.get("cwd") or Path.cwd())
    project = _project(folder, session)
    if event == "SessionStart":
        from undrop.steps import cover

        covered = cover.begin(project, _watched(given, "agent session"))
        prompt = _prompt(project, folder)
        lines = {action.name: prompt.line(action) for action in ACTIONS}
        lines["schema"] = SCHEMA.format(**lines) if project.alembic_files else ""
        rule = RULE.format(database=project.engine.label, backups=project.backups, **lines)
        return _said(event, project, folder, covered, rule)
    if event in ENDS:
        return _ended(project, given)
    return _begins(event, given, project, folder) if event == "PreToolUse" else {}


def _begins(event: str, given: dict[str, Any], project: "Settings", folder: Path) -> dict[str, Any]:
    """A call of a tool is about to be made."""
    from undrop.agent import calls

    tool, what = given["tool_name"], given["tool_input"]
    verdict = calls.judge(project, tool, what, folder)
    if verdict.kind == "reads":
        return {}
    if verdict.kind == "denied":
        why = f"undrop: {verdict.why}. Instead: {_safer(verdict, _prompt(project, folder))}"
        return _decision(event, permissionDecision="deny", permissionDecisionReason=why)
    from undrop.steps import cover

    line = _line(given)
    reason = f"before an agent's {(line.split() or [''])[0]}"
    covered = cover.begin(project, _watched(given, reason, line))
    return _said(event, project, folder, covered)


def _watched(given: dict[str, Any], reason: str, line: str = "") -> "Watched":
    from undrop.steps.cover import Watched

    session, call = (str(given.get(name) or "") for name in ("session_id", "tool_use_id"))
    return Watched("agent", reason, line, session, call)


def _line(given: dict[str, Any]) -> str:
    """What was called, for the log of steps."""
    tool, what = given["tool_name"], given["tool_input"]
    return str(what.get("command", "")) if tool == "Bash" else str(tool)


def _ended(project: "Settings", given: dict[str, Any]) -> dict[str, Any]:
    """A call has ended, well or not: the state after it is held, if it changed anything."""
    from undrop.steps import cover

    cover.end(project, _watched(given, "", _line(given)))
    return {}


def _only_reads(given: dict[str, Any]) -> bool:
    """Asked before anything else: a command that only reads needs no project that works."""
    from undrop.agent import verdict

    return given["tool_name"] == "Bash" and verdict.only_reads(given["tool_input"]["command"])


def _prompt(project: "Settings", folder: Path) -> Prompt:
    """Where the agent types: in ``folder``, without what our hook's line puts on PATH."""
    ours = f"{os.environ.get('CLAUDE_PROJECT_DIR')}/.venv/bin:"  # before 0.3
    path = os.environ.get("UNDROP_USER_PATH")
    return Prompt(project.root, folder, path or os.environ.get("PATH", "").removeprefix(ours))


def _safer(verdict: "Verdict", prompt: Prompt) -> str:
    """What to do instead of what is denied."""
    from undrop.agent.verdict import SAFER

    return prompt.text(SAFER[verdict.safer]) if verdict.safer else ""


def _said(
    event: str, project: "Settings", folder: Path, covered: "Covered", rule: str = ""
) -> dict[str, Any]:
    prompt, where = _prompt(project, folder), project.backups / covered.name
    if not covered.name:
        text = f"{rule} There is no database yet."
        return _decision(event, additionalContext=text) if rule else {}
    if covered.damaged:
        name = project.engine.label
        text = f"THE DATABASE {name} IS DAMAGED; its files are kept in {where}: "
        text += prompt.line(Action("list"))
        return {"systemMessage": f"undrop: {text}", **_decision(event, additionalContext=text)}
    # A command that takes steps of its own has undo go back to before the last one of them.
    back = prompt.text((Action("undo"), ", or", Action("restore", covered.name)))
    text = f"undrop: the state before this is kept in {where}; to go back: {back}"
    told = {"systemMessage": f"undrop: backed up to {where}"} if covered.taken else {}
    return {**told, **_decision(event, additionalContext=f"{rule} {text}".strip())}


def _alarm(event: str, failure: str) -> dict[str, Any]:
    """No backup could be taken: loud, and the user is asked before anything may be changed."""
    text = f"undrop: NO BACKUP HOLDS THE PRESENT STATE: {' '.join(failure.split())}"
    said: dict[str, Any] = {"systemMessage": text}
    if event == "PreToolUse":
        said |= _decision(event, permissionDecision="ask", permissionDecisionReason=text)
    elif event == "SessionStart":
        said |= _decision(event, additionalContext=text)
    return said


def _decision(event: str, **what: str) -> dict[str, Any]:
    return {"hookSpecificOutput": {"hookEventName": event, **what}}


def _explain(command: str, session: Session) -> Answer:
    folder = recipes.standing()
    project = _project(folder, session)
    from undrop.agent import verdict as agent

    verdict = agent.decide(command, folder, project)
    kind = {
        "reads": "goes on at once, without a backup",
        "goes on": "goes on behind a backup",
        "denied": "denied",
    }[verdict.kind]
    safer = _safer(verdict, Prompt(project.root))
    result = {
        "command": command,
        "decision": verdict.kind,
        "why": verdict.why,
        "safer": safer,
    }
    notes = (f"instead: {safer}",) if safer else ()
    return Answer(result, f"{kind}: {verdict.why}", notes)
