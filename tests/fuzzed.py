"""Random payloads for the judge, one after the other: ``python fuzzed.py PROJECT COUNT SEED``.

Each may take two seconds of the processor, all together 200 MB more than the program itself; the
system ends the process that takes more. Nothing may start another process.
"""

import json
import random
import resource
import signal
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from undrop import settings
from undrop.agent import adapters, judge
from undrop.cli import agent_hook

SECONDS, BYTES = 2.0, 200_000_000
STARTS = {"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec", "subprocess.Popen"}
WALKS = {"glob.glob", "os.walk", "os.scandir"}
SAID = r"""
rm -rf -f ls cat backups backups/x.db * ./* ; && || | & > >> < << <<< $( ) ` ' { } ( EOF for in do
done while if then fi find . -name -delete -exec xargs sqlite3 -readonly python -c -m undrop DELETE
cd .. ~ $X ${X:-y} git clean -fdx -e stash sed -i mv cp -t tar -C [[ ]] = ! \ bash eval " X=backups
f() {a,b} just run forget status init --remove -- 2>&1 # / /*/*/* PROJECT pyproject.toml tee -a 5
.claude/settings.json sudo timeout env A=1 &> >| dd of=backups/x chmod
"""
WORDS = [*SAID.split(), "\0", "\ud800", "\n", "\ue000", ""]
REPEATED = [
    *(
        "/*",
        " /*",
        "'",
        '"',
        "\\",
        "$(",
        "{a,b}",
        "[a-",
        "cd a;",
        "sudo ",
        "A=1 ",
        "a/",
        "<<A ",
        "../",
    ),
    *(
        '"\\',
        "`",
        "-",
        " -c",
        " -C a",
        " -x",
        "(",
        "\n",
        "#",
        " 5",
        "&>",
        ">a ",
        "rm -rf a;",
        "*a",
        "~/",
    ),
    *(
        " -e a",
        "-\n",
        "just a;",
        "git clean -x a;",
        "sqlite3 -readonly ",
        "rm a b c d e f g;",
        "$HOME/",
    ),
]
EVENTS = [
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "SessionStart",
    "Stop",
    "BeforeTool",
    "",
]
TOOLS = [
    "Bash",
    "Monitor",
    "PowerShell",
    "Write",
    "Edit",
    "MultiEdit",
    "NotebookEdit",
    "Read",
    "mcp__a__b",
]
HEADS = [
    "",
    "",
    "git",
    "git clean -x",
    "rm ",
    "rm -rf ",
    "find ",
    "just ",
    "sqlite3 -readonly a ",
    "sed -n ",
]


def command(dice: random.Random, root: str) -> str:
    words = [word.replace("PROJECT", root) for word in dice.choices(WORDS, k=dice.randint(0, 14))]
    text = dice.choice([" ", " ", "", "\n"]).join(words)
    if dice.random() < 0.5:
        text = dice.choice(HEADS) + dice.choice(REPEATED) * dice.choice([3, 100, 2000, 5000]) + text
    if dice.random() < 0.2:
        text += "".join(map(chr, dice.choices(range(0x250), k=30)))
    return text * (1 + 300_000 // (1 + len(text)) if dice.random() < 0.02 else 1)


def nested(dice: random.Random, depth: int) -> object:
    inside: object = command(dice, "")
    for _ in range(depth):
        inside = [inside] if dice.random() < 0.5 else {"a": inside}
    return inside


def odd(dice: random.Random) -> object:
    return dice.choice([None, 7, 1e308, True, "", [], {}, [[]], "x" * 100_000, nested(dice, 400)])


def edit(dice: random.Random) -> dict[str, Any]:
    olds = ["a", "[tool.undrop]", "", "\n", "undrop agent-hook", "=", " "]
    news = ["[tool.undrop]\n" * 9000, "a" * 90_000, "", '{"hooks": ' * 9000, "[a.b.c.d]\n" * 9000]
    return {
        "old_string": dice.choice(olds),
        "new_string": dice.choice(news),
        "replace_all": dice.random() < 0.5,
    }


def given(dice: random.Random, root: str) -> dict[str, Any]:
    files = [
        "pyproject.toml",
        "undrop.toml",
        ".claude/settings.json",
        "backups/x",
        "a/" * 900,
        "\0",
    ]
    path = dice.choice([f"{root}/", "", "../"]) + dice.choice([*files, command(dice, root)])
    known: dict[str, Any] = {
        "command": command(dice, root),
        "file_path": path,
        "notebook_path": path,
    }
    known |= edit(dice) if dice.random() < 0.5 else {"content": edit(dice)["new_string"]}
    if dice.random() < 0.1:
        many = [edit(dice) for _ in range(10)]
        known["edits"] = many + [{"old_string": "a", "new_string": "aa"}] * dice.choice([0, 9000])
    return known


def payload(dice: random.Random, root: str) -> bytes:
    if dice.random() < 0.03:
        return dice.choice([b"[", b'{"a":', b"\xff", b"{}", b'"', b"7"]) * dice.choice(
            [1, 9, 300_000]
        )
    said: dict[str, Any] = {
        "hook_event_name": dice.choice(EVENTS),
        "tool_name": dice.choice(TOOLS),
        "tool_input": given(dice, root),
        "cwd": dice.choice([root, root, "/", "", command(dice, root)[:5000]]),
        "tool_use_id": "x",
    }
    for name in [*said, *said["tool_input"]]:
        if dice.random() < 0.03:
            (said if name in said else said["tool_input"])[name] = odd(dice)
        if not isinstance(said.get("tool_input"), dict):
            break
    return json.dumps(said).encode()


def plain(root: Path, heads: Iterable[str]) -> Iterator[bytes]:
    """Everything that is repeated, behind what a line may begin with."""
    said = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": str(root)}
    long = {"file_path": "/$HOME" * 200_000, "content": ""}
    yield json.dumps({**said, "tool_name": "Write", "tool_input": long}).encode()
    for text in (head + each * 2000 for head in heads for each in REPEATED):
        yield json.dumps({**said, "tool_input": {"command": text[:4_990]}}).encode()


def refuse(event: str, what: object) -> None:
    if event in STARTS | WALKS:
        raise AssertionError(f"{event}: {what}")


def judge_all(root: Path, count: int, seed: int) -> None:
    project, dice = settings.load(root), random.Random(seed)  # noqa: S311 - none is kept secret
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.addaudithook(refuse)
    heads = dict.fromkeys(HEADS if count > 1000 else ("git", "rm -rf "))
    payloads = chain(plain(root, heads), (payload(dice, str(root)) for _ in range(count)))
    for number, said in enumerate(payloads):
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process
        try:
            call = adapters.read(agent_hook.cut(said), "", "", Path("/"))
            verdict = judge.judge(project, call)
            agent_hook.watched(call)
            assert verdict.kind in {"reads", "goes on", "denied"}
        except BaseException as error:  # noqa: BLE001 - told with what did it
            fail(number, seed, said, error)
        signal.setitimer(signal.ITIMER_PROF, 0)
    print(count, "payloads")


def fail(number: int, seed: int, said: bytes, error: BaseException) -> NoReturn:
    print(f"payload {number} of seed {seed}: {said[:2000]!r}")
    raise error


if __name__ == "__main__":
    judge_all(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
