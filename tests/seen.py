"""What each command shows, as text: ``python tests/seen.py`` writes ``tests/seen/`` anew.

On terminals of two sizes, on one whose NO_COLOR is set, and in a pipe. What is another thing at
each run (times, sizes, names of folders) is replaced by something of the same width.
"""

import fcntl
import json
import os
import re
import shlex
import struct
import sys
import tempfile
import termios
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from shop import Project, drain

FOLDER = Path(__file__).with_name("seen")
COMMANDS = {
    "list": "list",
    "status": "status",
    "undo": "undo --list",
    "diff": "diff",
    "diff-rows": "diff --rows",
    "log": "log stock_movements",
    "log-row": "log stock_movements 7",
    "find": "find copper",
    "audit": "audit",
    "recover": "recover",
    "verify": "verify",
    "history": "history",
    "sql": "sql 'SELECT id, sku, name FROM items LIMIT 3'",
    "rehearse": "rehearse 0005",
    "restore": "restore 2 --dry-run",
    "thin": "thin",
    "wrong-name": "restore nosuch",
    "wrong-option": "status --jsn",
    "help": "restore --help",
}
"""By the file that has it: what is typed."""
MODES = {"80x24": (80, 24), "120x40": (120, 40), "NO_COLOR": (80, 24), "piped": None}
LONG = "before somebody cleans up a little in the table of movements"
SAME = {
    r"-\d{8}-\d{6}": "-20260131-120000",
    r"\b[A-Z][a-z]{2} \d\d \d\d:\d\d": "Jan 31 12:00",
    r"\d(?=[\d.,]* (B|kB|MB|bytes)\b)": "9",
    r"\d+\.\d\d s\b": "0.09 s",
    r"[\d,]+ free": "99,999,999,999 free",
    r"\b[0-9a-f]{12}\b": "0123456789ab",
    r"\x1b\[(\d*)m": r"«\1»",
}
"""What differs from run to run, and what stands for it."""


def made(root: Path) -> Project:
    """A project that somebody has worked in."""
    project = Project(root)
    project.ok("undrop", "migrate")
    project.ok(sys.executable, "tools/quartermaster/sample.py", "30")
    project.ok("undrop", "backup", LONG)
    project.sql("DELETE FROM stock_movements")
    project.ok("undrop", "backup", "afterwards")
    project.sql("INSERT INTO locations (code) VALUES ('N-1')")
    return project


def shown(project: Project, words: list[str], size: tuple[int, int] | None, mode: str) -> str:
    """What one command shows, and its exit code."""
    if size:
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    else:
        master, slave = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(master)
        _run(project, words, slave, mode)
    os.close(slave)
    text = drain(master).replace("\r\n", "\n")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for pattern, same in SAME.items():
        text = re.sub(pattern, same, text.replace(str(project.root), "/work/shop"))
    return f"{text}[exit {code}]\n"


def _run(project: Project, words: list[str], out: int, mode: str) -> NoReturn:
    """The command, in a process forked for it."""
    from undrop import cli
    from undrop.cli import progress, tables

    for number in (1, 2):
        os.dup2(out, number)
    sys.stdout = open(1, "w", encoding="utf-8")  # noqa: SIM115 - it lasts as long as we do
    sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115 - likewise
    os.chdir(project.root)
    os.environ.clear()
    os.environ.update({**project.environment, "TERM": "xterm-256color"})
    if mode == "NO_COLOR":
        os.environ["NO_COLOR"] = "1"
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    # A clock that stands still, and a machine that is never slow.
    tables.age = lambda when: "5 min ago"  # noqa: ARG005 - it is called as it was
    progress.PATIENCE = 1e9
    sys.argv = ["undrop", *words]
    try:
        cli.launch()
    except SystemExit as asked:  # for help; nothing of the process that was forked is cleaned up
        sys.stdout.flush()
        os._exit(int(asked.code or 0))


def all_shown() -> dict[str, str]:
    """By the file that has it: what a command shows in each way."""
    from undrop.cli import commands

    told = {}
    # Of the same length wherever it runs, for what is cut and wrapped by it.
    with tempfile.TemporaryDirectory(prefix="undrop-seen-", dir="/tmp") as folder:
        project = made(Path(folder) / "shop")
        for command in commands.COMMANDS.values():  # all that a command loads, loaded once
            with suppress(ImportError):
                __import__(f"undrop.cli.{command.answer.partition('.')[0]}")
        for name, line in COMMANDS.items():
            parts = [
                f"=== undrop {line}: {mode}\n{shown(project, shlex.split(line), size, mode)}"
                for mode, size in MODES.items()
            ]
            told[name] = "\n".join(parts)
    return told


if __name__ == "__main__":
    found = all_shown()
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(found))
    else:
        FOLDER.mkdir(exist_ok=True)
        for file in FOLDER.glob("*.txt"):
            file.unlink()
        for name, text in found.items():
            (FOLDER / f"{name}.txt").write_text(text, "utf-8")
