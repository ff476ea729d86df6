"""Running ``litestream``: its commands' answers."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from undrop.errors import UndropError

UPGRADE = "install litestream 0.5 or later"
ASK = 60.0  # seconds for a question to litestream or to the replica


def ask(program: str, config: Path | None, command: str, *arguments: str) -> Any:  # noqa: ANN401
    """What a litestream command answers as JSON, behind what its log may print before that."""
    out = run(program, config, command, *arguments, seconds=ASK)
    start = re.search(r"^(?:[\[{]$|\[\]$)", out, re.M)  # one of the log's lines goes on
    if not start:
        raise UndropError(f"litestream {command} did not answer in JSON: {out[-200:]}", UPGRADE)
    return json.JSONDecoder().raw_decode(out, start.start())[0]


def run(program: str, config: Path | None, command: str, *arguments: str, seconds: float) -> str:
    """Run a litestream command; its standard output. Raises UndropError with its last words."""
    known = ("-config", str(config)) if config else ()
    try:
        done = subprocess.run(  # noqa: S603 - no shell; secrets stay in the config
            [program, command, *known, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            cwd=config.parent if config else None,
            umask=0o077,
            check=True,
        )
    except subprocess.TimeoutExpired:
        what = f"took over {seconds:.0f} seconds"
    except subprocess.CalledProcessError as error:
        what = f"says: {(error.stderr or error.stdout).strip().rpartition(chr(10))[2]}"
    except OSError as error:
        what = f"cannot be run: {error}"
    else:
        return str(done.stdout)
    raise UndropError(f"litestream {command} {what}", "correct that, then the same again")
