"""The ``undrop`` command, also as ``python -m undrop``."""

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and run it."""
    # What is loaded is no garbage, and looking for some among it is felt in a short command.
    gc.set_threshold(100_000)
    from undrop.cli import launch

    launch()


if __name__ == "__main__":
    main()
