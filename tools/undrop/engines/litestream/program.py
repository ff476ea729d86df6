"""Running ``litestream``: its commands' answers."""

import json
import math
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from undrop.errors import SlowError, UndropError
from undrop.recipes import Action

UPGRADE = "install litestream 0.5 or later"
ASK = 60.0  # seconds for a question to litestream or to the replica


def ask(
    program: str, config: Path | None, command: str, *arguments: str, until: float = math.inf
) -> Any:  # noqa: ANN401 - JSON
    """What a litestream command answers as JSON, behind what its log may print before that.

    ``until``: when an answer is of no use any more, by ``time.monotonic``. Raises as ``run`` does.
    """
    out = run(program, config, command, *arguments, seconds=ASK, until=until)
    start = re.search(r"^(?:[\[{]$|\[\]$)", out, re.M)  # one of the log's lines goes on
    if not start:
        raise UndropError(f"litestream {command} did not answer in JSON: {out[-200:]}", UPGRADE)
    return json.JSONDecoder().raw_decode(out, start.start())[0]


def run(
    program: str,
    config: Path | None,
    command: str,
    *arguments: str,
    seconds: float,
    until: float = math.inf,
) -> str:
    """Run a litestream command; its standard output.

    Raises SlowError when it is not over by ``until``, UndropError with its last words, or when it
    takes longer than ``seconds``.
    """
    known = ("-config", str(config)) if config else ()
    left = left_until(until)
    try:
        done = subprocess.run(  # noqa: S603 - no shell; secrets stay in the config
            [program, command, *known, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=min(seconds, left),
            cwd=config.parent if config else None,
            umask=0o077,
            check=True,
        )
    except subprocess.TimeoutExpired:
        left_until(until)
        what = f"took over {seconds:.0f} seconds"
    except subprocess.CalledProcessError as error:
        what = f"says: {(error.stderr or error.stdout).strip().rpartition(chr(10))[2]}"
    except OSError as error:
        what = f"cannot be run: {error}"
    else:
        return str(done.stdout)
    raise UndropError(f"litestream {command} {what}", "correct that, then the same again")


def left_until(until: float) -> float:
    """Seconds that are left. Raises SlowError when none are."""
    if (left := until - time.monotonic()) > 0:
        return left
    raise SlowError(
        "litestream and the replica did not answer in time", Action("verify", "--litestream")
    )
