"""Every agent: what its hook tells us, what it is answered, and the files that have it call us.

``agent_payloads.jsonl`` has the payloads as each agent documents them, each with the agent's
version and where that stands; PROJECT stands for the project's folder.
"""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings, strategies
from shop import BIN, REPOSITORY, Project, make
from test_init import Elsewhere

from undrop import recipes
from undrop.adopt import agents, hooks
from undrop.agent import adapters

PAYLOADS = [
    json.loads(line)
    for line in Path(__file__).with_name("agent_payloads.jsonl").read_text("utf-8").splitlines()
]
NAMES = {"vscode": "copilot"}
"""Whose file an agent's hook is in, where that is another's."""


def title(each: dict[str, Any]) -> str:
    return f"{each['agent']}-{each['what']}"


def payload(each: dict[str, Any], root: Path) -> bytes:
    return json.dumps(each["payload"]).replace("PROJECT", str(root)).encode()


def name(each: dict[str, Any]) -> str:
    """What stands behind ``--for`` in the agent's file."""
    return NAMES.get(each["agent"], str(each["agent"]))


def guarded(root: Path) -> Project:
    """A project in a git repository that ignores what it should, with a first backup."""
    root.mkdir()
    made = Project(root)
    make(made.database)
    shutil.copy(REPOSITORY / ".gitignore", root / ".gitignore")
    made.ok("git", "init", "-q")
    made.ok("undrop", "backup")
    return made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One that nothing here changes."""
    return guarded(tmp_path_factory.mktemp("agents") / "shop")


@pytest.mark.parametrize("named", [True, False], ids=["by its name", "by its shape"])
@pytest.mark.parametrize("each", PAYLOADS, ids=title)
def test_every_documented_payload_is_understood(
    tmp_path: Path, each: dict[str, Any], *, named: bool
) -> None:
    call = adapters.read(payload(each, tmp_path), name(each) if named else "", "", tmp_path)
    assert call.problem == ""
    if named or call.event == "before":  # a session starts alike with several
        assert call.agent == each["agent"]
    paths = (edit.path.removeprefix(f"{tmp_path}/") for edit in call.edits)
    edits = [[path, edit.old, edit.new] for path, edit in zip(paths, call.edits, strict=True)]
    tells = {**call._asdict(), "edits": edits}
    for key, value in each["tells"].items():
        assert tells[key] == value, key
    below = each["payload"].get("tool_input")
    assert call.folder == tmp_path / (below if isinstance(below, dict) else {}).get("dir_path", "")
    if call.event in {"before", "after"}:
        assert call.tool
    sessions = {"session_id", "sessionId", "sessionID", "conversation_id"}
    assert bool(call.session) == bool(each["payload"].keys() & sessions)


def heard(agent: str, event: str, said: dict[str, Any]) -> tuple[str, str]:
    """What an agent makes of an answer: the decision, and what its model or user gets to read.

    Each takes what is documented and nothing else.
    """
    inner = said.pop("hookSpecificOutput", {})
    user = said.pop("systemMessage", "") if agent not in {"copilot", "cursor", "opencode"} else ""
    inner.pop("hookEventName", "")
    flat = {
        "claude": {},
        "vscode": {"permissionDecision": "", "permissionDecisionReason": ""},
        "codex": {},
        "copilot": {
            "permissionDecision": "",
            "permissionDecisionReason": "",
            "additionalContext": "",
        },
        "gemini": {"decision": "", "reason": ""},
        "cursor": {"permission": "", "user_message": "", "agent_message": ""},
        "opencode": {"deny": "", "tell": ""},
    }[agent]
    if agent == "cursor" and event in {"after", "start"}:
        flat = {"additional_context": ""}
    nested = {"permissionDecision": "", "permissionDecisionReason": "", "additionalContext": ""}
    if agent == "gemini" and event == "before":
        nested = {}
    assert said.keys() <= flat.keys(), said
    assert inner.keys() <= nested.keys(), inner
    every = {**flat, **nested, **said, **{key: value for key, value in inner.items() if value}}
    decision = (
        every.get("permissionDecision")
        or every.get("permission")
        or every.get("decision")
        or ("deny" if every.get("deny") else "")
    )
    if agent == "vscode" and decision:  # Copilot's own answer is beside VS Code's
        assert said["permissionDecision"] == inner["permissionDecision"]
    texts = ("permissionDecisionReason", "reason", "agent_message", "deny", "additionalContext")
    told = next(
        (every[key] for key in (*texts, "additional_context", "tell") if every.get(key)), ""
    )
    return str(decision or "goes on"), str(told or user)


def asked(
    project: Project, each: dict[str, Any], *arguments: str, **variables: str
) -> dict[str, Any]:
    """What the real command answers; it always ends well, with one JSON object."""
    done = project.told(
        payload(each, project.root), "undrop", "agent-hook", *arguments, **variables
    )
    assert done.code == 0, done
    answer = json.loads(done.out)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("each", PAYLOADS, ids=title)
def test_every_agent_is_answered_in_its_own_words(shop: Project, each: dict[str, Any]) -> None:
    answer = asked(shop, each, "--for", name(each))
    event = each["tells"]["event"]
    if each["decision"] in {"reads", "ended"}:
        assert answer == {}
        return
    decision, told = heard(each["agent"], event, answer)
    if each["decision"] == "denied":
        assert decision == "deny"
        assert told.startswith("undrop: ")
        assert "Instead: " in told
    elif event == "start":
        assert "undrop guards the database" in told
    else:
        assert decision == "goes on"
        # Gemini can be told nothing before a tool but that it was denied.
        assert ("to go back: just undo" in told) == (each["agent"] != "gemini")


FIRST = {each["agent"]: each for each in reversed(PAYLOADS) if each["decision"] == "goes on"}


@pytest.mark.parametrize("agent", FIRST)
def test_what_cannot_be_backed_up_is_asked_about_or_denied(shop: Project, agent: str) -> None:
    """Where the user cannot be asked the tool would run."""
    each = FIRST[agent]
    url = {"QUARTERMASTER_DB_URL": "mysql://db.example.org/shop"}
    decision, told = heard(agent, "before", asked(shop, each, "--for", name(each), **url))
    asks = agent in {"claude", "copilot", "vscode", "cursor"}
    assert decision == ("ask" if asks else "deny")
    assert "NO BACKUP HOLDS THE PRESENT STATE" in told


def test_cursor_does_not_ask_before_an_edit(shop: Project) -> None:
    """It takes the word and runs the tool."""
    [each] = [each for each in PAYLOADS if title(each) == "cursor-a file written"]
    url = {"QUARTERMASTER_DB_URL": "mysql://db.example.org/shop"}
    assert heard("cursor", "before", asked(shop, each, **url))[0] == "deny"


def test_a_payload_may_begin_with_a_byte_order_mark(shop: Project) -> None:
    [each] = [each for each in PAYLOADS if title(each) == "cursor-a command, and no folder"]
    said = b"\xef\xbb\xbf" + payload(each, shop.root)
    done = shop.told(said, "undrop", "agent-hook")
    assert json.loads(done.out)["permission"] == "deny"


UNKNOWN: dict[str, object] = {
    "an agent that nobody knows": {"agent_action_name": "pre_run_command", "tool_info": {}},
    "an event that is another's": {"hook_event_name": "UserPromptSubmit", "prompt": "hello"},
    "a tool without a name": {"hook_event_name": "PreToolUse"},
    "a command that is a number": {
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "tool_input": {"command": 1},
    },
    "no object": [],
}


@pytest.mark.parametrize("said", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_understood_is_backed_up_before_and_said(
    project: Project, said: object
) -> None:
    make(project.database)
    done = project.told(json.dumps(said).encode(), "undrop", "agent-hook")
    assert "undrop did not understand the hook's input" in json.loads(done.out)["systemMessage"]
    assert len(project.saved()) == 1


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
)
INPUTS = ("tool_input", "toolArgs", "args")


def keys(payload: dict[str, Any]) -> set[str]:
    """Of a payload and of the tool's input in it."""
    inputs = (payload[name] for name in INPUTS if isinstance(payload.get(name), dict))
    return {*payload}.union(*inputs)


