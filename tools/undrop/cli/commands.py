"""Every command: its arguments, and which function of which module answers it."""

from argparse import ArgumentParser, HelpFormatter, RawDescriptionHelpFormatter
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop import __version__

if TYPE_CHECKING:
    from undrop.cli.answer import Answer, Bare, Run

ACCEPT_SHRINK = "--accept-shrink"


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


def _one(name: str, **how: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - argparse's options
    return name, how


SCHEMA = (
    _one("revision", nargs="?", default="head", help="as Alembic names it (head)"),
    _one("--accept-loss", action="store_true", help="whatever goes may go"),
)
WITHOUT = _one(
    "--without-replica", action="store_true", help="also when Litestream's replica is not current"
)
DISCONNECT = _one(
    "--disconnect", action="store_true", help="first end the sessions of others on the server"
)
COMMANDS = {
    "backup": Command(
        "steps.back_up",
        "take a verified backup of the live database",
        (
            _one("--before", default="", metavar="STEP", help="the step that it precedes"),
            _one("--after", default="", metavar="STEP", help="a step that was only watched ends"),
            _one("reason", nargs="?", default="manual", help="why; part of the file's name"),
            _one(
                ACCEPT_SHRINK,
                dest="before",
                action="store_const",
                const=ACCEPT_SHRINK,
                help="tables that lost all their rows were meant to",
            ),
        ),
    ),
    "forget": Command(
        "steps.forget",
        "remove a backup everywhere, on purpose",
        (_one("name", metavar="NAME", help="its name in backups/"),),
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
            DISCONNECT,
        ),
    ),
    "migrate": Command(
        "migrate.migrate",
        "back up, bring the schema to a revision, check",
        (*SCHEMA, WITHOUT, DISCONNECT),
    ),
    "rehearse": Command(
        "migrate.rehearse", "what migrate would do and lose; keeps nothing", SCHEMA
    ),
    "reset-db": Command(
        "steps.reset_db", "back up, then an empty database at head", (WITHOUT, DISCONNECT)
    ),
    "nuke-db": Command("steps.nuke_db", "back up, then no database at all", (DISCONNECT,)),
    "undo": Command(
        "undo.undo",
        "take back the last change, if it was a step's; twice is redo",
        (
            _one("--list", action="store_true", help="what was done, and what undo would do"),
            _one("--whole", action="store_true", help="what others did since, too"),
            DISCONNECT,
        ),
    ),
    "list": Command("backups.list_", "the backups, newest first"),
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
    "status": Command("status.status", "where things stand; exit 4 when not covered by a backup"),
    "diff": Command(
        "diff.diff",
        "what changed between two backups, or a backup and live",
        (
            _one("before", nargs="?", default="latest", metavar="A", help="latest"),
            _one("after", nargs="?", default="live", metavar="B", help="live, the database"),
        ),
    ),
    "history": Command("diff.history", "size and rows over the backups, as a chart"),
    "run": Command(
        "run.run",
        "back up, then run COMMAND with its own exit code",
        (_one("command", nargs="...", metavar="COMMAND", help="-- and the command's words"),),
        json=False,
    ),
    "init": Command(
        "init.init",
        "put undrop into the project in this folder: settings, recipes, env.py, hooks",
        (
            _one("--dry-run", action="store_true", help="only show what would change"),
            _one("--remove", action="store_true", help="take out what init put in"),
            _one("--url", default="", metavar="URL", help="the database, if it is not found"),
        ),
        bare=True,
    ),
    "agent-hook": Command(
        "agent_hook.agent_hook",
        "for coding agents: decide about a tool call (JSON on stdin)",
        (_one("--explain", metavar="COMMAND", help="only say what would be decided, and why"),),
        bare=True,
    ),
}


def parser(wanted: str = "") -> ArgumentParser:
    """The arguments of every command; an option is what it is called, not how it begins.

    Of ``wanted`` alone where that is a command: making the others takes longer than a backup.
    """
    narrow = partial(HelpFormatter, width=96)
    top = ArgumentParser(
        "undrop",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=partial(RawDescriptionHelpFormatter, width=96),
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"undrop {__version__}")
    every = top.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="undrop")
    for name in [wanted] if wanted in COMMANDS else COMMANDS:
        command = COMMANDS[name]
        text = command.text
        added = every.add_parser(
            name, help=text, description=text, formatter_class=narrow, allow_abbrev=False
        )
        for argument, how in command.arguments:
            added.add_argument(argument, **how)
        if command.json:
            added.add_argument("--json", action="store_true", help="print one JSON object")
        added.set_defaults(run=partial(_run, command.answer), bare=command.bare)
    return top


def _run(answer: str, run: "Run | Bare") -> "Answer":
    module, _, function = answer.partition(".")
    found: Answer = getattr(import_module(f"undrop.cli.{module}"), function)(run)
    return found
