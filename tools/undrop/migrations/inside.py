"""What a process with project code is: the fence up, one question from undrop, one answer."""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar
from urllib.parse import quote, quote_plus

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from undrop.engines import registry
from undrop.errors import VERBOSE, ElsewhereError, LiveMovedError, UndropError, UnknownRevisionError
from undrop.migrations.message import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from undrop.engines.sqlite.fence import Fence
    from undrop.values import Target


class WrongError(Exception):
    """The tool cannot use what it was given, and says why; no migration is at fault."""

    what = "configuration"


class Asked(Protocol):
    """A question, as far as every tool's is one."""

    @property
    def live(self) -> str:
        """The live database's file; empty where it is none."""

    @property
    def others(self) -> list[str]:
        """Files of the project's other databases."""

    @property
    def root(self) -> str:
        """The project's folder."""

    @property
    def url(self) -> str:
        """The project's."""

    @property
    def target(self) -> "Target | None":
        """The database to migrate; None for a look."""


AskedT = TypeVar("AskedT", bound=Asked)
ROWS = 500
"""At a time."""


def accepts_loss(module: object) -> list[str]:
    """What a migration's file says that it may take away. Raises TypeError."""
    names = getattr(module, "accepts_loss", [])
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"accepts_loss in {getattr(module, '__file__', module)} is no list of texts"
        )
    return list(names)


def _told(error: BaseException, root: Path) -> str:
    """What failed, as the driver says it, and where in the project's own code."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    own = [
        f"{Path(frame.filename).relative_to(root)}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(root) and "site-packages" not in frame.filename
    ]
    return f"{type(cause).__name__}: {cause}" + (f" ({own[-1]})" if own else "")


def _hidden(text: str, asked: Asked) -> str:
    """The same without the passwords of the URLs that this process was given."""
    for url in filter(None, (asked.url, asked.target.server if asked.target else "")):
        with suppress(Exception):  # what is no URL was said to be none
            found = make_url(url)
            for word in filter(None, (found.password, found.query.get("password"))):
                word = str(word)  # noqa: PLW2901 - a query may repeat a name
                for form in {word, quote(word), quote(word, safe=""), quote_plus(word)}:
                    text = text.replace(form, "***").replace(form.replace("%", "%%"), "***")
    return text


class Line:
    """To undrop and back: its questions, a line each, and what is answered."""

    def __init__(self, pipe: int) -> None:
        self._asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._out = os.dup(1)
        # Who forks and stays answers nothing.
        os.register_at_fork(after_in_child=lambda: os.close(self._out))
        os.dup2(2, 1)
        threading.Thread(target=self._listen, args=(pipe,), daemon=True).start()

    def _listen(self, pipe: int) -> None:
        """End when undrop does, however it does: nobody else looks after the work copy."""
        with os.fdopen(pipe, "rb") as questions:
            for line in questions:
                self._asked.put(line)
        os._exit(1)

    def next(self) -> bytes:
        """The next question, as soon as it is asked."""
        return self._asked.get()

    def say(self, text: str) -> None:
        """Answer with a line."""
        sys.stdout.flush()
        sys.stderr.flush()
        left = memoryview(text.encode() + b"\n")
        while left:
            left = left[os.write(self._out, left) :]

    def serve(self, ask: "Callable[[str], Iterable[object]]") -> NoReturn:
        """Run the statements that come, and give their rows, until undrop has seen enough.

        This process ends then, and what it has open with it.
        """
        while True:
            rows = [[*row] for row in ask(json.loads(self.next()))]  # type: ignore[misc]  # a row
            for first in range(0, len(rows), ROWS):
                self.say(json.dumps(rows[first : first + ROWS], default=str))
            self.say("[]")


def main(
    of_json: "Callable[[bytes], AskedT]", answer_to: "Callable[[AskedT, Fence, Line], Reply]"
) -> NoReturn:
    """Answer on stdout in JSON what the pipe asks; whatever migrations print goes to stderr."""
    # What the terminal sends everyone, and undrop held back while this process was loading.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    line = Line(int(sys.argv[1]))
    asked = of_json(line.next())
    target = asked.target
    beside = [each.database for each in target.beside] if target else []
    free = [target.database, *beside] if target else []
    fence = registry.fence(asked.live, free, asked.root, asked.others)
    try:
        answer = answer_to(asked, fence, line)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - migrations are anybody's code
        unknown = error.revisions if isinstance(error, UnknownRevisionError) else []
        wrong = error.what if isinstance(error, WrongError) else ""
        if isinstance(error, UndropError):
            said = error.what
        elif wrong or isinstance(error, ElsewhereError):
            said = str(error)
        else:
            if asked.target and VERBOSE in os.environ and not fence.refused():
                sys.stderr.write(_hidden(traceback.format_exc(), asked))
            said = _told(error, Path(asked.root))
        answer = Reply(
            error=_hidden(said, asked),
            has_live_moved=isinstance(error, LiveMovedError),
            refused="elsewhere" if isinstance(error, ElsewhereError) else "",
            wrong=wrong,
            unknown=unknown,
        )
    if refused := fence.refused():  # also where somebody made light of it
        answer = Reply(error=refused[0], refused="live" if fence.has_kept_live() else "other")
    answer = answer._replace(made=fence.left())
    line.say(answer.to_json())
    os._exit(1 if answer.error else 0)  # taking SQLAlchemy apart lasts as long as some loading
