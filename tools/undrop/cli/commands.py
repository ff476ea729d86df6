"""Every command: its arguments, and which function of which module answers it."""

import argparse
import json
import os
from argparse import (
    SUPPRESS,
    ArgumentParser,
    ArgumentTypeError,
    HelpFormatter,
    RawDescriptionHelpFormatter,
)
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from undrop import values
from undrop.cli import terminal
from undrop.errors import UsageError
from undrop.recipes import CHOICE, DB, Action

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Sequence

    from undrop.cli.answer import Answer, Bare, Run

ACCEPT_SHRINK = "--accept-shrink"
A_DAY = 86_400  # seconds
HOLD_LOCK = "--hold-lock"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": A_DAY, "w": 7 * A_DAY}  # in seconds

DESCRIPTION = """\
Before anything changes the schema or destroys data, a verified backup of the database (SQLite
or PostgreSQL) exists, and one line takes you back."""
EPILOG = """\
in a project:
  undrop init                  once: settings, recipes, env.py, the hook for coding agents
  undrop status                is the present state backed up, and what would undo take back?
  undrop backup "before lunch" a checked copy in backups/; its path is printed
  undrop rehearse              what the migrations would lose, tried on copies
  undrop migrate               the schema at head; stops when data would be lost
  undrop run -- rm app.db      any other command, behind a backup
  undrop undo                  back to the state before the last step; twice is redo
  undrop recover               what live lacks; with names, that comes back and the rest stays
  undrop list, restore NAME    further back

`undrop COMMAND --help` says more. Exit codes: 0 done, 1 failed and the database is as it was,
2 wrong usage or configuration, 3 failed after the database was changed, 4 a check says no."""


class Command(NamedTuple):
    """A command; its module is loaded when it runs."""

    answer: str
    """``module.function`` under ``undrop.cli``."""
    text: str
    arguments: tuple[tuple[str, dict[str, Any]], ...] = ()
    bare: bool = False
    """Whether it finds its project by itself, or needs none."""
    json: bool = True
    writes: bool = False
    """Whether it takes backups, and packs older ones when it has answered."""


def _one(name: str, **how: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - argparse's options
    return name, how


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) <= A_DAY:
            return seconds
    raise ArgumentTypeError(f"{text!r} is no number of seconds between 0 and {A_DAY}")


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is no number of rows")


class Span(NamedTuple):
    """A length of time, and how it was typed."""

    text: str
    seconds: int


def _span(text: str) -> Span:
    number, unit = text[:-1], text[-1:]
    if number.isdecimal() and unit in UNITS:
        return Span(text, int(number) * UNITS[unit])
    raise ArgumentTypeError(f"{text!r} is no length of time (90s, 15m, 24h, 7d, 2w)")


def _settings(variable: str) -> dict[str, Any]:
    with suppress(KeyError, ValueError):
        if isinstance(settings := json.loads(os.environ[variable]), dict):
            return settings
    raise ArgumentTypeError(f"{variable} holds no settings in JSON")


