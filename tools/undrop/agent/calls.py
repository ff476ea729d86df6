"""What an agent's tool call would do: go on, only read, or take the guard away."""

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop.agent import verdict
from undrop.agent.places import Places
from undrop.agent.verdict import Verdict
from undrop.recipes import OWN_FILE

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
    places = Places(settings, folder)
    if any(map(path.is_relative_to, places.guarded)):
        return Verdict("denied", f"{path} is where backups are", "backups")
    if path in {*places.project, *places.claude}:
        text_before = path.read_text("utf-8") if path.is_file() else ""
        text_after = _after(text_before, given)
        was, will = _guarding(path, text_before), _guarding(path, text_after)
        if was not in (None, will):  # a broken one may be mended
            return Verdict("denied", f"it changes the guard in {path}", "settings")
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
    """What of a settings file the guard depends on; None when it is broken."""
    try:
        if path.suffix == ".toml":
            settings = tomllib.loads(text)
            own = path.name == OWN_FILE
            return str(settings if own else settings.get("tool", {}).get("undrop"))
        written = json.loads(text or "{}")
        hooks = {
            event: [group for group in groups if "agent-hook" in json.dumps(group)]
            for event, groups in written.get("hooks", {}).items()
        }
        ours = {event: groups for event, groups in hooks.items() if groups}
        return bool(written.get("disableAllHooks")), ours
    except (ValueError, AttributeError):
        return None
