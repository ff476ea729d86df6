"""A tool call, whatever the agent calls it: what adapters make of a payload, and is judged."""

from pathlib import Path
from typing import Any, Literal, NamedTuple


class Edit(NamedTuple):
    """What a call does to one file's text."""

    path: str
    old: str | None  # what it replaces; None where the whole file is ``new``
    new: str
    all: bool = False  # whether every occurrence is replaced


class Call(NamedTuple):
    """A tool call of an agent, or the start or end of its session."""

    event: Literal["before", "after", "start", "end", "unknown"]
    tool: str  # as the agent names it; empty for the start and the end
    kind: Literal["shell", "edit", "reads", "other"]  # what the adapter knows of the tool
    command: str  # the shell command line, if there is one
    edits: tuple[Edit, ...]  # the files that it writes
    given: dict[str, Any]  # the tool's input as it came
    folder: Path  # where it runs; absolute
    roots: tuple[Path, ...]  # further project folders that are meant
    id: str  # empty where the agent gives none for the call's beginning and its end
    problem: str  # what of the payload was not understood, if anything
    agent: str = ""  # whose answer it gets
    session: str = ""  # the agent's
    said: str = ""  # the event, as the agent names it
    background: bool = False  # whether its command goes on when the call has ended
