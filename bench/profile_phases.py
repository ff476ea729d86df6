"""Run one ``undrop`` command with a clock on its phases; print them as JSON, in seconds.

``python profile_phases.py STARTED_AT COMMAND…``, where STARTED_AT is the caller's ``time.time()``.
A phase that runs inside another is counted for itself and taken off the outer one; what runs
beside (the digest beside ``quick_check``) is counted in both.
"""

import contextlib
import functools
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

PHASES: dict[str, float] = {}
OPEN = threading.local()


def timed(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def clocked(*arguments: Any, **named: Any) -> Any:
        stack = OPEN.__dict__.setdefault("stack", [])
        stack.append(0.0)
        began = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            took = time.perf_counter() - began
            inner = stack.pop()
            PHASES[phase] = PHASES.get(phase, 0.0) + took - inner
            if stack:
                stack[-1] += took

    return clocked


def main() -> None:
    started = float(sys.argv[1])
    sys.argv = ["undrop", *sys.argv[2:]]
    from undrop import cli, digest, durable
    from undrop.engines.sqlite import snapshot
    from undrop.sqlitefile import check
    from undrop.steps import backup
    from undrop.store import catalog

    PHASES["start-up"] = time.time() - started
    snapshot.Snapshot.__init__ = timed("snapshot", snapshot.Snapshot.__init__)  # type: ignore[method-assign]
    snapshot.Snapshot.copy_to = timed("copy", snapshot.Snapshot.copy_to)  # type: ignore[method-assign]
    durable.sync_path = timed("fsync", durable.sync_path)
    durable.sync = timed("fsync", durable.sync)
    check.quick_check = timed("check", check.quick_check)
    digest.of = timed("digest", digest.of)
    catalog.publish = timed("publish", catalog.publish)
    if sys.argv[1] != "backup":
        from undrop.compare import losses
        from undrop.engines.sqlite import swap
        from undrop.migrations import runner

        losses.report = timed("compare", losses.report)
        swap.swap = timed("replace", swap.swap)
        runner.Alembic.run = timed("alembic", runner.Alembic.run)  # type: ignore[method-assign]
        backup.covered = _cover(backup.covered)
        backup.after = _whole("state after", backup.after)
    began = time.perf_counter()
    code = cli.main()
    PHASES["all"] = PHASES["start-up"] + time.perf_counter() - began
    print(json.dumps(PHASES))
    sys.exit(code)


def _whole(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The time that it takes, whatever phases it has, as one more entry."""

    def clocked(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            PHASES[phase] = PHASES.get(phase, 0) + time.perf_counter() - began

    return clocked


def _cover(covered: Callable[..., Any]) -> Callable[..., Any]:
    """The time until the present state is covered, whatever phases it has, as one more entry."""

    @contextlib.contextmanager
    def clocked(*arguments: Any) -> Any:
        began = time.perf_counter()
        with covered(*arguments) as state:
            PHASES["safety backup"] = PHASES.get("safety backup", 0) + time.perf_counter() - began
            yield state

    return clocked


if __name__ == "__main__":
    main()
