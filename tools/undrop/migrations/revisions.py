"""The revisions in the project's migrations."""

from threading import Thread
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from undrop.migrations import tool
from undrop.values import TICK

if TYPE_CHECKING:
    from collections.abc import Callable

    from undrop.migrations.message import Reply, Revision
    from undrop.settings import Settings
    from undrop.values import Session


class _Asked:
    """The tool at work on its answer, in a process of its own, and then that."""

    def __init__(self, settings: "Settings") -> None:
        self._reply: Reply | Exception | None = None
        # Its process ends with this one, should nobody wait for the answer.
        self._thread = Thread(target=self._look, args=(settings,), daemon=True)
        self._thread.start()

    def _look(self, settings: "Settings") -> None:
        try:
            self._reply = tool.look(settings)
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer has it raised
            self._reply = error

    def reply(self, tick: "Callable[[], None]") -> "Reply":
        """What it answers; ``tick`` is called until then."""
        while self._thread.is_alive():
            self._thread.join(TICK)
            tick()
        if isinstance(self._reply, Exception):
            raise self._reply
        assert self._reply is not None  # noqa: S101 - the thread has ended
        return self._reply


_ASKED: "WeakKeyDictionary[Session, _Asked]" = WeakKeyDictionary()


def ask(settings: "Settings") -> None:
    """Let the tool begin to load the migrations: who asks for them later waits the less."""
    command = settings.engine.session.first
    if command not in _ASKED:
        _ASKED[command] = _Asked(settings)


def heads(settings: "Settings") -> list[str] | None:
    """The newest revision(s) in the project's migrations; None when they cannot be read.

    Loads every migration's file, as ``alembic heads`` does, in a process of its own.
    """
    told = _told(settings)
    return None if told.revisions is None else told.heads


def unknown(settings: "Settings", asked: list[str]) -> list[str]:
    """Those of the revisions that the project's migrations do not know; none where nobody can tell.

    Loads them, if any are asked for.
    """
    told = _told(settings) if asked else None
    if told is None or told.revisions is None:
        return []
    known = {each.revision for each in told.revisions}
    left = [name for name in asked if name not in known]
    return _newer(asked, left, known) if told.keeps_each else left


def pending(settings: "Settings", current: list[str]) -> list[str]:
    """The migrations between ``current`` and the head(s), the next one first; none if unknown."""
    told = _told(settings)
    known = told.revisions or []
    if told.keeps_each:
        done = _done(known, current)
    else:
        below = {each.revision: each.below for each in known}
        if not below.keys() >= {*current}:  # a revision that the code does not have
            return []
        done = _reached(below, current)
    return [f"{each.revision} {each.doc}".rstrip() for each in known if each.revision not in done]


def is_behind(settings: "Settings", current: list[str]) -> bool:
    """Whether a database at ``current`` is not where the project's migrations lead."""
    told = _told(settings)
    if told.revisions is None:
        return False
    if told.keeps_each:
        return bool(pending(settings, current) or unknown(settings, current))
    return current != told.heads


def _reached(below: dict[str, list[str]], current: list[str]) -> set[str]:
    """Those that ran, where a database knows the newest of them."""
    done: set[str] = set()
    left = list(current)
    while left:
        revision = left.pop()
        if revision not in done:
            done.add(revision)
            left += below[revision]
    return done


def _done(known: "list[Revision]", current: list[str]) -> set[str]:
    """Those that ran, or that never will, where a database knows each.

    A squashed one has when all that it stands for have. It comes in their place where none of them
    has, and never where some have (``MigrationLoader.build_graph``).
    """
    done = {*current}
    for each in known:  # what one stands for comes before it
        ran = [name in done for name in each.replaces]
        if not ran:
            continue
        if all(ran) or any(ran):
            done.add(each.revision)
        else:
            done.update(each.replaces)
    return done


def _newer(asked: list[str], left: list[str], known: set[str]) -> list[str]:
    """Those of ``left`` that ran after all that are known of their application.

    An application that was taken out of the project leaves its rows behind, and so do migrations
    whose squashed one has become an ordinary one (docs.djangoproject.com, "Squashing migrations").
    """
    apps = {name.partition(" ")[0] for name in known}
    last = {name.partition(" ")[0]: n for n, name in enumerate(asked) if name in known}
    of_apps = [(name, name.partition(" ")[0]) for name in left]
    return [name for name, app in of_apps if app in apps and asked.index(name) > last.get(app, -1)]


def _told(settings: "Settings") -> "Reply":
    """What there is, asked once in a command, on however many databases that works."""
    ask(settings)
    session = settings.engine.session
    return _ASKED[session.first].reply(lambda: session.progress("load", 0, 1))
