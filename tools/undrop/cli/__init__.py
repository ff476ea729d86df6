"""The command line: arguments in, text or JSON out. The only place that prints or exits."""

import codecs
import json
import os
import signal
import sys
from argparse import Namespace
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from undrop.cli import answer, dependency, tables, terminal
from undrop.cli.commands import HOLD_LOCK, parser
from undrop.cli.progress import Bar
from undrop.engines import registry
from undrop.errors import LOOK, VERBOSE, ChangedError, UndropError
from undrop.recipes import Action, Prompt
from undrop.store import owners
from undrop.values import Session

if TYPE_CHECKING:
    from undrop.settings import Settings

A_WHILE = 0.5  # seconds that are spent on packing older backups once a command has answered
AS_IT_IS = "undrop"
WARNINGS = ("WARNING", answer.BROKEN.partition(":")[0])
"""How a line begins that tells of something to be seen to."""
ASKED = "_ARGCOMPLETE"
"""The variable that a shell sets which asks what could be typed."""
OURS = "the same command with --verbose shows where, which its maintainers should see"
STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class StoppedError(BaseException):
    """A signal asks us to end; what is half done is cleaned up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # the shell's convention


def _as_it_is(error: UnicodeError) -> tuple[str | bytes, int]:
    """Any path's bytes as they are, and what the terminal has no letter for as an escape."""
    with suppress(UnicodeError):
        return codecs.lookup_error("surrogateescape")(error)
    return codecs.lookup_error("backslashreplace")(error)


def _stop(number: int, _frame: object) -> NoReturn:
    raise StoppedError(number)


def main() -> int:
    """Run one command; returns its exit code (0 done, 1 failed, 2 usage, 3 changed, 4 a check)."""
    _open_closed_streams()
    codecs.register_error(AS_IT_IS, _as_it_is)
    sys.stdout.reconfigure(errors=AS_IT_IS)  # type: ignore[union-attr]  # it is a text file
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    arguments = Namespace(
        json=False, bare=False, root=Path("/"), hold_lock=None, max_age=None, told=""
    )
    bar = Bar()
    session = Session(bar)
    with closing(session):
        return _main(arguments, session, bar)


def _main(arguments: Namespace, session: Session, bar: Bar) -> int:
    try:
        for number in STOPPING:
            signal.signal(number, _stop)
        _parse(arguments)
        session.typed = Action.of(_without(HOLD_LOCK, sys.argv[1:]))
        try:
            said = _answer(arguments, session)
        finally:
            bar.close()
            for warning in owners.told(session):
                _say(warning)
            for problem in session.broken:
                _say(answer.BROKEN.format(problem))
            if session.wrote:
                _say(f"written meanwhile, in the project: {tables.some(sorted(session.wrote))}")
        code = _show(said, arguments)
    except UndropError as error:
        return _fail(error, arguments, session)
    except Exception as error:  # noqa: BLE001 - whatever it is, the three lines are what helps
        if VERBOSE in os.environ:
            import traceback  # nobody else waits for it

            traceback.print_exc()
        if not (isinstance(error, OSError) or registry.is_of_driver(error)):
            fault = f"a fault of undrop's own: {type(error).__name__}: {error}"
            return _fail(UndropError(fault, OURS), arguments, session)
        again = UndropError(str(error), "correct that, then the same command again")
        return _fail(again, arguments, session)
    except StoppedError as stopped:
        again = UndropError(f"stopped by {stopped}", "the same command again")
        return _fail(again, arguments, session, stopped.exit_code)
    _pack(arguments.packs)
    return code


def _parse(arguments: Namespace) -> None:
    """Read the command line; raises UsageError, SystemExit when it asks for help."""
    if ASKED in os.environ:
        from undrop.cli import completion

        completion.complete(parser())
    try:
        parser(*sys.argv[1:2]).parse_args(namespace=arguments)
    except UndropError:
        arguments.json = "--json" in sys.argv
        with suppress(FileNotFoundError):  # somebody removed it
            arguments.root = Path.cwd()
        raise
    if arguments.verbose:
        os.environ[VERBOSE] = "1"  # for what is started, too


def _answer(arguments: Namespace, session: Session) -> answer.Answer:
    said: answer.Answer
    arguments.root = Path.cwd()
    if arguments.bare:
        said = arguments.run(answer.Bare(arguments, session, _say))
    else:
        from undrop import settings  # a hook's answer about a command that reads has no use for it

        name = dependency.database(arguments)
        project = settings.load(
            arguments.root, session, arguments.instead, name or settings.DEFAULT
        )
        arguments.root, arguments.told = project.root, project.told
        run = answer.Run(project, arguments, _say, is_named=bool(name))
        answer.hold_lock(run)
        with owners.explained(project):
            said = arguments.run(run)
        is_waited_for = getattr(arguments, "before", None)  # by the step that comes
        if arguments.writes and not is_waited_for:
            arguments.packs.append((project, A_WHILE))
    return said


def _pack(projects: "list[tuple[Settings, float]]") -> None:
    """Give older backups less room, now that the answer is out; the next command does the rest."""
    for project, seconds in projects:
        from undrop.steps import pack  # most commands of an agent only look

        with suppress(UndropError, OSError, StoppedError):
            pack.afterwards(project, seconds)


def _without(option: str, words: list[str]) -> list[str]:
    """What was typed, less an option and its value."""
    left, kept = iter(words), []
    for word in left:
        if word == option:
            next(left, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def _show(said: answer.Answer, arguments: Namespace) -> int:
    with tables.reader_may_leave(sys.stdout):
        if arguments.json:
            print(json.dumps(said.result))
        elif said.table:
            tables.show(*said.table)
        elif said.line:
            print(said.line)
    prompt = Prompt(arguments.root, database=arguments.told)
    for note in said.notes:
        _say(prompt.text(note))
    return said.code


def _fail(
    error: UndropError, arguments: Namespace, session: Session, code: int | None = None
) -> int:
    for number in STOPPING:  # it has failed: whatever comes now, it is told
        signal.signal(number, signal.SIG_IGN)
    if any(each.changed for each in session.all) and not error.live_changed:
        error, code = ChangedError(error.what, *LOOK), None
    code = error.exit_code if code is None else code
    prompt = Prompt(arguments.root, database=arguments.told)
    if arguments.json:
        facts = answer.failure(error, prompt)
        with tables.reader_may_leave(sys.stdout):
            print(json.dumps({**facts, "exit_code": code}))
    _say(error.told(prompt.text(error.next_parts)))
    return code


def _say(text: str) -> None:
    """Tell people; a failure's three lines begin in red, a warning is yellow."""
    first, *rest = map(tables.clean, text.splitlines())
    if terminal.has_colour(sys.stderr):
        failed = any(line.startswith("Next: ") for line in rest)
        warned = first.startswith(WARNINGS)
        first = terminal.coloured(
            first, terminal.RED if failed else terminal.YELLOW if warned else ""
        )
    with (
        tables.reader_may_leave(sys.stderr),
        suppress(OSError),
    ):  # a full disk there stops nothing here
        print("undrop: " + "\n        ".join([first, *rest]), file=sys.stderr, flush=True)


def _open_closed_streams() -> None:
    """Give ``undrop … 2>&-`` something to write to, and no database the descriptor 2."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor: this one
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def launch() -> NoReturn:
    """Entry point of the ``undrop`` command."""
    code = main()
    for number in STOPPING:  # it is decided: nothing may make the exit code lie now
        signal.signal(number, signal.SIG_IGN)
    # Both streams are flushed. Taking the interpreter apart costs as much as checking a small copy.
    os._exit(code)
