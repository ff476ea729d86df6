"""The ``undrop`` command, also as ``python -m undrop``."""

import gc
import signal
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and run it."""
    # What is loaded is no garbage, nor is what a command makes and keeps to its end: looking for
    # cycles in it at each 700 objects takes as long as making it
    # (docs.python.org/3/library/gc.html#gc.set_threshold).
    gc.set_threshold(1_000_000)
    # Ctrl-C ends what has done nothing yet; Python would print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from undrop.cli import launch

    launch()


if __name__ == "__main__":
    main()
