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
WITHIN = ": "
"""Begins what is said of a block between other lines, which has no line before it."""


def add(text: str | None, body: str, comment: tuple[str, str] = HASH) -> str:
    """``text`` with a block at its end; None for a file that is not there yet."""
    newline = _newline(text or "")
    glue = bool(text) and not (text or "").endswith("\n")
    kind = OWN if text is None else GLUED if glue else ""
    gap = "" if text is None else newline * (2 if glue else 1)
    return (text or "") + gap + _block(body, kind, comment, newline)


def insert(text: str, at: int, body: str, what: str) -> str:
    """``text`` with a block before the line that begins at character ``at``; it says ``what``."""
    return text[:at] + _block(body, WITHIN + what, HASH, _newline(text)) + text[at:]


def replaced(text: str, older: str, newer: str) -> str:
    """``text`` with another body in its block, where the one that it has is ``older``."""
    newline = _newline(text)
    older, newer = (f"{newline.join(body.splitlines())}{newline}" for body in (older, newer))
    return text.replace(older, newer, 1)


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
    count = 2 if kind == GLUED else 1
    if kind == OWN or kind.startswith(WITHIN):
        count = 0
    gap = block["gap"].removesuffix(newline * count)
    left = text[: block.start()] + gap + text[block.end() :]
    return None if kind == OWN and not left else left


def _block(body: str, kind: str, comment: tuple[str, str], newline: str) -> str:
    before, after = comment
    lines = [
        f"{before}{BEGIN}{kind}{after}",
        *body.rstrip("\n").split("\n"),
        f"{before}{END}{after}",
    ]
    return newline.join(lines) + newline


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
