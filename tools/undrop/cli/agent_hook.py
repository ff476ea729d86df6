"""The hook that agents call: JSON on stdin, a decision in JSON on stdout, never a failure."""

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import recipes
from undrop.agent import adapters, reading, shell
from undrop.agent.call import Call
from undrop.cli.answer import BROKEN, Answer
from undrop.errors import UndropError
from undrop.recipes import Action, Prompt, Text
from undrop.values import Session

if TYPE_CHECKING:
    from undrop.cli.answer import Bare
    from undrop.settings import Settings
    from undrop.steps.cover import Watched

LONGEST = 2_000_000  # bytes of a payload that are looked at
PATIENCE = 0.5  # seconds for locks: an agent's every call waits for the answer
PATIENCE_WITH_UNDROP = 5.0  # and for the call beside this one, which is backing up
MOST = 10  # folders that one command line goes to, and projects
MOST_TEXT, MOST_WORDS = 100_000, 500  # characters and words of a line that are looked at
WORD = r"[^\s'\"`;&|()<>=]+"
AT_THE_END = 10.0  # seconds that are spent on packing when an agent has stopped
MOST_TOLD = 100  # sessions that were told that nothing is guarded
KNOWN = rb'(?i)"(hook_?event_?name|session_?id|tool_?name|tool_use_id|cwd)": ?("[^"\\]*")'
"""Whose payload it is, and what it is about."""
SQL = (
    r"(?i)\s*(?:select|with|delete|update|insert|replace"
    r"|drop|alter|create|truncate|vacuum|pragma)\s"
)
"""These are compiled where they are used: a command that reads has no use for them."""
PERSONS: Text = "change other lines with an edit; undrop's settings and the hook are a person's"
SAFER: dict[str, Text] = {
    "backups": (
        "backups are kept for ever:",
        Action("restore", "NAME", typed=False),
        "puts one back, and a person who wants one gone types",
        Action("forget", "NAME", typed=False),
    ),
    "settings": PERSONS,
    "init": PERSONS,
    "forget": "a person types that; to free space ask them",
    "thin": ("a person types that;", Action("thin"), "says what would go"),
}
"""What to do instead of what is denied."""


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
    top = os.environ.get("CLAUDE_PROJECT_DIR", "")
    call = adapters.read(_payload(), bare.arguments.agent, top, bare.arguments.root)
    try:
        said = _decide(call, bare.session)
    except BaseException as error:  # noqa: BLE001 - whatever happens, the call is decided
        said = _alarm([_failure(error)])
    if call.problem and call.event != "after" and said.decision != "ask":
        text = f"undrop did not understand the hook's input: {call.problem}. {said.text}".strip()
        said = said._replace(text=text, user=text)
    text, code = adapters.answer(call, *said)
    if call.event == "end":
        ended, _ = _projects(call, bare.session)
        bare.arguments.packs += [(project, AT_THE_END) for project in ended]
    return Answer({}, text, code=code)


def _payload() -> bytes:
    """What stdin says; of what is too long to be looked at, what tells whose it is."""
    return cut(sys.stdin.buffer.read(LONGEST + 1), sys.stdin.buffer)


def cut(said: bytes, rest: "Iterable[bytes]" = ()) -> bytes:
    """A payload, or of one that is too long what tells whose it is; all of the rest is read."""
    if len(said) <= LONGEST:
        return said
    for _ in rest:
        pass
    pairs = [b'"%s": %s' % pair for pair in reversed(re.findall(KNOWN, said))]
    return b"{%s}" % b", ".join(pairs)


def _decide(call: Call, told: Session) -> Said:
    if call.event in {"before", "after"} and reading.reads(call):
        return Said()
    projects, failures = _projects(call, told)
    if not projects and not failures:
        return _unguarded(call)
    if call.event == "end":
        failures.clear()  # there is nothing to be backed up for
    if call.event in {"before", "unknown"}:
        from undrop.agent import judge

        for project in {each.root: each for each in reversed(projects)}.values():
            verdict = judge.judge(project, call)
            if verdict.kind == "denied":
                safer = _safer(project, call.folder, verdict.safer)
                return Said("denied", f"undrop: {verdict.why}. Instead: {safer}")
    said = []
    for project in projects:
        try:
            said.append(_said(project, call))
        except Exception as error:  # noqa: BLE001 - the other projects are covered all the same
            failures.append(f"{project.called}{_failure(error)}")
            if call.event == "after":  # nobody is to type that call again
                why = getattr(error, "what", error)
                text = f"undrop: what this call changed is not known: {why}"
                said.append(Said(text=text, user=text))
    if call.event == "after":
        return _joined(said)
    return _joined([*said, *([_alarm(failures)] if failures else [])])


