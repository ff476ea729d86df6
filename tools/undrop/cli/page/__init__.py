"""The page of ``history --html``: one file that needs nothing else, not even a network.

Names, rows, reasons and commands are anybody's. Each expression of the template has its signs
that show nothing taken out and is escaped, by default; and what a browser may run or fetch is
said by digest (Content Security Policy): our own script and style, nothing else.
"""

import base64
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mako.template import Template

from undrop import durable, record
from undrop.cli.page import curves
from undrop.cli.page.entries import Teller
from undrop.errors import UsageError
from undrop.recipes import Action, Prompt
from undrop.store import catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undrop.settings import Settings
    from undrop.steps.history import Change, History

HERE = Path(__file__).parent
START = "<!doctype html>\n<!-- made by: undrop history --html -->\n"
"""By which a file is known to be such a page."""


def made(
    settings: "Settings", history: "History", changes: "Mapping[int, Change]", *, values: bool
) -> str:
    """The page, in ASCII; without ``values`` nothing in it is from a row or was typed."""
    prompt = Prompt(settings.root, settings.root, database=settings.told)
    names = {state.moment.name for state in history.states} | {*history.left_out}
    shown = {name: name for name in names} if values else _without_reasons(settings, names)
    teller = Teller(prompt, shown, values=values, is_there=history.is_there)
    states = history.states
    entries = [
        teller.entry(at + 1, states, changes.get(at)) for at in range(len(states) - 1, -1, -1)
    ]
    style, script = ((HERE / name).read_text("ascii") for name in ("page.css", "page.js"))
    template = Template(  # noqa: S702 - escaped by default
        filename=str(HERE / "page.html.mako"),
        default_filters=["str", "shown", "h"],
        imports=["from undrop.cli.page.entries import MINUS, shown"],
        strict_undefined=True,
    )
    text: str = template.render(
        database=settings.source,
        project=settings.root.name,
        now=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        entries=entries,
        curves=curves.of(states) if len(states) > 1 else [],
        drawn=entries[: curves.STATES][::-1],
        wide=curves.WIDE,
        high=curves.HIGH,
        values=values,
        compared=settings.engine.light,
        no_live=teller.told(history.no_live),
        left_out=[
            f"{teller.name(name) or 'a backup'} cannot be put back: {teller.told(why)}"
            for name, why in history.left_out.items()
        ],
        style=style,
        script=script,
        style_digest=_digest(style),
        script_digest=_digest(script),
    )
    return START + text.encode("ascii", "xmlcharrefreplace").decode()


def _digest(text: str) -> str:
    """As a Content Security Policy names what it allows (w3.org/TR/CSP3, 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _without_reasons(settings: "Settings", names: "set[str]") -> dict[str, str]:
    """Backups' names, less what stands behind the time; ``restore`` takes that where it is one's.

    The rest of a name is of a reason that somebody typed.
    """
    every = [backup.path.name for backup in catalog.backups(settings)]
    short = {name: record.NAMED.sub(r"\1", name) for name in names}
    return {
        name: part
        for name, part in short.items()
        if part != name and sum(part in other for other in every) == 1
    }


def write(settings: "Settings", path: Path, text: str) -> None:
    """Write a page, for its owner's eyes alone; another one of ours is replaced.

    Raises UsageError where something else is there, or it is among the backups, OSError.
    """
    again = Action("history", "--html", f"{path.stem}-2.html")
    if catalog.is_inside(settings, path):
        raise UsageError(f"{path.parent} is for backups alone", again)
    there = os.path.lexists(path)
    if there and not _is_ours(path):
        raise UsageError(f"{path} is there, and is no page of undrop's: it stays", again)
    if not there:
        durable.write_new(path, text.encode(), 0o600)  # raises where something came meanwhile
        return
    with durable.scratch(path.with_name(f".{path.name}.{os.getpid()}.partial")) as work:
        work.write_text(text, "ascii")
        durable.sync_path(work)
        work.replace(path)


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(START)) == START.encode()
