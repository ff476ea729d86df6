"""What somebody wants back from a state, and how."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Wish(NamedTuple):
    """What of one table is wanted back; names are those that theirs has, folded."""

    table: str
    rows: bool = False
    columns: frozenset[str] | None = frozenset()
    """Columns whose values are wanted; None for all."""


class Request(NamedTuple):
    """What is wanted back, and how."""

    wishes: tuple[Wish, ...]
    keys: tuple[str, ...] = ()
    """The values of the keys of the rows it is about, as somebody typed them; empty for all."""
    where: str = ""
    """An expression that is true of them."""
    overwrite: bool = False
    children: bool = False
    """With the rows that point to what comes back and went with it."""
    new_keys: bool = False
    """Rows whose key is another row's in live get a new one."""
    triggers: bool = False
    """All of live's triggers run, also those that do more than keep full text."""
    source: str = ""
    """The name of the backup."""
    into: str = ""
    """The table of their own that rows go into which live's schema has no place for."""
    later: "tuple[Path, ...]" = ()
    """Some newer states: a key that was nobody's in one of them is another row's in live."""
