"""What our scripts have that the project's own Python runs, which may have no undrop.

The modules of ours that they need are loaded by their paths: each needs the standard library,
Alembic or SQLAlchemy alone.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def ours(name: str) -> Any:  # noqa: ANN401 - a module
    """A module of ours, by its path below ``undrop``."""
    file = Path(__file__).resolve().parents[1] / name
    spec = importlib.util.spec_from_file_location(f"undrop_{file.stem}", file)
    assert spec and spec.loader  # noqa: S101, PT018 - it lies there
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def migrated(connection: Any, url: Any) -> str:  # noqa: ANN401 - what ``configure`` takes
    """The URL of the database that Alembic is configured with; empty where it is told none.

    A text as it is: it may be no URL.
    """
    known = url if connection is None else getattr(connection, "engine", connection).url
    text = getattr(known, "render_as_string", None)
    return str(text(hide_password=False) if text else known or "")


def main(answer: Callable[[Any], object]) -> None:
    """Answer on stdout, in JSON, the question in the first argument; others' prints go to stderr.

    Ends the process.
    """
    out = os.dup(1)
    os.dup2(2, 1)
    sys.dont_write_bytecode = True  # it is only looked at
    sys.path[0] = os.getcwd()  # noqa: PTH109 - where alembic looks for modules, too
    told = answer(json.loads(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(out, json.dumps(told).encode())
    os._exit(0)
