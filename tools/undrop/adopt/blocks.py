"""A block of lines of ours in somebody's text file, put in and taken out without a trace.

In pyproject.toml too: tomlkit, which keeps the rest of a file as it is, leaves the blank line
that it put before a table when the table goes, and the line end that a last line did not have.
"""

import re

BEGIN, END = ">>> undrop", "<<< undrop"
HASH = ("# ", "")
MARKDOWN = ("<!-- ", " -->")
OWN = ", whose file this is"
"""Marks a file that had to be made: without the block it goes."""
GLUED = ", with the line's end before it"
"""Marks a file whose last line had none."""


def add(text: str | None, body: str, comment: tuple[str, str] = HASH) -> str:
    """``text`` with a block at its end; None for a file that is not there yet."""
    before, after = comment
    newline = "\r\n" if text and "\r\n" in text else "\n"
    glue = bool(text) and not (text or "").endswith("\n")
    kind = OWN if text is None else GLUED if glue else ""
    lines = [
        f"{before}{BEGIN}{kind}{after}",
        *body.rstrip("\n").split("\n"),
        f"{before}{END}{after}",
    ]
    gap = "" if text is None else newline * (2 if glue else 1)
    return (text or "") + gap + newline.join(lines) + newline


def has(text: str | None) -> bool:
    """Whether a block is in it."""
    return text is not None and BEGIN in text


def remove(text: str) -> str | None:
    """What the text was before; None when the file was ours alone."""
    block = re.search(
        rf"(?P<gap>(?:\r?\n)*)^[^\n]*{BEGIN}(?P<kind>[^\r\n]*?)(?: -->)?"
        rf"(?P<newline>\r?\n).*?{END}[^\n]*\n?",
        text,
        re.DOTALL | re.MULTILINE,
    )
    if block is None:
        return text
    kind, newline = block["kind"], block["newline"]
    count = 0 if kind == OWN else 2 if kind == GLUED else 1
    gap = block["gap"].removesuffix(newline * count)
    left = text[: block.start()] + gap + text[block.end() :]
    return None if kind == OWN and not left else left
