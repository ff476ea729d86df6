"""A dump as pg_restore writes it in SQL: taken apart into statements, as psql would.

A function's body may hold any line that a script has, so what is left out or said otherwise is
chosen statement by statement, never line by line.
"""

import re
from typing import TYPE_CHECKING, Any

from undrop.engines.postgres import programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = re.compile(
    rb"""(?P<noise>--[^\n]*\n?|^\\[^\n]*\n?)
    |[eE]'(?:[^'\\]|\\.)*'|'[^']*'|"[^"]*"      # a doubled quote is two texts side by side
    |\$(?P<tag>(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?)\$.*?\$(?P=tag)\$
    |(?P<end>;)""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
OTHER_STRINGS = re.compile(TOKEN.pattern.replace(b"[eE]'", b"'", 1), TOKEN.flags)
"""Where standard_conforming_strings was off, a backslash counts in every text."""
QUOTED = re.compile(rb"'[^']*'|\"[^\"]*\"")
SKIPPED = (b"SET transaction_timeout ", b"SET row_security = off;")
"""Not every server knows the one. With the other, a materialized view over somebody else's view of
a table with policies cannot be filled, and pg_restore fails."""
EXTENSION = re.compile(rb'CREATE EXTENSION IF NOT EXISTS (\S+|"[^;]*") WITH SCHEMA ([^;]*);')
DATABASE = re.compile(rb"CREATE DATABASE .* WITH TEMPLATE = template0 ([^;]*);", re.DOTALL)


def statements(text: bytes) -> "Iterator[bytes]":
    """The statements in a script, without comments and psql's own commands.

    A body in standard SQL (``BEGIN ATOMIC``) comes in several pieces: they make it when joined.
    """
    token = OTHER_STRINGS if b"standard_conforming_strings = off" in text[:4000] else TOKEN
    parts: list[bytes] = []
    done = 0
    for match in token.finditer(text):
        if match["noise"] is not None:
            parts.append(text[done : match.start()])
            done = match.end()
        elif match["end"] is not None:
            parts.append(text[done : match.end()])
            done = match.end()
            yield b"".join(parts).strip()
            parts.clear()


class Section:
    """One section of a dump without rows."""

    def __init__(self, dump: "Path", section: str, *options: str) -> None:
        with programs.script(dump, f"--section={section}", *options) as process:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            parts = list(statements(process.stdout.read()))
        self.comments = [part for part in parts if part.startswith(b"COMMENT ON EXTENSION ")]
        """Only an extension's owner may say these."""
        self.extensions = {
            (match[1].decode(), match[2].decode())
            for part in parts
            if (match := EXTENSION.fullmatch(part))
        }
        """Their names and schemas, in SQL."""
        self.text = b"\n".join(
            # A schema that an extension lives in has stayed.
            part.replace(b"CREATE SCHEMA ", b"CREATE SCHEMA IF NOT EXISTS ", 1)
            if part.startswith(b"CREATE SCHEMA ")
            else part
            for part in parts
            if not part.startswith((*SKIPPED, b"COMMENT ON EXTENSION "))
        )


def birth(dump: "Path") -> bytes:
    """Encoding and locale of the dumped database, as CREATE DATABASE takes them; may be empty."""
    with programs.script(dump, "--create", "--section=pre-data", early=True) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        head = process.stdout.read(16_384)
    for each in statements(head):
        if match := DATABASE.fullmatch(each):
            return match[1]
    match = re.search(rb"^SET client_encoding = ('\w+');$", head, re.MULTILINE)
    return b"ENCODING = " + match[1] if match else b""


def data(script: Any) -> "Iterator[bytes]":  # noqa: ANN401 - a buffered reader
    """The statements of the section with the rows; after a COPY, ``script`` stands at its rows."""
    whole = b""
    for line in script:
        if not whole and (not line.strip() or line.startswith((b"--", b"\\"))):
            continue
        whole += line
        if line.endswith(b";\n") and not re.search(rb"['\"]", QUOTED.sub(b"", whole)):
            # The words around large objects: we are in a transaction.
            if whole not in {b"BEGIN;\n", b"COMMIT;\n"} and not whole.startswith(SKIPPED):
                yield whole
            whole = b""