def _safer(project: "Settings", folder: Path, name: str) -> str:
    """What to do instead of what is denied."""
    if name != "clean":
        return _prompt(project, folder).text(SAFER[name])
    from undrop.settings import known

    files = [each.engine.file for each in known(project)]
    spared = [project.backups.name, *(f"{file.name}*" for file in files if file)]
    return " ".join(["git clean -fdx", *(f"-e {shlex.quote(each)}" for each in spared)])


def _projects(call: Call, told: Session) -> "tuple[list[Settings], list[str]]":
    """The projects that are meant, each database of theirs, and why some cannot be covered.

    That of the folder where the call runs, of those that its command line names or goes to, and
    of those that the agent names besides. Nothing at all where none of them has settings.
    """
    try:
        led = [simple.folder for simple in shell.split(call.command, call.folder)[0]]
    except ValueError:
        led = []
    folders = [*dict.fromkeys((call.folder, *call.roots, *filter(None, led)))][:MOST]
    folders += [*_named(call)]
    has_settings = cache(recipes.has_settings)
    tops = dict.fromkeys(
        next(filter(has_settings, (folder, *folder.parents)), None) for folder in folders
    )
    projects: list[Settings] = []
    failures: list[str] = []
    for count, top in enumerate(filter(None, tops)):
        if count == MOST:
            failures.append(f"the call names more than {MOST} projects")
            break
        try:
            projects.append(_project(top, told))
        except Exception as error:  # noqa: BLE001 - likewise
            failures.append(_failure(error))
        else:
            failures += _beside(projects)
    return projects, failures


def _beside(projects: "list[Settings]") -> list[str]:
    """Add the other databases of the last project; why some of them cannot be covered."""
    project, failures = projects[-1], []
    for name in project.names[1:]:
        from undrop.settings import another

        try:
            projects.append(another(project, name))
        except Exception as error:  # noqa: BLE001 - likewise
            failures.append(f"{name}: {_failure(error)}")
    return failures


def _named(call: Call) -> Iterator[Path]:
    """Folders that words anywhere in a command line name, or the files in them; not all it means.

    ``make -C``, ``git worktree remove``, what stands in quotes, or behind a here-document.
    """
    text = call.command[:MOST_TEXT].replace("$PWD", str(call.folder))
    for word in islice(dict.fromkeys(re.findall(WORD, text)), MOST_WORDS):
        path = call.folder / word
        with suppress(OSError, ValueError):
            if path.is_dir():
                yield Path(os.path.normpath(path))
            elif path.is_file():
                yield Path(os.path.normpath(path.parent))


def _unguarded(call: Call) -> Said:
    """Nothing here is a project of undrop's: a branch from before the adoption. Said once."""
    if call.event in {"after", "end"}:
        return Said()
    from undrop import settings
    from undrop.folders import git_root

    top = git_root(call.folder) or call.folder
    told, line = settings.vaults() / "unguarded", f"{call.session} {top}"
    with suppress(OSError, ValueError):
        known = told.read_text("utf-8").splitlines() if told.exists() else []
        if call.session and line in known:
            return Said()
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text("".join(f"{each}\n" for each in [*known, line][-MOST_TOLD:]), "utf-8")
    what = f"no [tool.undrop] in a pyproject.toml, and no {recipes.OWN_FILE}, in {call.folder}"
    text = (
        f"undrop guards no database here: {what} or above. Is this a branch from before undrop "
        "was adopted? Merge the one that has it, or: undrop init. This is said once in a session."
    )
    return Said("ask", text, text)


def _project(folder: Path, told: Session) -> "Settings":
    from undrop import settings

    session = Session(patience=PATIENCE, patience_with_undrop=PATIENCE_WITH_UNDROP)
    session.passed_over, session.tells_at_once = told.passed_over, False
    session.all.insert(0, told)  # which ends with the command
    return settings.load(folder, session)


