"""The ``undrop`` command, also as ``python -m undrop``."""

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and run it."""
    gc.disable()  # what is being loaded is no garbage, and looking for some is felt
    from undrop.cli import launch

    gc.enable()
    launch()


if __name__ == "__main__":
    main()
