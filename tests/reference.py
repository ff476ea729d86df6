"""The table in ``docs/reference.md``, made from the command line: ``python tests/reference.py``."""

import re
from argparse import HelpFormatter, _SubParsersAction
from functools import partial
from pathlib import Path

from undrop.cli.commands import COMMANDS, parser

PAGE = Path(__file__).resolve().parents[1] / "docs/reference.md"
BLOCK = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- /commands -->)", re.DOTALL)


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


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: reference(), PAGE.read_text("utf-8")), "utf-8")