def spoilt(each: dict[str, Any], key: str, value: object) -> str:
    """A documented payload that has something else in one place."""
    inputs = {name: each[name] for name in INPUTS if isinstance(each.get(name), dict)}
    inside = {name: {**given, key: value} for name, given in inputs.items()}
    return json.dumps({**each, **(inside if key not in each else {key: value})})


SPOILT = strategies.builds(
    spoilt,
    strategies.sampled_from([each["payload"] for each in PAYLOADS]),
    strategies.sampled_from(sorted(set().union(*(keys(each["payload"]) for each in PAYLOADS)))),
    JSON,
)


@example("[" * 100_000, "")
@example('{"workspace_roots": [1, {}, "x"]}', "cursor")
@example(spoilt({"tool_name": "MultiEdit", "tool_input": {}}, "edits", ["x", 1, None]), "claude")
@given(
    said=SPOILT | JSON.map(json.dumps) | strategies.text() | strategies.binary(),
    whose=strategies.sampled_from(["", "nobody", *agents.names()]),
)
@settings(deadline=None)
def test_no_payload_confuses_an_adapter(said: str | bytes, whose: str) -> None:
    call = adapters.read(said, whose, "", Path("/"))
    assert call.folder.is_absolute()
    for decision in get_args(adapters.Decision):
        text, code = adapters.answer(call, decision, "why", "loud")
        assert code == 0
        assert isinstance(json.loads(text), dict)


