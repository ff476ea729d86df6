"""What two clients of a server's database, a reader and a writer, feel while something is done."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from server import Server


class Watch:
    """A clock for steps that change the database ``name``, with the two clients at work."""

    def __init__(self, server: Server, name: str, table: str) -> None:
        self._server, self._name = server, name
        # They take the locks of a reader and a writer, and neither reads nor writes anything.
        self._read = f"SELECT FROM {table} WHERE false"
        self._write = f"DELETE FROM {table} WHERE false"
        self._found: dict[str, list[tuple[float, float, float]]] = {}

    def clocked(
        self, name: str, before: Callable[[], None], step: Callable[[], float]
    ) -> Callable[[], float]:
        """Seconds that ``step`` takes; it tells for how long it locked others out, or 0."""

        def run() -> float:
            before()
            self._server.sql("CHECKPOINT")
            with self._client(self._read) as reads, self._client(self._write) as writes:
                began = time.perf_counter()
                locked = step()
                took = time.perf_counter() - began
            self._found.setdefault(name, []).append((locked, max(reads), max(writes)))
            return took

        return run

    def waits(self) -> dict[str, float]:
        """Medians of what each step said, and of the longest that each client waited in it."""
        parts = ("locked, it says", "a reader waits", "a writer waits")
        return {
            f"{name}: {part}": statistics.median(values)
            for name, found in self._found.items()
            for part, values in zip(parts, zip(*found, strict=True), strict=True)
            if any(values)
        }

    @contextmanager
    def _client(self, statement: str) -> Iterator[list[float]]:
        """A client that asks all the time, and comes back when it is cut off; its waits."""
        waits: list[float] = []
        over = threading.Event()
        connection = self._server.connect(self._name)

        def ask() -> None:
            nonlocal connection
            while not over.is_set():
                began = time.perf_counter()
                while True:
                    try:
                        if connection.closed:
                            connection = self._server.connect(self._name)
                        connection.execute(statement)
                        break
                    except psycopg.Error:
                        time.sleep(0.001)
                waits.append(time.perf_counter() - began)
                time.sleep(0.02)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        try:
            yield waits
        finally:
            over.set()
            thread.join(10)  # it has no end when the database is gone
            connection.close()
