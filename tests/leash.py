"""Programs that end with the tests that started them, however those end."""

import shutil


def leashed(*command: str, signal: str = "TERM") -> list[str]:
    """The command, to be sent ``signal`` when whoever starts it has died, SIGKILL included.

    Linux has that, setpriv(1) of util-linux asks for it; elsewhere it is the plain command.
    """
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", signal, *command] if program else [*command]
