"""The hook that agents call: JSON on stdin, a decision in JSON on stdout, never a failure."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import recipes, settings
from undrop.agent import adapters
from undrop.cli.answer import Answer
from undrop.recipes import Action, Prompt
from undrop.values import Session

if TYPE_CHECKING:
    from undrop.agent.call import Call
    from undrop.agent.verdict import Verdict
    from undrop.cli.answer import Bare
    from undrop.settings import Settings
    from undrop.steps.cover import Covered, Watched

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


class Said(NamedTuple):
    """What is said about a call."""

    decision: adapters.Decision = "goes on"
    text: str = ""
    """For the agent; why, where it is denied or asked about."""
    user: str = ""
    """For the user."""


def agent_hook(bare: "Bare") -> Answer:
    """Decide about what stdin tells of, or explain what would be decided about a command."""
    if bare.arguments.explain is not None:
        return _explain(bare.arguments.explain, bare.session)
    call = adapters.read(sys.stdin.buffer.read(), bare.arguments.agent, os.environ)
    try:
        said = _decide(call, bare.session)
    except BaseException as error:  # noqa: BLE001 - whatever happens, the call is decided
        said = _alarm(f"{type(error).__name__}: {error}")
    text, code = adapters.answer(call, *said)
    return Answer({}, text, code=code)


def _project(folder: Path, told: Session) -> "Settings":
    where = Path(os.environ.get("CLAUDE_PROJECT_DIR") or folder)
    session = Session(patience=PATIENCE, patience_with_undrop=PATIENCE)
    session.passed_over = told.passed_over
    return settings.load(where, session)


def _decide(call: "Call", session: Session) -> Said:
    if call.event == "end" or _only_reads(call):
        return Said()
    project = _project(call.folder, session)
    if call.event == "start":
        from undrop.steps import cover

        covered = cover.begin(project, _watched(call, "agent session"))
        prompt = _prompt(project, call.folder)
        lines = {action.name: prompt.line(action) for action in ACTIONS}
        lines["schema"] = SCHEMA.format(**lines) if project.alembic_files else ""
        rule = RULE.format(database=project.engine.label, backups=project.backups, **lines)
        return _said(project, call, covered, rule)
    return _ended(project, call) if call.event == "after" else _begins(project, call)


def _begins(project: "Settings", call: "Call") -> Said:
    """A call of a tool is about to be made, or something that is not understood."""
    verdict = _judged(project, call)
    if verdict.kind == "reads":
        return Said()
    if verdict.kind == "denied":
        why = f"undrop: {verdict.why}. Instead: {_safer(verdict, _prompt(project, call.folder))}"
        return Said("denied", why)
    from undrop.steps import cover

    reason = f"before an agent's {(_line(call).split() or ['call'])[0]}"
    covered = cover.begin(project, _watched(call, reason, _line(call)))
    said = _said(project, call, covered)
    if not call.problem:
        return said
    text = f"undrop did not understand the hook's input: {call.problem}. {said.text}".strip()
    return Said("goes on", text, text)


def _judged(project: "Settings", call: "Call") -> "Verdict":
    """What the judge, who knows Claude Code's tools, says of a call."""
    from undrop.agent import calls, verdict

    if call.kind == "reads":
        return verdict.Verdict("reads", f"{call.tool} only reads")
    if call.kind == "shell" and call.command:
        return verdict.decide(call.command, call.folder, project)
    edits = [
        {"file_path": edit.path, "content": edit.new}
        if edit.old is None
        else {
            "file_path": edit.path,
            "old_string": edit.old,
            "new_string": edit.new,
            "replace_all": edit.all,
        }
        for edit in call.edits
    ]
    verdicts = (calls.judge(project, "Edit", edit, call.folder) for edit in edits)
    denied = next((each for each in verdicts if each.kind == "denied"), None)
    return denied or verdict.Verdict("goes on", "it may change something")


def _watched(call: "Call", reason: str, line: str = "") -> "Watched":
    from undrop.steps.cover import Watched

    return Watched("agent", reason, line, call.session, call.id)


def _line(call: "Call") -> str:
    """What was called, for the log of steps."""
    return call.command or call.tool


def _ended(project: "Settings", call: "Call") -> Said:
    """A call has ended, well or not: the state after it is held, if it changed anything."""
    from undrop.steps import cover

    cover.end(project, _watched(call, "", _line(call)))
    return Said()


def _only_reads(call: "Call") -> bool:
    """Asked before anything else: a command that only reads needs no project that works."""
    from undrop.agent import verdict

    reads = call.kind == "shell" and verdict.only_reads(call.command)
    return not call.problem and (reads or call.kind == "reads")


def _prompt(project: "Settings", folder: Path) -> Prompt:
    """Where the agent types: in ``folder``, without what our hook's line puts on PATH."""
    ours = f"{os.environ.get('CLAUDE_PROJECT_DIR')}/.venv/bin:"  # before 0.3
    path = os.environ.get("UNDROP_USER_PATH")
    return Prompt(project.root, folder, path or os.environ.get("PATH", "").removeprefix(ours))


def _safer(verdict: "Verdict", prompt: Prompt) -> str:
    """What to do instead of what is denied."""
    from undrop.agent.verdict import SAFER

    return prompt.text(SAFER[verdict.safer]) if verdict.safer else ""


def _said(project: "Settings", call: "Call", covered: "Covered", rule: str = "") -> Said:
    prompt, where = _prompt(project, call.folder), project.backups / covered.name
    if not covered.name:
        return Said(text=f"{rule} There is no database yet." if rule else "")
    if covered.damaged:
        name = project.engine.label
        text = f"THE DATABASE {name} IS DAMAGED; its files are kept in {where}: "
        text += prompt.line(Action("list"))
        return Said(text=text, user=f"undrop: {text}")
    # A command that takes steps of its own has undo go back to before the last one of them.
    back = prompt.text((Action("undo"), ", or", Action("restore", covered.name)))
    text = f"undrop: the state before this is kept in {where}; to go back: {back}"
    taken = f"undrop: backed up to {where}" if covered.taken else ""
    return Said(text=f"{rule} {text}".strip(), user=taken)


def _alarm(failure: str) -> Said:
    """No backup could be taken: loud, and the user is asked before anything may be changed."""
    text = f"undrop: NO BACKUP HOLDS THE PRESENT STATE: {' '.join(failure.split())}"
    return Said("ask", text, text)


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
