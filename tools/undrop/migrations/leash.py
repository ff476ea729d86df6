"""Somebody's command, which ends when undrop does, however that ends: ``leash PIPE WORD…``."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import NoReturn

NOT_FOUND, NOT_ALLOWED = 127, 126
"""Exit codes of a command that could not be started, as a shell has them."""


def _end_with_parent(pipe: int, ending: threading.Event) -> None:
    """End the command, and all that it has started, when undrop's end of the pipe is closed."""
    os.read(pipe, 1)
    ending.set()
    import psutil  # only this has need of it

    with suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                process.kill()
    os._exit(1)


def main() -> NoReturn:
    """Run the command to its end: its exit code, 128 and the signal's number where one ended it."""
    pipe, words = int(sys.argv[1]), sys.argv[2:]
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends the command one as well
    try:
        command = subprocess.Popen(words)  # noqa: S603 - the user's
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_ALLOWED)
    ending = threading.Event()
    threading.Thread(target=_end_with_parent, args=(pipe, ending), daemon=True).start()
    code = command.wait()
    if ending.is_set():  # the other thread is at it still
        threading.Event().wait()
    os._exit(128 - code if code < 0 else code)


if __name__ == "__main__":
    main()