SCHEMA = (
    _one(
        "words",
        nargs="*",
        metavar="REVISION",
        help="as Alembic names it (head), or Django (APP NAME); or -- and the words of a command "
        "that migrates",
    ),
    _one("--accept-loss", action="store_true", help="whatever goes may go"),
)
WITHOUT = _one(
    "--without-replica", action="store_true", help="also when Litestream's replica is not current"
)
DISCONNECT = _one(
    "--disconnect", action="store_true", help="first end the sessions of others on the server"
)
HOLD = _one(
    HOLD_LOCK,
    type=_seconds,
    metavar="SECONDS",
    help="how long the last try may make programs wait that write to a SQLite file "
    f"({values.HOLD_LOCK:.0f})",
)
MOST = _one(
    "-n",
    dest="most",
    type=_count,
    metavar="ROWS",
    help=f"rows that are shown, the newest ({terminal.MOST} on a terminal, else all)",
)
ALL = _one("--all", action="store_true", help="all of them, on a terminal, too")
INSTEAD = _one("--instead", type=_settings, help=SUPPRESS)  # no person needs it
DATABASE = _one(
    DB,
    dest="database",
    default="",
    metavar="NAME",
    help=f"which database, where the settings have several (else {CHOICE} says; the default)",
)
COMMANDS = {
    "backup": Command(
        "steps.back_up",
        "take a verified backup of the live database",
        (
            _one(
                "--before", metavar="STEP", help="the step that comes, for which REASON is a hint"
            ),
            _one("--after", default="", metavar="STEP", help="a step that was only watched ends"),
            INSTEAD,
            _one("reason", nargs="*", default=["manual"], help="why; part of the file's name"),
            _one(
                ACCEPT_SHRINK,
                action="store_true",
                help="tables that lost all their rows were meant to",
            ),
        ),
        writes=True,
    ),
    "after-backup": Command(
        "hand_on.hand_on",
        "run the command in the settings for every backup that it has not taken",
        (INSTEAD,),
    ),
    "forget": Command(
        "steps.forget",
        "remove a backup everywhere, on purpose",
        (_one("name", metavar="NAME", help="its name in backups/"),),
    ),
    "pack": Command("steps.pack", "pack all older backups now, not a part after each command"),
    "thin": Command(
        "thin.thin",
        "which backups `keep` in the settings no longer wants, and what each would free",
        (
            _one("names", nargs="*", metavar="NAME", help="these instead, whatever their reasons"),
            _one("--yes", action="store_true", help="remove them, everywhere"),
        ),
    ),
    "restore": Command(
        "steps.restore",
        "back up, check FILE, put it in place",
        (
            _one(
                "file",
                nargs="?",
                metavar="FILE",
                help="a path, a name in backups/ or part of it, its number, or latest",
            ),
            _one("--from-litestream", action="store_true", help="what Litestream's replica holds"),
            _one("--timestamp", metavar="TIME", help="with it: as it was then (ISO 8601, zone)"),
            _one("--dry-run", action="store_true", help="only say what it would cost and bring"),
            _one("--foreign", action="store_true", help="also what may be another application's"),
            _one("--trust", action="store_true", help="also a dump that no record vouches for"),
            HOLD,
            DISCONNECT,
        ),
        writes=True,
    ),
    "migrate": Command(
        "migrate.migrate",
        "back up, bring the schema to a revision, check",
        (*SCHEMA, WITHOUT, HOLD, DISCONNECT),
        writes=True,
    ),
    "rehearse": Command(
        "migrate.rehearse",
        "what migrate would do and lose; keeps nothing",
        (
            *SCHEMA,
            _one(
                "--markdown",
                action="store_true",
                help="the report for a pull request: names and counts, no values",
            ),
        ),
    ),
    "reset-db": Command(
        "steps.reset_db",
        "back up, then an empty database at head",
        (WITHOUT, HOLD, DISCONNECT),
        writes=True,
    ),
    "nuke-db": Command(
        "steps.nuke_db", "back up, then no database at all", (DISCONNECT,), writes=True
    ),
    "undo": Command(
        "undo.undo",
        "take back the last change, if it was a step's; twice is redo",
        (
            _one("--list", action="store_true", help="what was done, and what undo would do"),
            MOST,
            ALL,
            _one("--keep", action="store_true", help="the step alone: what others did since stays"),
            _one("--live", action="store_true", help="with it: live's value where both changed it"),
            _one("--before", action="store_true", help="with it: the value from before the step"),
            _one("--triggers", action="store_true", help="with it: let every trigger run"),
            _one("--whole", action="store_true", help="what others did since, too"),
            HOLD,
            DISCONNECT,
        ),
        writes=True,
    ),
    "recover": Command(
        "recover.recover",
        "bring back what live lacks: rows, values, tables; the rest of it stays",
        (
            _one(
                "names",
                nargs="*",
                metavar="NAME",
                help="`rows items`, `items.price`, `table legacy`, or `items` for all about it; "
                "without any: what live lacks (exit 4)",
            ),
            _one(
                "--from",
                dest="source",
                metavar="FILE",
                help="as restore takes it; else the newest state that lacks nothing of it",
            ),
            _one("--key", action="append", metavar="KEYS", help="only these rows: 42,43"),
            _one("--where", metavar="SQL", help="only those for which that is true in the backup"),
            _one("--overwrite", action="store_true", help="also where live has another value"),
            _one(
                "--with-children",
                action="store_true",
                help="the rows that point to them, too, and went with them",
            ),
            _one(
                "--new-keys",
                action="store_true",
                help="a new key for a row whose key is another row's in live",
            ),
            _one(
                "--into",
                metavar="TABLE",
                help="the rows go into a new table, where live has no place for them",
            ),
            _one("--triggers", action="store_true", help="let every trigger run"),
            _one("--dry-run", action="store_true", help="only say what would come back"),
            HOLD,
            DISCONNECT,
        ),
        writes=True,
    ),
    "list": Command(
        "backups.list_",
        "the backups, newest first, with the number that restore takes",
        (MOST, _one("--all", action="store_true", help="all, those of other databases as well")),
    ),
    "verify": Command(
        "backups.verify",
        "prove that a backup, or every one, is whole",
        (
            _one("file", nargs="?", metavar="FILE", help="a path, a name, or latest"),
            _one(
                "--litestream",
                action="store_true",
                help="restore Litestream's replica to a temporary folder, compare it with live",
            ),
        ),
    ),
    "status": Command(
        "status.status",
        "where things stand; exit 4 when not covered by a backup",
        (
            _one(
                "--max-age",
                type=_span,
                metavar="AGE",
                help="for a schedule: exit 4 when the newest verified backup is older (24h; also "
                "s, m, d, w), not because something was written since",
            ),
        ),
    ),
    "audit": Command(
        "audit.audit",
        "all that can be checked, for a schedule or a release; exit 4 with what to do",
    ),
    "diff": Command(
        "diff.diff",
        "what changed between two backups, or a backup and live",
        (
            _one("before", nargs="?", default="latest", metavar="A", help="latest"),
            _one("after", nargs="?", default="live", metavar="B", help="live, the database"),
            _one(
                "--rows",
                nargs="?",
                const="",
                metavar="TABLE",
                help="the rows themselves, of one table or all",
            ),
            _one("--sql", action="store_true", help="statements that turn A into B"),
        ),
    ),
    "sql": Command(
        "sql.sql",
        "a read-only query on a backup or live; without one, a shell on it",
        (
            _one("file", nargs="?", metavar="FILE", help="as restore takes it, or live (live)"),
            _one("query", nargs="?", metavar="QUERY", help="one statement that only reads"),
            _one("--csv", action="store_true", help="print CSV with a header line (RFC 4180)"),
        ),
    ),
    "history": Command(
        "history.history",
        "rows, size and revision of each state over time",
        (
            MOST,
            ALL,
            _one(
                "--html",
                nargs="?",
                const="",
                metavar="FILE",
                help="as a page for a browser, with what changed and the lines that go back; "
                "on stdout without FILE",
            ),
            _one(
                "--no-values",
                action="store_true",
                help="with it: nothing of what is in the rows, no reason, no command",
            ),
        ),
    ),
    "log": Command(
        "life.log",
        "the life of a table, or of one row, over all backups and live",
        (
            _one("table", metavar="TABLE", help="its name, as it is now or was once"),
            _one("key", nargs="*", metavar="KEY", help="of a row: a word for each column of it"),
            MOST,
            ALL,
        ),
    ),
    "find": Command(
        "find.find",
        "which tables, columns and rows hold TEXT, in the newest state that does",
        (
            _one(
                "text",
                nargs="+",
                metavar="TEXT",
                help="all words are one text; letter case does not count; numbers are text, too",
            ),
        ),
    ),
    "run": Command(
        "run.run",
        "back up, then run COMMAND with its own exit code",
        (_one("command", nargs="...", metavar="COMMAND", help="-- and the command's words"),),
        json=False,
        writes=True,
    ),
    "init": Command(
        "init.init",
        "put undrop into the project in this folder: settings, recipes, env.py, hooks",
        (
            _one("--dry-run", action="store_true", help="only show what would change"),
            _one("--check", action="store_true", help="only try whether the guard holds; exit 4"),
            _one("--remove", action="store_true", help="take out what init put in"),
            _one("--url", default="", metavar="URL", help="the database, if it is not found"),
            _one(
                "--agents",
                default="",
                metavar="NAME[,NAME…]",
                help="whose hooks are written; else claude's, and of those whose folders are there",
            ),
        ),
        bare=True,
    ),
    "completion": Command(
        "completion.completion",
        "the lines that have a shell complete commands, options, backups",
        (_one("shell", choices=("bash", "zsh", "fish"), help="whose"),),
        bare=True,
        json=False,
    ),
    "agent-hook": Command(
        "agent_hook.agent_hook",
        "for coding agents: decide about a tool call (JSON on stdin)",
        (
            _one("--for", dest="agent", default="", metavar="NAME", help="the agent that asks"),
            _one("--explain", metavar="COMMAND", help="only say what would be decided, and why"),
        ),
        bare=True,
    ),
}


