"""The write lock of the live SQLite file, so that nobody commits while a step is prepared."""

import threading
import time
from typing import TYPE_CHECKING

from undrop.sqlitefile import connect
from undrop.values import Hold

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.values import Session


class WriteLock:
    """SQLite's write lock in a connection of its own, from construction until ``end``.

    ``BEGIN IMMEDIATE`` keeps writers out and lets others read on, in WAL mode and in rollback mode
    (sqlite.org/lang_transaction.html, 2.2); rolled back before it has written anything, it leaves
    no mark on the file. A backup into the connection that has it is refused by SQLite, so that it
    has to end just before. A thread lets go when the ``seconds`` are over: the step may be waiting
    for a process of its own then. Raises UndropError.
    """

    def __init__(self, path: "Path", session: "Session", seconds: float) -> None:
        self._connection = connect.connect(path, "rw")
        self._let_go: float | None = None
        self._ended: float | None = None
        try:
            with connect.explained(path, "keeping others from writing", session.patience):
                connect.begin(self._connection, session.patience, "BEGIN IMMEDIATE")
            self._taken = time.monotonic()
            self._timer = threading.Timer(seconds, self._release)
            self._timer.daemon = True
            self._timer.start()
        except BaseException:
            self._connection.close()
            raise

    def _release(self) -> None:
        self._let_go = time.monotonic()
        self._connection.execute("ROLLBACK")

    def end(self) -> None:
        """Let others write, if they are not let already."""
        self._timer.cancel()
        self._timer.join()
        self._ended = self._ended or time.monotonic()
        if self._let_go is None:
            self._release()

    def close(self) -> None:
        """End it and close its connection, which must not be the last one (that checkpoints)."""
        try:
            self.end()
        finally:
            self._connection.close()

    @property
    def hold(self) -> Hold:
        """How long others' writes have had to wait, and would have had to."""
        now = time.monotonic()
        return Hold((self._let_go or now) - self._taken, (self._ended or now) - self._taken)
