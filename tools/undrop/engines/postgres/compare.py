"""Compare two databases: the tables that differ are copied into SQLite files, and those compared.

Two databases of a server cannot be joined, and SQLite's comparison is there: one judgement of what
a loss is, whatever the engine.
"""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from undrop.compare import files
from undrop.compare import readable as readables
from undrop.compare.comparison import Counter, renames
from undrop.engines.postgres import sequences, session
from undrop.engines.postgres.side import UTC, Side

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import psycopg

    from undrop.compare.comparison import Comparison, Reading
    from undrop.compare.readable import Readable
    from undrop.engines.postgres.address import Address
    from undrop.values import Progress


def databases(  # noqa: PLR0913 - what is compared, and who wants to know
    table_before: "Address",
    table_after: "Address",
    progress: "Progress",
    prefix: str,
    *,
    copied: bool,
    also: "Reading | None" = None,
) -> "Comparison":
    """Compare two databases that nobody writes; ``copied``: one was made as a copy of the other.

    ``also`` is given the SQLite files that stand for them, without the rows of tables that are the
    same.

    Raises UndropError.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix=prefix)))
        addresses = (table_before, table_after)
        opened = [stack.enter_context(session.opened(each, "comparing")) for each in addresses]
        asks = [session.asker(connection) for connection in opened]
        sides = [
            Side(
                connection,
                rooted=copied,
                version_table=address.version_table,
                beside=there,
            )
            for connection, address, there in zip(opened, addresses, asks[::-1], strict=True)
        ]
        return sided(sides[0], sides[1], folder, progress, also)


def sided(
    old: Side, new: Side, folder: Path, progress: "Progress", also: "Reading | None" = None
) -> "Comparison":
    """The same of two sides, with a folder for the files."""
    sides = [old, new]
    same = kept(old, new)
    for number, side in enumerate(sides):
        exact = also is not None and also.exact
        others = [] if exact else [sides[1 - number]]
        # A migration converts in the zone of its own session.
        zone = UTC if exact else new.zone
        side.write(folder / f"{number}.db", same, others, progress, exact=exact, zone=zone)
    return written((old, folder / "0.db"), (new, folder / "1.db"), same, progress, also)


def written(
    before: tuple[Side, Path],
    after: tuple[Side, Path],
    same: "Collection[str]",
    progress: "Progress",
    also: "Reading | None" = None,
) -> "Comparison":
    """Compare two sides and the files that they were written into, but for rows of ``same``."""
    known = (before[0].structure, after[0].structure)
    comparison = files.compare(before[1], after[1], progress, known=known, also=also)
    tables, sums = before[0].structure.tables, before[0].sums
    counts = {tables[name].name: sums[name][0] for name in same if name in tables}
    changes = [
        change._replace(rows_before=counts[change.name], rows_after=counts[change.name])
        if change.name in counts and change.name == change.now
        else change
        for change in comparison.tables
    ]
    counters = [*_set_back(before[0], after[0], comparison)]
    return comparison._replace(tables=changes, counters=counters)


def _set_back(old: Side, new: Side, comparison: "Comparison") -> "Iterator[Counter]":
    """Sequences that would give out numbers again: by the columns that have them, else by name."""
    now = renames(comparison.tables)
    there, stand = sequences.read(new.ask), sequences.ends(new.ask)
    for name, counter in sequences.read(old.ask).items():
        if counter.last is None or counter.cycles:
            continue
        wanted = {
            (table, column)
            for old_table, old_column in counter.columns
            for table in now.get(old_table, {old_table})
            for column in now.get(old_column, {old_column})
        }
        like = [key for key, each in there.items() if wanted & {*each.columns}]
        like = like or [key for key in there if key == name]
        ends = [stand[key].number for key in like]
        ahead = max if counter.step > 0 else min
        if ends and ahead(counter.last, *ends) == counter.last and counter.last not in ends:
            shown = name.removeprefix("public.")
            yield Counter(shown, like[0].removeprefix("public."), counter.last, ahead(ends))


@contextmanager
def readable(
    connection: "psycopg.Connection[Any]", address: "Address", progress: "Progress", prefix: str
) -> "Iterator[Readable]":
    """What a connection to ``address`` sees, less the version table, in a SQLite file.

    Raises UndropError.
    """
    with TemporaryDirectory(prefix=prefix) as folder:
        side = Side(connection, rooted=False, version_table=address.version_table)
        path = Path(folder, "state.db")
        side.write(path, (), (), progress)
        with readables.opened(path, side.structure) as copied:
            yield copied


def kept(old: Side, new: Side) -> set[str]:
    """Tables of which every value is where it was, as the servers' checksums tell."""
    return {
        name
        for name in old.structure.tables
        if name in new.structure.tables and _is_kept(old, new, name)
    }


def _is_kept(old: Side, new: Side, name: str) -> bool:
    table_before, table_after = old.structure.tables[name], new.structure.tables[name]
    if table_before._replace(root=0) == table_after._replace(root=0):
        return old.sums[name] == new.sums[name]
    # Columns that came take nothing away: of gigabytes, that spares reading every row.
    columns = old.types(name, table_before)
    if [c.name for c in table_before.key] != [c.name for c in table_after.key] or not columns:
        return False
    there = new.types(name, table_after).items()
    return columns.items() <= there and old.sum(name, columns) == new.sum(name, columns)
