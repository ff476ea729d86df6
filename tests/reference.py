"""What ``docs/reference.md`` has of the commands themselves: ``python tests/reference.py``.

Their arguments, from the command line; the keys of what they say in JSON, from what they say.
"""

import json
import re
import shlex
import tempfile
from argparse import HelpFormatter, _SubParsersAction
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from shop import Project

from undrop.cli.commands import COMMANDS, parser

PAGE = Path(__file__).resolve().parents[1] / "docs/reference.md"
BLOCK = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- /commands -->)", re.DOTALL)
KEYS = re.compile(r"(?<=<!-- keys -->\n).*?(?=<!-- /keys -->)", re.DOTALL)
FAILED = "restore nowhere"
LOOKING = (
    *("backup stocktaking", "list", "status", "verify", "audit"),
    *("diff", "diff --rows", "diff --sql", "log items", "log items 2", "find bolt", "history"),
    *("history --html", "sql live 'SELECT 1'", "recover", "recover --dry-run items", "undo --list"),
    *("rehearse 0005", "thin", "init --dry-run", "agent-hook --explain ls"),
)
CHANGING = (
    *("restore --dry-run latest", "restore latest", "undo", "recover items", "reset-db"),
    *("nuke-db", "pack", FAILED),
)


def reference() -> str:
    """A table of every command with its arguments."""
    [every] = [each for each in parser()._actions if isinstance(each, _SubParsersAction)]
    lines = ["| command | what it does |", "| --- | --- |"]
    for name, command in COMMANDS.items():
        one = every.choices[name]
        one.formatter_class = partial(HelpFormatter, width=1000)
        usage = one.format_usage().removeprefix("usage: ").replace(" [-h]", "").strip()
        usage = re.sub(r" \.\.\.$", " COMMAND…", usage).replace(" ...", "…")
        lines.append(f"| `{usage}` | {command.text} |")
    return "\n".join(lines) + "\n"


def keys(project: Project) -> str:
    """A table of what stands in each answer in JSON, in a project where something happened."""
    lines = ["| command | keys |", "| --- | --- |"]
    for line, answer in _answers(project):
        assert "error" not in answer or line == FAILED, (line, answer)
        lines.append(f"| `undrop {line}` | {'; '.join(_keys(answer))} |")
    return "\n".join(lines) + "\n"


def _answers(project: Project) -> "Iterator[tuple[str, dict[str, Any]]]":
    """Each command and what it says, in the order in which they are typed."""

    def ask(*words: str) -> dict[str, Any]:
        return dict(json.loads(project.undrop(*words, "--json").out))

    yield "migrate", ask("migrate")
    project.ok("just", "--no-deps", "sample", "100")
    for line in LOOKING:
        yield line, ask(*shlex.split(line))
        if line == "backup stocktaking":
            project.sql("DELETE FROM items WHERE id = 2")
            project.sql("UPDATE items SET price_cents = 1 WHERE id = 3")
    for line in CHANGING:
        yield line, ask(*shlex.split(line))
    yield "forget NAME", ask("forget", project.saved()[0].name)
    settings = project.root / "pyproject.toml"
    own = "[tool.undrop]\n"
    settings.write_text(settings.read_text().replace(own, f'{own}after-backup = "true"\n'))
    yield "after-backup", ask("after-backup")


def _keys(answer: dict[str, Any]) -> "Iterator[str]":
    """Its own, and of the lists of objects in it those of each object."""
    yield _listed(answer)
    for key, value in answer.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"each of `{key}`: {_listed(value[0])}"


def _listed(answer: dict[str, Any]) -> str:
    return ", ".join(f"`{key}`" for key in answer)


def main() -> None:
    """Write both anew."""
    text = BLOCK.sub(lambda _: reference(), PAGE.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        made = keys(Project(Path(folder, "shop")))
    PAGE.write_text(KEYS.sub(lambda _: made, text), "utf-8")


if __name__ == "__main__":
    main()
