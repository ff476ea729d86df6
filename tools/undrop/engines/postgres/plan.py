"""In what order the operations of a merge are done, so that the server takes every row.

Foreign keys want parents to come first and to go last; a unique value is free when the row that
had it is gone. Which of the two a merge needs is learnt when it is tried.
"""

from typing import TYPE_CHECKING, NamedTuple

from undrop.engines.postgres.references import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from undrop.engines.postgres.aside import Aside
    from undrop.engines.postgres.operations import Operations


class Part(NamedTuple):
    """Statements that are done together."""

    operations: "Operations | None"
    does: str
    """``put``, ``change`` or ``gone``; empty for what is no row's."""
    statements: "Callable[[str], Iterator[str]]"
    """Of those operations that SQL narrows ``x`` down to; empty for all."""


class Plan:
    """What is done in the transaction, in its order."""

    def __init__(
        self,
        tables: "Sequence[Operations]",
        keys: "Sequence[Key]",
        triggers: "Sequence[Aside]",
        *,
        running: bool = False,
    ) -> None:
        self.tables = {each.name: each for each in tables}
        self._aside = () if running else triggers
        self._running = bool(running and triggers)
        self.keys = [key for key in keys if {key.child, key.parent} <= self.tables.keys()]
        """Those between the tables."""
        self.early = False
        """Rows go before others come, which frees unique values: foreign keys are checked late."""
        self.anew: set[str] = set()
        """Tables whose rows change by going and coming again."""
        self.late: list[Key] = []
        """Keys that the server is told to check when all is done."""
        self.at_once: list[str] = []
        """Constraints, in SQL, that it checks row by row though it need not."""
        self.one_by_one: dict[tuple[str, str], list[int]] = {}
        """Numbers of operations, in the order in which they can be done, by table and kind."""

    @property
    def downwards(self) -> "list[Operations]":
        """Those that others point to first."""
        done: list[str] = []

        def visit(name: str, above: frozenset[str]) -> None:
            if name in done or name in above:
                return
            for key in self.keys:
                if key.child == name:
                    visit(key.parent, above | {name})
            done.append(name)

        for name in self.tables:
            visit(name, frozenset())
        return [self.tables[name] for name in done]

    def _circular(self, name: str) -> bool:
        """Whether a table points to itself, by way of others maybe."""
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            at = waiting.pop()
            for key in self.keys:
                if key.child == at:
                    if key.parent == name:
                        return True
                    if key.parent not in seen:
                        seen.add(key.parent)
                        waiting.append(key.parent)
        return False

    def parts(self) -> "Iterator[Part]":
        """All of it."""
        yield self._said(each.off for each in self._aside)
        # Their functions go by it; ours are the names with a schema alone.
        yield self._said(["SET LOCAL search_path TO DEFAULT"] * self._running)
        yield self._said(
            f"ALTER TABLE {self.tables[key.child].source.name} "
            f"ALTER CONSTRAINT {key.constraint} DEFERRABLE INITIALLY DEFERRED"
            for key in self.late
        )
        yield self._said(["SET CONSTRAINTS ALL DEFERRED"])
        yield self._said(f"SET CONSTRAINTS {name} IMMEDIATE" for name in self.at_once)
        for operations, does in self._order():
            if does not in operations.has or (does == "change" and not operations.changed):
                continue
            anew = does == "change" and operations.name in self.anew
            statements = operations.anew if anew else getattr(operations, does)
            numbers = self.one_by_one.get((operations.name, does))
            if numbers is None:
                yield Part(operations, does, statements)
                continue
            for n in numbers:
                yield Part(operations, does, _narrowed(statements, n))
        yield Part(None, "", lambda _: iter(["SET CONSTRAINTS ALL IMMEDIATE"]))
        yield self._said(
            f"ALTER TABLE {self.tables[key.child].source.name} "
            f"ALTER CONSTRAINT {key.constraint} NOT DEFERRABLE"
            for key in self.late
        )
        yield self._said(["SET LOCAL search_path TO ''"] * self._running)
        yield self._said(each.on for each in self._aside)

    def _order(self) -> "Iterator[tuple[Operations, str]]":
        down = self.downwards
        up = down[::-1]
        if not self.early:
            yield from ((each, "put") for each in down)
            yield from ((each, "change") for each in down)
            yield from ((each, "gone") for each in up)
            return
        circular = [each for each in up if self._circular(each.name)]
        yield from ((each, "change") for each in circular)
        for each in up:
            yield each, "gone"
            if each not in circular:
                yield each, "change"
        yield from ((each, "put") for each in down)

    @staticmethod
    def _said(statements: "Iterator[str] | Sequence[str]") -> Part:
        listed = [*statements]
        return Part(None, "", lambda _: iter(listed))


def _narrowed(
    statements: "Callable[[str], Iterator[str]]", n: int
) -> "Callable[[str], Iterator[str]]":
    return lambda _: statements(f" AND x.n = {n}")