# The files.

FOLDERS = {
    "codex": ".codex",
    "copilot": ".github/hooks",
    "cursor": ".cursor",
    "gemini": ".gemini",
    "opencode": ".opencode",
}
THEIRS = {
    ".codex/hooks.json": '{"hooks": {"PreToolUse" :[ {"hooks": []} ], "Stop": [ ]}}\n',
    ".cursor/hooks.json": '{\n\t"version": 1, "hooks": {"stop": [{"command": "./a.sh"}]}\n}',
    ".gemini/settings.json": '{ "theme": "x" }\r\n',
    ".github/hooks/other.json": '{"version": 1, "hooks": {}}',
}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    """A project of somebody's with a database that Alembic knows nothing of."""
    made = Elsewhere(tmp_path / "theirs")
    make(made.root / "app.db")
    made.ok("git", "init", "-q")
    return made


def lines(inside: object) -> list[str]:
    """The shell lines in a file of hooks."""
    if isinstance(inside, dict):
        own = [str(inside[key]) for key in ("command", "bash") if key in inside]
        return own + [line for each in inside.values() for line in lines(each)]
    return [line for each in inside for line in lines(each)] if isinstance(inside, list) else []


def written(elsewhere: Elsewhere) -> set[str]:
    """Whose files are there with our hook in them."""
    files = {agent: elsewhere.root / file for agent, file in recipes.HOOKS.items()}
    return {
        agent for agent, file in files.items() if file.exists() and "agent-hook" in file.read_text()
    }


def test_init_writes_the_hook_for_the_agents_that_are_used(elsewhere: Elsewhere) -> None:
    """Claude Code's is in every project: others read it, too."""
    elsewhere.ok("undrop", "init")
    assert written(elsewhere) == {"claude"}
    for folder in FOLDERS.values():
        (elsewhere.root / folder).mkdir(parents=True)
    elsewhere.ok("undrop", "init")
    assert written(elsewhere) == {*recipes.HOOKS}
    adopted = elsewhere.tree()
    elsewhere.ok("undrop", "init")
    assert elsewhere.tree() == adopted
    elsewhere.ok("undrop", "init", "--remove")
    assert written(elsewhere) == set()


def test_copilot_is_known_by_its_instructions_as_well(elsewhere: Elsewhere) -> None:
    elsewhere.write(".github/copilot-instructions.md", "Be kind.\n")
    before = elsewhere.tree()
    elsewhere.ok("undrop", "init")
    assert written(elsewhere) == {"claude", "copilot"}
    elsewhere.ok("undrop", "init", "--remove")
    assert elsewhere.tree() == before
    assert not (elsewhere.root / ".github/hooks").exists()


def test_the_agents_that_are_named_get_the_hook_and_others_hooks_stay(
    elsewhere: Elsewhere,
) -> None:
    for file, text in THEIRS.items():
        elsewhere.write(file, text)
    before = elsewhere.tree()
    shown = elsewhere.done("undrop", "init", "--agents", "codex,cursor,gemini,copilot,opencode")
    assert written(elsewhere) == {*FOLDERS}
    assert "/hooks in Codex" in shown.err
    for file, text in THEIRS.items():
        settings = json.loads((elsewhere.root / file).read_text())
        assert lines(json.loads(text)) == [each for each in lines(settings) if "undrop" not in each]
    elsewhere.ok("undrop", "init", "--remove")
    assert elsewhere.tree() == before


