"""Whether a command that was to migrate a copy has gone to the live database instead."""

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from undrop.errors import ChangedError, DamagedError, UndropError
from undrop.recipes import Action
from undrop.steps import backup, guarded
from undrop.store import log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.settings import Settings
    from undrop.steps.backup import State
    from undrop.store.lock import Lock
    from undrop.values import Definitions

STEP = "run"
"""What the log says that it was: somebody's own command, seen to end."""


@contextmanager
def told(
    lock: "Lock", state: "State", command: str, asked: "Lock | None" = None
) -> "Iterator[None]":
    """Raise ChangedError behind the block if live's schema, or revision, is not what ``state`` has.

    Rows may be its application's. What was done is written down as a step then, with the state
    after, so that undo takes it back. ``asked``: the one that the command is about, where that is
    another.
    """
    name = lock.settings.name if asked and asked is not lock else ""
    try:
        yield
    except BaseException:  # somebody who stops it is told, too
        _look(lock, state, command, name)
        raise
    _look(lock, state, command, name)


def has_moved(lock: "Lock", state: "State") -> bool:
    """Whether anybody has written to the live database since, be it rows; told by what is in it."""
    if not state.snapshot or not state.record or state.snapshot.moved() is not None:
        return guarded.has_moved(lock, state)
    live = lock.settings.engine.look()
    try:
        return live.state(state.path).content != state.record.state
    finally:
        live.close()


def _look(lock: "Lock", state: "State", command: str, name: str) -> None:
    settings = lock.settings
    if state.kind == "damaged" or not _is_changed(settings, state):
        return
    known = log.Known(command=command)
    step = log.begin(settings, STEP, state.name, known)
    lock.session.changed = True
    filled, after = None, log.UNKNOWN
    purpose = backup.Purpose(f"after {command}", "", proved=False, last_step=STEP)
    with suppress(UndropError, OSError), backup.covered(lock, purpose) as present:
        record = present.record  # what is wrong with that, the next step says
        after = log.After(present.name, record.state if record else "")
        filled = record.filled if record else None
    log.end(settings, step, "done", filled, after)
    raise ChangedError(
        f"{settings.called}the schema of the live database itself was changed while `{command}` "
        f"ran on a copy: by it, if it does not go by {_lead(settings)}, or by another program",
        Action("undo").of_database(name),
        "takes that back;",
        Action("init", "--check"),
        "tells whether the command goes where it is led",
    )


def _lead(settings: "Settings") -> str:
    """By what undrop leads a command to a copy."""
    return f"the variable {settings.variable}" if settings.variable else "its words"


def _is_changed(settings: "Settings", state: "State") -> bool:
    engine = settings.engine
    if state.kind == "absent":
        return engine.exists()
    if state.snapshot and state.snapshot.moved() is False:
        return False
    if state.path is None or not engine.exists():
        return True
    try:
        return _present(settings) != engine.definitions(state.path, state.record)
    except DamagedError:
        return True


def _present(settings: "Settings") -> "Definitions":
    live = settings.engine.look()
    try:
        return live.state(None).definitions()
    finally:
        live.close()
