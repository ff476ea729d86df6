"""Litestream's daemon: does one replicate this database, and where has it got to."""

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from undrop.engines.litestream import config, program
from undrop.errors import SlowError, UndropError

if TYPE_CHECKING:
    from undrop.engines.litestream.config import Replicated

SOCKET = "/var/run/litestream.sock"  # the daemon's, unless its config says another
ANSWER = 5  # seconds for a running daemon to say that it is there
CATCH_UP = 30  # seconds for a running daemon to bring the replica up to date


def is_running(replica: "Replicated") -> bool:
    """Whether a daemon replicates this database now, as far as this user can see."""
    return bool(replica.program and socket(replica)) or age(replica) is not None


def age(replica: "Replicated") -> float | None:
    """Seconds for which a daemon has run that this user can see; None where there is none."""
    live, file = os.path.realpath(replica.live), os.path.realpath(replica.config)
    for process in psutil.process_iter(["name"]):
        if not (process.info["name"] or "").startswith("litestream"):
            continue
        try:
            arguments = process.cmdline()[1:]
            if arguments[:1] != ["replicate"]:
                continue
            named = [argument.split("=")[-1] for argument in arguments]
            if not any(argument.lstrip("-").startswith("config") for argument in arguments):
                named.append(str(config.SYSTEM))
            named += [file.path for file in process.open_files()]
            if {live, file} & {os.path.realpath(Path(process.cwd(), name)) for name in named}:
                return time.time() - process.create_time()
        except psutil.AccessDenied:
            return math.inf  # somebody else's daemon, whose files are not for us to see
        except psutil.Error:
            continue
    return None


def socket(replica: "Replicated") -> str:
    """The socket of the daemon that replicates this database and answers now, or nothing.

    Where its config cannot be read the usual one is tried: that costs the quick way, not the
    certainty. Raises SlowError.
    """
    said = config.read(replica.config).get("socket")
    path = said.get("path") if isinstance(said, dict) else None
    name = str(replica.config.parent / str(path or SOCKET))
    try:
        ask = ("-json", "-timeout", str(ANSWER), "-socket", name)
        answer = program.ask(replica.program, None, "list", *ask, until=replica.until)
    except SlowError:
        raise
    except UndropError:
        return ""
    running = [known["path"] for known in answer["databases"] if known["status"] == "replicating"]
    return name if replica.name in running else ""


def synced(replica: "Replicated", socket: str) -> int:
    """Have the daemon bring the replica up to date; the transaction that it then is at.

    Raises SlowError, UndropError.
    """
    wait = ("-wait", "-timeout", str(CATCH_UP), "-socket", socket, "-json", replica.name)
    answer = program.ask(replica.program, None, "sync", *wait, until=replica.until)
    return int(answer["txid"])


def local(replica: "Replicated") -> int:
    """The last transaction that litestream saw, by its folder beside the database."""
    answer = program.ask(replica.program, replica.config, "status", "-json", until=replica.until)
    for known in answer:
        if known["database"] == replica.name and known["local_txid"] != "-":
            return int(known["local_txid"], 16)
    return 0