def _said(project: "Settings", call: Call) -> Said:
    """What is done about a call, and said about one project."""
    from undrop.cli import agent_told
    from undrop.steps import cover
    from undrop.store import after_backup, handed_on

    prompt = _prompt(project, call.folder)
    if call.event == "after":
        return Said(text=agent_told.after(project, cover.end(project, watched(call)), prompt))
    if call.event == "end":
        ended = cover.session(project, call.session, tells_ends=_tells_ends(call))
        told = agent_told.session(project, ended, prompt)
        with suppress(UndropError, OSError):  # the next command that writes does it
            cover.settle(project)
        with suppress(OSError):
            if project.after_backup and handed_on.left(project):
                after_backup.start(project)
        broken = [f"undrop: {BROKEN.format(each)}" for each in project.engine.session.broken]
        return Said(user=" ".join(filter(None, (told, *broken))))
    covered = cover.begin(project, watched(call))
    rule = agent_told.rule(project, prompt) if call.event == "start" else ""
    text, user = agent_told.before(project, covered, prompt, rule)
    return Said(text=text, user=user)


def watched(call: Call) -> "Watched":
    """The call as the log of steps tells of it: its line, or its tool and the SQL in its input."""
    from undrop.steps.cover import Watched

    line = call.command or f"{call.tool} {_sql(call.given)}".strip()
    words = line.split() if call.kind == "shell" else [line[:100] or "call"]
    reason = f"before an agent's {(words or ['call'])[0]}"
    if call.event == "start":
        reason, line = "agent session", ""
    number = "" if call.event == "start" else call.id  # which is no call
    ends = _tells_ends(call)
    return Watched("agent", reason, line, call.session, number, call.background, ends)


def _tells_ends(call: Call) -> bool:
    """Whether the agent is known to; Claude Code's hook may be one from before it heard of ends."""
    return call.agent != "claude"


def _sql(inside: object, depth: int = 5) -> str:
    """The first SQL in what a tool is given; empty without any."""
    if isinstance(inside, str):
        return " ".join(inside[:200].split()) if re.match(SQL, inside) else ""
    parts: Iterable[object] = ()
    if isinstance(inside, dict | list) and depth:
        parts = inside.values() if isinstance(inside, dict) else inside
    return next((sql for part in parts if (sql := _sql(part, depth - 1))), "")


def _prompt(project: "Settings", folder: Path) -> Prompt:
    """Where the agent types: in ``folder``, without what our hook's line puts on PATH."""
    ours = f"{os.environ.get('CLAUDE_PROJECT_DIR')}/.venv/bin:"  # before 0.3
    path = os.environ.get("UNDROP_USER_PATH")
    path = path or os.environ.get("PATH", "").removeprefix(ours)
    return Prompt(project.root, folder, path, database=project.told)


def _joined(said: list[Said]) -> Said:
    """What is said of several projects as one answer."""
    decision: adapters.Decision = "ask" if any(s.decision == "ask" for s in said) else "goes on"
    texts = dict.fromkeys(each.text for each in said if each.text)
    users = dict.fromkeys(each.user for each in said if each.user)
    return Said(decision, "; ".join(texts), "; ".join(users))


def _failure(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _alarm(failures: list[str]) -> Said:
    """No backup could be taken: loud, and the user is asked before anything may be changed."""
    text = f"undrop: NO BACKUP HOLDS THE PRESENT STATE: {'; '.join(failures)}"
    return Said("ask", text, text)


def _explain(command: str, session: Session) -> Answer:
    folder = recipes.standing()
    project = _project(folder, session)
    from undrop.agent import judge

    call = Call("before", "Bash", "shell", command, (), {}, folder, (), "", "")
    verdict = judge.judge(project, call)
    kind = {
        "reads": "goes on at once, without a backup",
        "goes on": "goes on behind a backup",
        "denied": "denied",
    }[verdict.kind]
    safer = _safer(project, project.root, verdict.safer) if verdict.safer else ""
    result = {
        "command": command,
        "decision": verdict.kind,
        "why": verdict.why,
        "safer": safer,
    }
    notes = (f"instead: {safer}",) if safer else ()
    return Answer(result, f"{kind}: {verdict.why}", notes)