class Parser(ArgumentParser):
    """The arguments of a command, or which command it is; what is wrong is a UsageError."""

    def parse_known_args(  # type: ignore[override]  # one of its overloads is enough
        self, args: "Sequence[str] | None" = None, namespace: "Namespace | None" = None
    ) -> "tuple[Namespace, list[str]]":
        """Parse them; one that is not known is refused with the nearest that is."""
        args, typed = self._apart(args)
        known, unknown = super().parse_known_args(args, namespace)
        if any(each.dest == "words" for each in self._actions):
            known.typed = typed
            if typed and known.words:
                self._fail(f"{' '.join(known.words)}, and a command as well", "--", *typed)
        self._give(known, unknown)
        for word in unknown[:1]:
            option, _, _ = word.partition("=")
            if not option.startswith("-"):
                self._fail(f"it takes no {word!r}{self._usage()}", "--help")
            near = nearest(option, self._option_string_actions)
            if not near:
                self._fail(f"there is no option {option}{self._usage()}", "--help")
            meant = word.replace(option, near, 1)
            line = [meant if each == word else each for each in args or ()]
            what = f"there is no option {option}; the nearest is {near}{self._usage()}"
            self._fail(what, *line)
        return known, unknown

    def _apart(self, args: "Sequence[str] | None") -> "tuple[Sequence[str] | None, Sequence[str]]":
        """The words behind ``--`` by themselves, where they are a command: it has its own options.

        What begins with ``-`` is no command's name, but a revision's (``-1``).
        """
        if args is None or not any(each.dest == "words" for each in self._actions):
            return args, ()
        before, mark, behind = _partition(args)
        return (before, behind) if mark and behind and behind[0][:1] != "-" else (args, ())

    def _give(self, known: "Namespace", unknown: list[str]) -> None:
        """Give words behind an option to arguments that are still free, which argparse does not."""
        places = [each for each in self._actions if not each.option_strings and each.nargs == "?"]
        for place in places:
            free = getattr(known, place.dest) is place.default
            if free and unknown and not unknown[0].startswith("-"):
                setattr(known, place.dest, unknown.pop(0))

    def format_help(self) -> str:
        """With its examples."""
        from undrop.cli import examples

        _, _, command = self.prog.partition(" ")
        return super().format_help() + (examples.told(command) if command else "")

    def error(self, message: str) -> NoReturn:
        """Say what else is wrong."""
        self._fail(message, "--help")

    def _usage(self) -> str:
        return "\n" + " ".join(self.format_usage().split())

    def _fail(self, what: str, *words: str) -> NoReturn:
        _, _, command = self.prog.partition(" ")
        following = Action(command, *words) if command else "undrop --help"
        raise UsageError(f"{command or self.prog}: {what}", following)