def test_an_agent_that_has_no_hook_is_refused(elsewhere: Elsewhere) -> None:
    before = elsewhere.tree()
    done = elsewhere.run("undrop", "init", "--agents", "codex,windsurf")
    assert done.code == 2
    assert "no hook for windsurf" in done.err
    assert "AGENTS.md" in done.err
    assert elsewhere.tree() == before


def test_a_plugin_that_somebody_else_wrote_stays(elsewhere: Elsewhere) -> None:
    mine = elsewhere.write(".opencode/plugins/undrop.ts", "export default {}\n")
    elsewhere.ok("undrop", "init")
    assert mine.read_text() == "export default {}\n"
    elsewhere.ok("undrop", "init", "--remove")
    assert mine.read_text() == "export default {}\n"


LINES = [
    (agent, event, line)
    for agent in agents.AGENTS
    for event, groups in json.loads(hooks.add(agent, None, "my shop"))["hooks"].items()
    for line in lines(groups)
]


def in_shell(line: str, said: bytes, cwd: Path, **variables: str) -> dict[str, Any]:
    """Run a registered line as an agent does."""
    done = subprocess.run(
        ["/bin/sh", "-c", line], input=said, cwd=cwd, env=variables, capture_output=True, check=True
    )
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize(("agent", "event", "line"), LINES)
def test_a_missing_undrop_denies_nothing_and_says_so(
    tmp_path: Path, agent: str, event: str, line: str
) -> None:
    """A line that fails denies every call of some agents."""
    answer = in_shell(line, b"{}", tmp_path, PATH="/usr/bin:/bin")
    text = "undrop does not guard the database: it is not installed"
    assert {*answer.values()} == {text}, (agent, event)


@pytest.mark.parametrize("agent", ["codex", "cursor"])
def test_the_line_is_understood_by_every_shell(tmp_path: Path, agent: str) -> None:
    """These run it in the user's, which may be fish: it is one plain command."""
    words = shlex.split(agents.command(agent, "it's a shop"))
    path = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        words, input=b"{}", cwd=tmp_path, env=path, capture_output=True, check=True
    )
    assert "does not guard" in str(json.loads(done.stdout))


