"""The three states of a merge: dumps that are restored, compared, and attached to each other."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from undrop.compare import standing
from undrop.compare.merge import Sides
from undrop.compare.structure import fold
from undrop.engines.postgres import compare, programs, session
from undrop.engines.postgres.side import Side
from undrop.engines.postgres.structure import LARGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from undrop.compare.structure import Table
    from undrop.engines.postgres.site import Site
    from undrop.sqlitefile.connect import Connection


TABLE = re.compile(r"^\d+; 1259 (\d+) TABLE (.*)$", re.MULTILINE)
"""With schema, name and owner, which are not told apart by anything but blanks."""
NAMES = (
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), "
    "translate(n.nspname || ' ' || c.relname, E'\\n\\r', '  ') FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')"
)


class States:
    """Each of them in a scratch database, and its rows, as far as they matter, in a SQLite file."""

    def __init__(
        self, site: "Site", paths: "dict[str, Path | None]", folder: Path, stack: "ExitStack"
    ) -> None:
        self._progress, self._folder = site.session.progress, folder
        self.sides: dict[str, Side] = {}
        """By what they are: ``ours``, ``theirs``, and maybe ``base``."""
        there: dict[Path, Side] = {}
        for name, path in paths.items():
            if path is None:
                continue
            if path not in there:
                address = stack.enter_context(site.restored(path))
                opened = stack.enter_context(session.opened(address, "merging"))
                there[path] = Side(opened, rooted=False, version_table="")
                # They are known by a digest of their bytes, of which no others can be made.
                there[path].structure.tables.pop(LARGE, None)
            self.sides[name] = there[path]
        _root({side: path for path, side in there.items()})
        self.ours, self.theirs = self.sides["ours"], self.sides["theirs"]
        self.base = self.sides.get("base")
        """None where ours is the base."""

    def sides_of(self, side: Side) -> list[Side]:
        """The others."""
        return [other for other in {*self.sides.values()} if other is not side]

    def compared(self, stack: "ExitStack", *, ours_first: bool) -> Sides:
        """They, attached to a connection that may write down what is to be done.

        ``ours_first``: ours is older than the base.
        """
        ours, theirs, base = self.ours, self.theirs, self.base
        same = compare.kept(theirs, ours) if base is None else _unchanged(base, theirs)
        files = {name: self._folder / f"{name}.db" for name in self.sides}
        for name, side in self.sides.items():
            self.write(side, files[name], same)
        attached = standing.attached(files, self._folder / "rows.db")
        connection = stack.enter_context(attached)
        if base is None:
            before, after = (theirs, files["theirs"]), (ours, files["ours"])
            lacking = compare.written(before, after, same, self._progress)
            where, fetch = self._where(connection), self._fetch(connection, same)
            return Sides(connection, None, lacking, where=where, fetch=fetch)
        one, mine = (base, files["base"]), (ours, files["ours"])
        older, newer = (mine, one) if ours_first else (one, mine)
        to_ours = compare.written(older, newer, (), self._progress)
        to_theirs = compare.written(one, (theirs, files["theirs"]), same, self._progress)
        return Sides(connection, to_ours, to_theirs, ours_first=ours_first)

    def _where(self, connection: "Connection") -> "Callable[[Table, str], str]":
        """How the server is asked of which rows of theirs an expression is true."""

        def where(table: "Table", expression: str) -> str:
            others = self.sides_of(self.theirs)
            rows = self.theirs.rows_where(fold(table.name), expression, others)
            return standing.among(connection, table, rows)

        return where

    def _fetch(self, connection: "Connection", same: set[str]) -> "Callable[[str], None]":
        """How rows are had that were left out, since every value is where it was."""

        def fetch(name: str) -> None:
            if name not in same:
                return
            same.remove(name)
            rows = self.theirs.rows(name, self.sides_of(self.theirs))
            table = self.theirs.structure.tables[name]
            for schema in ("main", "theirs"):
                standing.insert(connection, schema, table, rows)

        return fetch

    def write(self, side: Side, path: Path, without: set[str]) -> None:
        """Write a side into a file, but for the rows of some tables."""
        side.write(path, without, self.sides_of(side), self._progress, exact=True)


def _root(dumps: "dict[Side, Path]") -> None:
    """Have tables be known by their OIDs in the database that was dumped: a renamed one keeps it.

    That says something where it is one and the same database: then most tables of a name have one.
    """
    roots = {side: _oids(side, path) for side, path in dumps.items()}
    [first, *others] = roots.values()
    for other in others:
        both = first.keys() & other.keys()
        if 2 * sum(first[name] == other[name] for name in both) <= len(both):
            return
    for side, oids in roots.items():
        tables = side.structure.tables
        tables.update({name: tables[name]._replace(root=oid) for name, oid in oids.items()})


def _oids(side: Side, path: Path) -> dict[str, int]:
    """What the dump's list of contents says, by folded name."""
    listed = {name: int(oid) for oid, name in TABLE.findall(programs.read_list(path))}
    oids = {}
    plain = dict(side.ask(NAMES))
    for name in side.structure.tables:
        begins = f"{plain[side.sources[name].name]} "
        said = [oid for line, oid in listed.items() if line.startswith(begins)]
        if len(said) == 1:
            oids[name] = said[0]
    return oids


def _unchanged(base: Side, theirs: Side) -> set[str]:
    """Tables with the very same rows: there is nothing to be done to ours."""
    return {
        name
        for name, source in base.sources.items()
        if name in theirs.sources
        and [*source.kinds.items()] == [*theirs.sources[name].kinds.items()]
        and base.sums[name] == theirs.sums[name]
    }
