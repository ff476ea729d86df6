"""A tool call, whatever the agent calls it: what adapters make of a payload, and is judged."""

from pathlib import Path
from typing import Any, Literal, NamedTuple


class Edit(NamedTuple):
    """What a call does to one file's text."""

    path: str
    old: str | None
    """What it replaces; None where the whole file is ``new``."""
    new: str
    all: bool = False
    """Whether every occurrence is replaced."""


class Call(NamedTuple):
    """A tool call of an agent, whatever the agent calls it."""

    event: Literal["before", "after", "start", "end", "unknown"]
    tool: str
    """As the agent names it; empty for the start and the end."""
    kind: Literal["shell", "edit", "reads", "other"]
    """What the adapter knows of the tool."""
    command: str
    """The shell command line, if there is one."""
    edits: tuple[Edit, ...]
    """The files that it writes."""
    given: dict[str, Any]
    """The tool's input as it came."""
    folder: Path
    """Where it runs; absolute."""
    roots: tuple[Path, ...]
    """Further project folders that are meant."""
    id: str
    """Of the call; empty where the agent gives none for its beginning and its end."""
    problem: str
    """What of the payload was not understood, if anything."""
    agent: str = ""
    """Whose answer it gets."""
    session: str = ""
    """The agent's."""
    said: str = ""
    """The event, as the agent names it."""
    background: bool = False
    """Whether its command goes on when the call has ended."""
