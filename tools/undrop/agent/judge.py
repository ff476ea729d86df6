"""What an agent's tool call would do to the guard itself; all else goes on behind a backup."""

import json
import os
import re
from pathlib import Path
from typing import Literal, NamedTuple

from undrop import recipes
from undrop.agent import reading, shell
from undrop.agent.call import Call
from undrop.agent.shell import Simple, Word
from undrop.folders import git_root
from undrop.settings import Settings

HOOK = "agent-hook"
HOOKS = {*recipes.HOOKS.values(), ".claude/settings.local.json", ".codex/config.toml"}
LARGEST, MOST, PATH_MAX = 200_000, 100, 4096  # characters of settings, edits, bytes of a path
TABLE = re.compile(r"^[ \t]*\[+ *tool\.undrop\b.*\n?(?:(?![ \t]*\[).*\n?)*", re.MULTILINE)
OFF = re.compile(r'"disableAllHooks"\s*:\s*true')
OPENS, COPIES = {"chmod", "chown", "chattr"}, {"cp", "ln", "install", "rsync"}
TAKES = {"rm", "rmdir", "unlink", "shred", "mv", "truncate", "tee", *COPIES, *OPENS}
OURS = re.compile(r"(?:\S*/)?(just|undrop|python\S* -m undrop)(?: -\S*)* (\S+)")
CLEANS = re.compile(r"git(?> -[cC] \S+| -\S+)*+ clean(?!.* (-[a-df-zX]*n|--d)).* -[a-wyz]*([xX])")
SPARES = re.compile(r" (?:-[a-z]*e ?|--exclude[= ])/?([^ /]+)")


class Verdict(NamedTuple):
    """What is to be done about a tool call."""

    kind: Literal["reads", "goes on", "denied"]
    why: str
    safer: str = ""  # what to do instead: backups, clean, settings, forget, init


def judge(settings: Settings, call: Call) -> Verdict:
    """Whether a tool call goes on, only reads, or is denied for what it does to this project."""
    if reading.reads(call):
        return Verdict("reads", "it only reads")
    guard, why = _Guard(settings), call.problem or "it may change something"
    try:
        commands, _ = shell.split(call.command, call.folder)
    except ValueError as error:
        commands, why = [], f"{error}".lower()
    denied = [guard.edited(call), *map(guard.destroyed, commands)]
    goes_on = Verdict("goes on", f"{why}: a backup holds the state before it")
    return next(filter(None, denied), goes_on)


class _Guard:
    """What is guarded of a project, and what takes it away."""

    def __init__(self, settings: Settings) -> None:
        self.root, self.backups = settings.root, settings.backups.name
        kept, home = settings.vault_folder, os.path.expanduser("~")  # noqa: PTH111 - never raises
        self.kept = {*map(_real, (settings.backups, *([kept.parent] if kept else [])))}
        tops = (self.root, git_root(self.root) or self.root, Path(home))
        files = ("pyproject.toml", recipes.OWN_FILE, *HOOKS)
        self.settings = {_real(top / name) for top in tops for name in files}

    def _takes(self, path: Path, *, deep: bool = True) -> bool:
        """Whether a path is one of the folders, in one, or above it."""
        return any(path.is_relative_to(p) or (deep and p.is_relative_to(path)) for p in self.kept)

    def edited(self, call: Call) -> Verdict | None:
        """A denial for files that a call writes."""
        for edit in call.edits[:MOST]:
            path, old = _real(call.folder / edit.path), edit.old
            if self._takes(path, deep=False):
                return Verdict("denied", f"{path} is where backups are", "backups")
            if path not in self.settings:
                continue
            before = _text(path)
            new = edit.new[: LARGEST // (before.count(old) + 1 if old else 1)]
            after = new if old is None else new + before  # of an insertion no place is told
            after = before.replace(old, new, -1 if edit.all else 1) if old else after
            is_off = OFF.search(after) and not OFF.search(before)
            if is_off or _guarding(path, before) not in ("", _guarding(path, after)):
                return Verdict("denied", f"it changes the guard in {path}", "settings")
        return None

    def destroyed(self, simple: Simple) -> Verdict | None:
        """A denial for a simple command."""
        simple = simple.bare()
        text, (name, *rest) = simple.text(), simple.words or [Word("")]
        command, said = Path(name).name, zip([name, *rest], rest, strict=False)
        operands = [w for before, w in said if w[:1] != "-" and before != "--exclude"]
        if ours := OURS.match(text):
            in_just = ours[1] == "just" and simple.folder
            does = recipes.command_of(ours[2], in_just) if in_just else ours[2]
            on_purpose = {"init": "--remove", "thin": "--yes"}
            persons = does == "forget" or (does in on_purpose and on_purpose[does] in rest)
            if persons and not {"--help", "-h", "--dry-run"} & {*rest}:
                return Verdict("denied", "that is for a person to type", does)
        spared = SPARES.findall(text)
        if (cleans := CLEANS.match(text)) and (cleans[2] == "X" or self.backups not in spared):
            places = [word for word in operands if word.strip("/") not in {"clean", *spared}]
            paths = [word.path for word in places] or [simple.folder]
            if any(self._takes(_real(path)) for path in paths if path):
                return Verdict("denied", f"git clean -x takes {self.backups}/, too", "clean")
        taken = [(word, ">>" not in sign) for sign, word in simple.writes]
        if command in TAKES or (command == "sed" and re.search(rf" -i.*(undrop|{HOOK})", text)):
            whole = command not in OPENS and " -a" not in text
            into = len(operands) > 1 and "-t" not in rest  # else the last is what is copied
            taken += [(w, whole) for w in (operands[-1:] * into if command in COPIES else operands)]
        deep = command == "mv" or (command == "rm" and re.search(r" -\w*[rR]| --rec", text))
        for word, rewrites in taken:
            path = _real(word.path) if word.path else None
            if not path or (command == "mv" and self.root.is_relative_to(path)):
                continue  # a project that is moved takes its backups with it
            if self._takes(path, deep=bool(deep)):
                return Verdict("denied", f"it takes {word} away, or writes there", "backups")
            files = [f for f in self.settings if f == path or (deep and f.is_relative_to(path))]
            if rewrites and any(_guarding(file, _text(file)) for file in files):
                return Verdict("denied", f"it takes {word} away, or rewrites it", "settings")
        return None


def _guarding(path: Path, text: str) -> object:
    """What in a file of settings the guard depends on; empty where nothing does."""
    if path.name in {"pyproject.toml", recipes.OWN_FILE}:
        table = text if path.name == recipes.OWN_FILE else "".join(TABLE.findall(text))
        lines = map(str.strip, table.splitlines())
        return [line for line in lines if line and line[0] != "#"] or ""
    if path.suffix != ".json":
        return [line for line in text.splitlines() if HOOK in line] or ""
    try:
        hooks = json.loads(text or "{}").get("hooks", {}).items()
        groups = [(event, group) for event, groups in hooks for group in groups]
        return [group for group in groups if HOOK in json.dumps(group)] or ""
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace") if 0 < path.stat().st_size < LARGEST else ""
    except OSError:
        return ""


def _real(path: Path) -> Path:
    """The path itself; of all that is in a folder, as ``*`` names it, that folder."""
    path = path.parent if path.name == "*" else path
    try:
        return Path(os.path.realpath(path)) if len(str(path)) < PATH_MAX else path
    except ValueError:  # no name that a file can have
        return path