@pytest.mark.parametrize("agent", agents.AGENTS)
@pytest.mark.parametrize("place", ["top", "below", "worktree"])
def test_the_line_finds_undrop_from_wherever_the_agent_stands(
    tmp_path: Path, agent: str, place: str
) -> None:
    """In the environment of the checkout, which a worktree has none of."""
    shop = guarded(tmp_path / "my shop")
    (shop.root / ".venv").symlink_to(BIN.parent)
    commit = ("-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x", "--allow-empty")
    shop.ok("git", *commit)
    shop.ok("git", "worktree", "add", "-q", "../tree")
    top = tmp_path / "tree" if place == "worktree" else shop.root
    folder = shop.root / "alembic" if place == "below" else top
    [each] = [each for each in PAYLOADS if each["decision"] == "denied" and name(each) == agent][:1]
    # Agents that name a folder name that of the checkout.
    known = {
        key: str(shop.root)
        for key in ("CLAUDE_PROJECT_DIR", "CURSOR_PROJECT_DIR", "GEMINI_PROJECT_DIR")
    }
    state = shop.environment["XDG_STATE_HOME"]
    known = {
        **known,
        "PATH": "/usr/bin:/bin",
        "XDG_STATE_HOME": state,
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    if agent in {"codex", "copilot"}:
        known = {key: value for key, value in known.items() if "PROJECT" not in key}
    answer = in_shell(agents.command(agent), payload(each, shop.root), folder, **known)
    assert heard(each["agent"], "before", answer)[0] == "deny"


def test_an_agent_at_the_top_of_a_repository_is_guarded(elsewhere: Elsewhere) -> None:
    """Where it is used there; the project in a folder below need not have the agent's folder."""
    api = elsewhere.root / "api"
    api.mkdir()
    (elsewhere.root / "app.db").rename(api / "app.db")
    (elsewhere.root / ".codex").mkdir()
    before = elsewhere.tree()
    elsewhere.ok("undrop", "init", cwd=api)
    assert not (api / ".codex").exists()
    written = json.loads((elsewhere.root / ".codex/hooks.json").read_text())
    [line] = lines(written["hooks"]["PreToolUse"])
    [each] = [
        each for each in PAYLOADS if title(each) == "codex-a command that takes the backups away"
    ]
    said = payload(each, elsewhere.root).replace(b"rm -rf backups", b"rm -rf api/backups")
    known = {key: elsewhere.environment[key] for key in ("PATH", "XDG_STATE_HOME")}
    python = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    answer = in_shell(line, said, elsewhere.root, **known, **python)
    assert heard("codex", "before", answer)[0] == "deny"
    elsewhere.ok("undrop", "init", "--remove", cwd=api)
    assert elsewhere.tree() == before


# OpenCode's plugin.

NODE = shutil.which("node")
DRIVER = """
import plugin from "./.opencode/plugins/undrop.mjs"
const hooks = {}
const hook = async (name, call) => { hooks[name] = call }
await plugin.setup({ location: { directory: process.cwd() }, tool: { hook } })
const one = await plugin.server({ directory: process.cwd() })
const said = []
const tried = (call) => call.then(() => said.push("goes on"), (error) => said.push(error.message))
const ids = { sessionID: "ses_1", callID: "call_1" }
const two = { tool: "shell", sessionID: "ses_1", id: "call_1" }
for (const command of ["ls", "rm -rf backups"]) {
  await tried(one["tool.execute.before"]({ tool: "bash", ...ids }, { args: { command } }))
  await tried(hooks["execute.before"]({ ...two, input: { command } }))
}
const args = { command: "make" }
const output = { title: "", output: "done", metadata: {} }
await one["tool.execute.after"]({ tool: "bash", ...ids, args }, output)
said.push(output.output)
for (const content of ["done", [{ type: "text", text: "done" }]]) {
  const event = { ...two, input: args, status: "completed", result: { content } }
  await hooks["execute.after"](event)
  said.push(event.result.content)
}
console.log(JSON.stringify(said))
"""


def plugged(project: Project, path: str) -> list[Any]:
    """What OpenCode 1 and 2 hear of our plugin: before ``ls`` and a denied command, and after."""
    written = project.root / recipes.HOOKS["opencode"]
    shutil.copy(written, written.with_suffix(".mjs"))  # this node may know no TypeScript
    (project.root / "driver.mjs").write_text(DRIVER)
    done = subprocess.run(
        [str(NODE), "driver.mjs"],
        cwd=project.root,
        env={**project.environment, "PATH": path},
        capture_output=True,
        check=True,
    )
    said = json.loads(done.stdout)
    assert isinstance(said, list)
    return said


@pytest.mark.skipif(NODE is None, reason="there is no node here")
def test_opencodes_plugin_denies_and_tells_in_both_of_its_versions(tmp_path: Path) -> None:
    shop = guarded(tmp_path / "shop")
    (shop.root / ".venv").symlink_to(BIN.parent)
    shop.ok("undrop", "init", "--agents", "opencode")
    one, two, *denied, plain, text, parts = plugged(shop, f"{Path(str(NODE)).parent}:/usr/bin:/bin")
    assert (one, two) == ("goes on", "goes on")
    for why in denied:
        assert why.startswith("undrop: it takes backups away")
    assert (plain, text, parts) == ("done", "done", [{"type": "text", "text": "done"}])


@pytest.mark.skipif(NODE is None, reason="there is no node here")
def test_opencodes_plugin_says_when_undrop_is_missing(project: Project, tmp_path: Path) -> None:
    file = project.root / recipes.HOOKS["opencode"]
    file.parent.mkdir(parents=True)
    file.write_text(hooks.add("opencode", None))
    (tmp_path / "bin").mkdir()
    *before, plain, text, parts = plugged(project, str(tmp_path / "bin"))
    assert before == ["goes on"] * 4
    missing = "done\nundrop does not guard the database: it is not installed"
    assert plain == text == "".join(part["text"] for part in parts) == missing
