"""The three states of a merge: dumps that are restored, compared, and attached to each other."""

from pathlib import Path
from typing import TYPE_CHECKING

from undrop.compare.merge import Sides
from undrop.engines.postgres import compare, session
from undrop.engines.postgres.side import Side
from undrop.engines.postgres.structure import LARGE
from undrop.sqlitefile import connect

if TYPE_CHECKING:
    from contextlib import ExitStack

    from undrop.engines.postgres.site import Site


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
                there[path] = Side(opened, rooted=False, versions=True)
                # They are known by a digest of their bytes, of which no others can be made.
                there[path].structure.tables.pop(LARGE, None)
            self.sides[name] = there[path]
        self.ours, self.theirs = self.sides["ours"], self.sides["theirs"]
        self.base = self.sides.get("base")
        """None where ours is the base."""

    def sides_of(self, side: Side) -> list[Side]:
        """The others."""
        return [other for other in {*self.sides.values()} if other is not side]

    def compared(self, stack: "ExitStack") -> Sides:
        """They, attached to a connection that may write down what is to be done."""
        ours, theirs, base = self.ours, self.theirs, self.base
        same = compare.kept(theirs, ours) if base is None else _unchanged(base, theirs)
        files = {name: self._folder / f"{name}.db" for name in self.sides}
        for name, side in self.sides.items():
            self.write(side, files[name], same)
        connection = _attached(files, self._folder / "rows.db", stack)
        if base is None:
            before, after = (theirs, files["theirs"]), (ours, files["ours"])
            return Sides(connection, None, compare.written(before, after, same, self._progress))
        one = (base, files["base"])
        to_ours = compare.written(one, (ours, files["ours"]), (), self._progress)
        to_theirs = compare.written(one, (theirs, files["theirs"]), same, self._progress)
        return Sides(connection, to_ours, to_theirs)

    def write(self, side: Side, path: Path, without: set[str]) -> None:
        """Write a side into a file, but for the rows of some tables."""
        side.write(path, without, self.sides_of(side), self._progress, exact=True)


def _unchanged(base: Side, theirs: Side) -> set[str]:
    """Tables with the very same rows: there is nothing to be done to ours."""
    return {
        name
        for name, source in base.sources.items()
        if name in theirs.sources
        and [*source.kinds.items()] == [*theirs.sources[name].kinds.items()]
        and base.sums[name] == theirs.sums[name]
    }


def _attached(files: dict[str, Path], operations: Path, stack: "ExitStack") -> connect.Connection:
    """Ours as ``main``, the others by name, and an empty file as ``ops``."""
    operations.touch(0o600)
    connection = connect.connect(files["ours"], "immutable")
    stack.callback(connection.close)
    connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
    for name, path in files.items():
        if name != "ours":
            # No quotation mark is in a URI.
            connection.execute(f"ATTACH '{connect.uri(path, 'immutable')}' AS {name}")
    connection.execute(f"ATTACH '{connect.uri(operations, 'rw')}' AS ops")
    connection.execute("PRAGMA ops.journal_mode = OFF")
    connection.execute("PRAGMA ops.synchronous = OFF")
    return connection
