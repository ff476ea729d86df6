"""What an agent's tool call would do: go on, only read, or take the guard away."""

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop import vault
from undrop.agent import verdict
from undrop.agent.verdict import Verdict

if TYPE_CHECKING:
    from undrop.settings import Settings

FILE_TOOLS = {"Write", "Edit", "MultiEdit", "NotebookEdit"}


def judge(settings: "Settings", tool: str, given: dict[str, Any], folder: Path) -> Verdict:
    """Whether a tool call goes on, only reads, or is denied; ``given`` is the tool's input.

    Raises whatever input of another shape than documented leads to.
    """
    if tool == "Bash":
        return verdict.decide(given["command"], folder, settings)
    if tool not in FILE_TOOLS:
        return Verdict("reads", f"{tool} is no tool that undrop looks at")
    path = Path(os.path.realpath(folder / (given.get("file_path") or given["notebook_path"])))
    kept = vault.folder(settings)
    for place in (settings.backups, kept):
        if place and path.is_relative_to(os.path.realpath(place)):
            return Verdict("denied", f"{path} is where backups are", verdict.SAFER["backups"])
    root = Path(os.path.realpath(settings.root))
    if path == root / "pyproject.toml" or path.parent == root / ".claude":
        before = path.read_text("utf-8") if path.is_file() else ""
        if _guarding(path, before) != _guarding(path, _after(before, given)):
            return Verdict("denied", f"it changes the guard in {path}", verdict.SAFER["settings"])
    return Verdict("goes on", "it may change something: a backup holds the state before it")


def _after(text: str, given: dict[str, Any]) -> str:
    """A file's text after a Write, an Edit or a MultiEdit."""
    if "content" in given:
        return str(given["content"])
    for edit in given.get("edits") or [given]:
        old, new = str(edit["old_string"]), str(edit["new_string"])
        text = text.replace(old, new, -1 if edit.get("replace_all") else 1)
    return text


def _guarding(path: Path, text: str) -> object:
    """What of a settings file the guard depends on; a broken one is like no other."""
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text).get("tool", {}).get("undrop")
        found = json.loads(text or "{}")
        return found.get("disableAllHooks"), text.count("undrop agent-hook")
    except (ValueError, AttributeError) as error:
        return f"{error} {text}"