class Version(argparse.Action):
    """Print which versions work together here, and end; they are asked for then alone."""

    def __call__(self, *_: object) -> NoReturn:
        """What argparse calls."""
        from undrop.cli import about

        print(about.versions())
        raise SystemExit(0)


def _partition(args: "Sequence[str]") -> "tuple[Sequence[str], bool, Sequence[str]]":
    """What comes before the first ``--``, whether there is one, and what comes behind it."""
    at = args.index("--") if "--" in args else len(args)
    return args[:at], at < len(args), args[at + 1 :]


def nearest(word: str, words: "Iterable[str]") -> str:
    """The one of ``words`` that was meant, by how it begins or else is alike; empty for none."""
    from difflib import get_close_matches

    meant, bare = word.lstrip("-"), {each.lstrip("-"): each for each in words}
    begin = [each for each in bare if meant and each.startswith(meant)]
    near = [*begin, *get_close_matches(meant, bare, 1)]
    return bare[near[0]] if near else ""


def parser(wanted: str = "") -> ArgumentParser:
    """The arguments of every command; an option is what it is called, not how it begins.

    Of ``wanted`` alone where that is a command: making the others takes longer than a backup.
    Raises UsageError when it is none.
    """
    if wanted not in COMMANDS and not wanted.startswith("-") and wanted:
        near = nearest(wanted, COMMANDS)
        following = Action(near, "--help") if near else "undrop --help"
        what = f"there is no command {wanted!r}"
        raise UsageError(f"{what}; the nearest is {near}" if near else what, following)
    narrow = partial(HelpFormatter, width=96)
    top = Parser(
        "undrop",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=partial(RawDescriptionHelpFormatter, width=96),
        allow_abbrev=False,
    )
    top.add_argument("--version", action=Version, nargs=0, help="what works together here")
    every = top.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="undrop")
    for name in [wanted] if wanted in COMMANDS else COMMANDS:
        command = COMMANDS[name]
        text = command.text
        added = every.add_parser(
            name, help=text, description=text, formatter_class=narrow, allow_abbrev=False
        )
        for argument, how in command.arguments:
            added.add_argument(argument, **how)
        if not command.bare:
            option, how = DATABASE
            added.add_argument(option, **how)
        added.add_argument("--verbose", action="store_true", help="with tracebacks, where it fails")
        if command.json:
            added.add_argument("--json", action="store_true", help="print one JSON object")
        run = partial(_run, command.answer)
        added.set_defaults(run=run, bare=command.bare, writes=command.writes)
        added.set_defaults(instead=None, packs=[])
    return top


def _run(answer: str, run: "Run | Bare") -> "Answer":
    module, _, function = answer.partition(".")
    found: Answer = getattr(import_module(f"undrop.cli.{module}"), function)(run)
    return found
