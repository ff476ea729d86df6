"""The command line: arguments in, text or JSON out. The only place that prints or exits."""

import json
import os
import signal
import sqlite3
import sys
from argparse import ArgumentParser, HelpFormatter, Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NoReturn, TextIO

from undrop import __version__, livefiles, settings
from undrop.cli import answer, diff, looks, schema, status, steps, tables, undo
from undrop.cli.progress import Bar
from undrop.errors import ChangedError, UndropError

NARROW = partial(HelpFormatter, width=96)  # asking the terminal would load shutil, for each backup
STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class StoppedError(BaseException):
    """A signal asks us to end; what is half done is cleaned up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # the shell's convention


def _stop(number: int, _frame: object) -> NoReturn:
    raise StoppedError(number)


def parser() -> ArgumentParser:
    """All commands and their arguments."""
    top = ArgumentParser(
        "undrop", description="Verified SQLite backups, and one line back.", formatter_class=NARROW
    )
    top.add_argument("--version", action="version", version=f"undrop {__version__}")
    every = top.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="undrop")
    common = ArgumentParser(add_help=False, formatter_class=NARROW)
    common.add_argument("--json", action="store_true", help="print one JSON object")

    def command(name: str, run: object, text: str) -> ArgumentParser:
        added = every.add_parser(
            name, help=text, description=text, parents=[common], formatter_class=NARROW
        )
        added.set_defaults(run=run)
        return added

    one = command("backup", steps.back_up, "take a verified backup of the live database")
    one.add_argument("--before", default="", metavar="STEP", help="the step that it precedes")
    one.add_argument("reason", nargs="?", default="manual", help="why; part of the file's name")
    one.add_argument(
        "--accept-shrink",
        dest="before",
        action="store_const",
        const=steps.ACCEPT_SHRINK,
        help="tables that lost all their rows were meant to",
    )
    one = command("forget", steps.forget, "remove a backup everywhere, on purpose")
    one.add_argument("name", metavar="NAME", help="its name in backups/")
    one = command("restore", steps.restore, "back up, check FILE, put it in place")
    one.add_argument("file", metavar="FILE", help="a path, a name in backups/, or latest")
    for one in (
        command("migrate", schema.migrate, "back up, bring the schema to a revision, check"),
        command("rehearse", schema.rehearse, "what migrate would do and lose; keeps nothing"),
    ):
        one.add_argument("revision", nargs="?", default="head", help="as Alembic names it (head)")
        one.add_argument("--accept-loss", action="store_true", help="whatever goes may go")
    command("reset-db", steps.reset_db, "back up, then an empty database at head")
    command("nuke-db", steps.nuke_db, "back up, then no database at all")
    one = command("undo", undo.undo, "back up, then the state before the last step; twice is redo")
    one.add_argument("--list", action="store_true", help="only say what was done")
    command("list", looks.list_, "the backups, newest first")
    one = command("verify", looks.verify, "prove that a backup, or every one, is whole")
    one.add_argument("file", nargs="?", metavar="FILE", help="a path, a name, or latest")
    command("status", status.status, "where things stand; exit 4 when not covered by a backup")
    one = command("diff", diff.diff, "what changed between two backups, or a backup and live")
    one.add_argument("before", nargs="?", default="latest", metavar="A", help="latest")
    one.add_argument("after", nargs="?", default="live", metavar="B", help="live, the database")
    command("history", diff.history, "size and rows over the backups, as a chart")
    return top


def main() -> int:
    """Run one command; returns its exit code (0 done, 1 failed, 2 usage, 3 changed, 4 a check)."""
    _open_closed_streams()
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # any path, as it is
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    arguments = Namespace(json=False)
    bar = Bar()
    try:
        for number in STOPPING:
            signal.signal(number, _stop)
        parser().parse_args(namespace=arguments)
        try:
            return _answer(arguments, bar)
        finally:
            bar.close()
    except UndropError as error:
        return _fail(error, arguments)
    except (OSError, sqlite3.Error) as error:
        again = UndropError(str(error), "correct that, then the same command again")
        return _fail(again, arguments)
    except StoppedError as stopped:
        again = UndropError(f"stopped by {stopped}", "the same command again")
        return _fail(again, arguments, stopped.exit_code)


def _answer(arguments: Namespace, bar: Bar) -> int:
    run = answer.Run(settings.load(Path.cwd()), arguments, bar, _say)
    said: answer.Answer = arguments.run(run)
    bar.close()
    with _reader_may_leave(sys.stdout):
        if arguments.json:
            print(json.dumps(said.result))
        elif said.table:
            tables.show(*said.table)
        elif said.line:
            print(said.line)
    for note in said.notes:
        _say(note)
    return said.code


def _fail(error: UndropError, arguments: Namespace, code: int | None = None) -> int:
    if livefiles.CHANGED.is_set() and not error.live_changed:
        error, code = ChangedError(error.what, livefiles.LOOK), None
    code = error.exit_code if code is None else code
    if arguments.json:
        facts = {"error": error.what, "live_changed": error.live_changed, "next": error.next_step}
        with _reader_may_leave(sys.stdout):
            print(json.dumps({**facts, "exit_code": code}))
    _say(f"{error}")
    return code


def _say(text: str) -> None:
    lines = (tables.clean(line) for line in text.splitlines())
    with _reader_may_leave(sys.stderr), suppress(OSError):  # a full disk there stops nothing here
        print("undrop: " + "\n        ".join(lines), file=sys.stderr, flush=True)


@contextmanager
def _reader_may_leave(stream: TextIO) -> Iterator[None]:
    """Print to ``stream`` inside; ``undrop list | head`` is no failure, nor hides one."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_streams() -> None:
    """Give ``undrop … 2>&-`` something to write to, and no database the descriptor 2."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor: this one
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def run() -> NoReturn:
    """Entry point of the ``undrop`` command."""
    code = main()
    for number in STOPPING:  # it is decided: nothing may make the exit code lie now
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)
