"""A rehearsal as Markdown, for a comment on a pull request: names and counts, no values.

Names are anybody's text. GitHub's Markdown (https://github.github.com/gfm/) takes a character
reference for the character and for nothing else: no link, no cell's end, no tag; and in a ``code``
element nobody is mentioned.
"""

import re
from typing import TYPE_CHECKING

from undrop.cli import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.losses import Loss, Report

MEANS = re.compile(r"[^\w ,()-]|(?<![^\W_])_|_(?![^\W_])")  # what is not plain, beside letters


def report(title: str, did: str, found: "Report", left: "list[Loss]", beside: int) -> str:
    """What a migration would do: ``did``, in a heading; ``beside``: what it does besides, a count.

    Definitions of a schema hold values, too (``DEFAULT``, ``CHECK``): warnings are counted.
    """
    lines = [*_losses(found, left), "", *_rest(found, beside)]
    return "\n".join([f"### {title}: {_code(did)}", "", *lines])


def _losses(found: "Report", left: "list[Loss]") -> "Iterator[str]":
    if found.losses:
        yield from ("| lost | rows | what | |", "| --- | --- | --- | --- |")
        for loss in found.losses:
            count = f"{loss.lost:,} of {loss.of:,}"
            accepted = "" if loss in left else "accepted"
            yield f"| {_code(loss.name)} | {count} | {_code(loss.what)} | {accepted} |"
        yield ""
    if left:
        yield f"**{len(left)} loss(es) that nobody accepted.**"
    else:
        yield "Every loss is accepted." if found.losses else "Nothing is lost."


def _rest(found: "Report", beside: int) -> "Iterator[str]":
    moved = [each for each in found.tables if each.rows_before != each.rows_after]
    if moved:
        yield from ("| table | rows before | rows after |", "| --- | --- | --- |")
        for each in moved:
            counts = f"{each.rows_before:,} | {each.rows_after:,}"
            yield f"| {_code(each.now or each.name)} | {counts} |"
        yield ""
    yield from (f"- {_code(change)}" for change in found.changes)
    if found.warnings:
        yield f"- {len(found.warnings)} warning(s) about what holds no longer"
    if beside:
        yield f"- {beside} effect(s) outside of the transaction"


def _code(text: str) -> str:
    """A text that is somebody's, as it is."""
    plain = MEANS.sub(lambda char: f"&#{ord(char[0])};", tables.clean(text))
    return f"<code>{plain}</code>"
