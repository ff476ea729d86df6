"""A value as SQL that gives this very value again."""

import math
import re
import sqlite3
from functools import cache

CONTROL = re.compile(r"([\x00-\x08\x0b-\x1f\x7f]{1,100})")
"""What the sqlite3 shell, which reads lines, would change or end at."""


STEP = 20  # 2 to the power of -20 has 14 digits


class Text(bytes):
    """A text, as its bytes: what ``text_factory`` makes, so that it is told from a blob."""

    __slots__ = ()


def literal(value: object) -> str:
    """A value that was read with ``text_factory = Text``."""
    if value is None:
        return "NULL"
    if isinstance(value, Text):
        return _text(value)
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return _real(value) if isinstance(value, float) else str(value)


def _text(raw: bytes) -> str:
    try:
        pieces = CONTROL.split(raw.decode())
    except UnicodeDecodeError:
        return f"CAST(x'{raw.hex()}' AS TEXT)"
    said = [
        f"char({','.join(str(ord(char)) for char in piece)})" if n % 2 else _quoted(piece)
        for n, piece in enumerate(pieces)
        if piece
    ]
    return _joined(said) if said else "''"


def _joined(pieces: list[str]) -> str:
    """One after the other, in a tree that is not deep: SQLite takes 1,000 levels."""
    if len(pieces) == 1:
        return pieces[0]
    half = len(pieces) // 2
    return f"({_joined(pieces[:half])} || {_joined(pieces[half:])})"


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _real(value: float) -> str:
    """With as many digits as SQLite needs to read it back; where it never does, as a product."""
    if math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    texts = [repr(value), *(f"{value:.{digits}e}" for digits in (17, 19))]
    return next((text for text in texts if _read(text) == value), "") or _product(value)


def _product(value: float) -> str:
    """Of a whole number and powers of two, all of which any SQLite reads as they are."""
    part, exponent = math.frexp(value)
    whole, exponent = int(part * 2**53), exponent - 53
    step = STEP if exponent > 0 else -STEP
    count, rest = divmod(exponent, step)
    powers = [repr(2.0**step)] * count
    return f"({' * '.join([str(whole), repr(2.0**rest), *powers])})"


def _read(text: str) -> object:
    return _memory().execute(f"SELECT {text}").fetchone()[0]


@cache
def _memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)
